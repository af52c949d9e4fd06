//! How connections come in: several addresses, Unix sockets, handed sockets, the PROXY protocol, and crowds.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use prumo_clock::Clock;
use prumo_drain::Drain;
use prumo_edge::{Edge, Network, Port, Settings, UnixSocket};
use site::{App, Site, Wire, any_route, eventually};

/// Goal: a stop serves everybody who is in the queue, however many they are.
#[test]
fn a_stop_serves_the_whole_queue() {
    const CLIENTS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let drain = Drain::new(clock.clone());
    let mut settings = Settings::new(folder.path().join("certs"));
    settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
    (settings.http, settings.https, settings.cores) = (Port::Number(0), Port::Off, Some(1));
    let edge = Edge::start(settings, clock, &drain.stage("edge")).unwrap();
    // Nobody is accepted before there are routes.
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(edge.addresses().http[0])).collect();
    for wire in &mut wires {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(drain.stop(std::time::Duration::from_secs(60))).is_clean());
    for (number, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.try_answer().map(|answer| answer.status), Some(404), "client {number}");
        assert!(wire.is_closed());
    }
}

/// Answers with the `X-Forwarded-For` and `X-Forwarded-Port` it was told.
fn mirror() -> App {
    App::start(|ask, stream| {
        let told = |name| ask.header(name).unwrap_or("nothing").to_owned();
        let body = format!("{} {}", told("x-forwarded-for"), told("x-forwarded-port"));
        site::reply_with(stream, body.as_bytes());
        true
    })
}

fn this_machine() -> Network {
    Network { address: IpAddr::from([127, 0, 0, 0]), prefix: 8 }
}

fn behind_balancer(set: impl FnOnce(&mut Settings)) -> (Site, App) {
    let site = Site::start_with(
        |settings| {
            settings.proxy_protocol = vec![this_machine()];
            set(settings);
        },
        |_| {},
    );
    let app = mirror();
    site.serve(&[app.upstream("one")]);
    (site, app)
}

/// What is answered to this beginning of a connection, or nothing when it is closed.
fn say(address: SocketAddr, beginning: &[u8]) -> Option<String> {
    let mut wire = Wire::connect(address);
    wire.try_send(beginning);
    wire.try_send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wire.try_answer().map(|answer| answer.text())
}

fn refused(site: &Site, reason: &str) -> f64 {
    let wanted = format!("prumo_edge_refused_total{{reason=\"{reason}\"}}");
    let metrics = site.metrics();
    let line = metrics.lines().find(|line| line.starts_with(&wanted)).unwrap_or_else(|| panic!("{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Goal: one edge listens on IPv4 and IPv6 at the same port, and `::` beside `0.0.0.0` does not collide with it.
#[test]
fn several_addresses() {
    let site = Site::start_with(
        |settings| settings.addresses = vec![IpAddr::from([0, 0, 0, 0]), IpAddr::from(Ipv6Addr::UNSPECIFIED)],
        |_| {},
    );
    let app = mirror();
    site.serve(&[app.upstream("one")]);
    let port = site.http().port();
    for (host, told) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
        assert_eq!(say(address, b"").unwrap(), format!("{told} {port}"));
    }
}

/// Goal: `::` alone takes IPv4 clients too, and tells the app of them as IPv4.
#[test]
fn dual_stack() {
    let site = Site::start_with(|settings| settings.addresses = vec![Ipv6Addr::UNSPECIFIED.into()], |_| {});
    let app = mirror();
    site.serve(&[app.upstream("one")]);
    let port = site.http().port();
    assert_eq!(say(SocketAddr::from(([127, 0, 0, 1], port)), b"").unwrap(), format!("127.0.0.1 {port}"));
}

/// Goal: requests come in on a Unix socket, and a web proxy there counts as this machine.
#[test]
fn unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.sock");
    let socket = UnixSocket { path: path.clone(), mode: 0o600, owner: None, group: None };
    let site = Site::start_with(
        |settings| {
            settings.http = Port::Off;
            settings.socket = Some(socket);
        },
        |_| {},
    );
    let app = mirror();
    site.serve(&[app.upstream("one")]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("127.0.0.1 80"), "{answer}");
}

/// Goal: a balancer's header names the client and its port, in both versions, and byte by byte as well.
#[test]
fn proxy_header_names_the_client() {
    let (site, _app) = behind_balancer(|_| {});
    let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n";
    assert_eq!(say(site.http(), line).unwrap(), "203.0.113.7 443");
    assert_eq!(say(site.http(), b"PROXY TCP6 2001:db8::7 2001:db8::1 1 8443\r\n").unwrap(), "2001:db8::7 8443");
    assert_eq!(say(site.http(), b"PROXY UNKNOWN\r\n").unwrap(), format!("127.0.0.1 {}", site.http().port()));
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x07\xc0\0\x02\x01\xd4\x31\x01\xbb\x04\0\0";
    assert_eq!(say(site.http(), binary).unwrap(), "203.0.113.7 443");
    assert_eq!(
        say(site.http(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").unwrap(),
        format!("127.0.0.1 {}", site.http().port())
    );
    for header in [&line[..], &binary[..]] {
        let mut wire = site.connect();
        for byte in header {
            wire.send(&[*byte]);
        }
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().text(), "203.0.113.7 443");
    }
}

/// Goal: from a balancer, a connection without a good header is closed and counted, and a mere look at the port is not.
#[test]
fn balancers_must_announce() {
    let (site, app) = behind_balancer(|settings| settings.header_timeout = std::time::Duration::from_millis(300));
    assert_eq!(say(site.http(), b""), None);
    assert_eq!(say(site.http(), b"PROXY TCP4 203.0.113.7 192.0.2.1 54321\r\n"), None);
    let mut silent = site.connect();
    assert!(silent.is_closed(), "a balancer that says nothing is not waited for forever");
    drop(TcpStream::connect(site.http()).unwrap());
    eventually("three connections are refused", || refused(&site, "proxy_header") >= 3.0);
    assert_eq!(refused(&site, "proxy_header"), 3.0);
    assert!(app.asks().is_empty());
}

/// Goal: from anybody else the header is no header, but a bad request: nobody may say who he is.
#[test]
fn strangers_may_not_announce() {
    let elsewhere = Network { address: IpAddr::from([10, 0, 0, 0]), prefix: 8 };
    let site = Site::start_with(|settings| settings.proxy_protocol = vec![elsewhere], |_| {});
    let app = mirror();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.try_answer().map(|answer| answer.status), Some(400));
    assert!(app.asks().is_empty());
}

/// Goal: one address gets so many connections and no more, another gets its own, and a place that is left is free
/// again; all of it for clients behind a balancer.
#[test]
fn a_crowd_from_one_address() {
    let (site, _app) = behind_balancer(|settings| settings.connections_per_ip_max = 3);
    let open = |client: &str| {
        let mut wire = site.connect();
        wire.send(format!("PROXY TCP4 {client} 192.0.2.1 1 80\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
        let status = wire.answer().status;
        (wire, status)
    };
    let mut held: Vec<Wire> = Vec::new();
    for _ in 0..3 {
        let (wire, status) = open("203.0.113.7");
        assert_eq!(status, 200);
        held.push(wire);
    }
    assert_eq!(open("203.0.113.7").1, 503);
    assert_eq!(open("203.0.113.8").1, 200);
    assert_eq!(refused(&site, "connections_per_ip_max"), 1.0);
    held.pop();
    eventually("the place is free again", || open("203.0.113.7").1 == 200);
}

/// Goal: what the system refuses at the start is told with its name: an address that cannot be a machine's, and a socket
/// and a log whose folders are not there.
#[test]
fn what_is_refused_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |set: &dyn Fn(&mut Settings), said: &str, hint: &str| {
        let drain = Drain::new(Clock::system());
        let mut settings = Settings::new(folder.path().join("certs"));
        settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
        (settings.http, settings.https, settings.cores) = (Port::Number(0), Port::Off, Some(1));
        set(&mut settings);
        let error = Edge::start(settings, Clock::system(), &drain.stage("edge")).err().expect("it is refused");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().contains(hint), "{error}: {}", error.hint());
    };
    let missing = folder.path().join("missing");
    // One that stands for many machines: TCP can be bound to it on none, whatever the machine allows otherwise.
    check(&|settings| settings.addresses = vec!["ff02::1".parse().unwrap()], "[ff02::1]", "has that address");
    let socket = UnixSocket { path: missing.join("edge.sock"), mode: 0o600, owner: None, group: None };
    check(&|settings| settings.socket = Some(socket.clone()), "edge.sock", "folder exists");
    let path = missing.join("access.log");
    let (format, sample) = (prumo_edge::LineFormat::Json, prumo_edge::Share::ALL);
    let log = prumo_edge::AccessLog { path, keep_bytes: 1 << 20, format, sample };
    check(&|settings| settings.access_log = Some(log.clone()), "access.log", "folder exists");
}

/// Goal: a second edge takes over the listening sockets of the first; a connection that waits in their queues while the
/// first one goes is answered by the second.
#[test]
fn handed_sockets_lose_nobody() {
    let app = mirror();
    let first = Site::start();
    first.serve(&[app.upstream("one")]);
    let address = first.http();
    let sockets = first.edge.sockets().unwrap();
    first.stop(std::time::Duration::from_secs(60));
    // Nobody accepts now, and the system still takes connections.
    let mut waiting: Vec<Wire> = (0..20).map(|_| Wire::connect(address)).collect();
    for wire in &mut waiting {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    let mut settings = Settings::new(first.folder.path().join("certs"));
    settings.addresses = vec![address.ip()];
    (settings.http, settings.https, settings.cores) = (Port::Number(address.port()), Port::Off, Some(1));
    let drain = Drain::new(Clock::system());
    let second = Edge::start_on(sockets, settings, Clock::system(), &drain.stage("edge")).unwrap();
    second.routes(vec![any_route()]).unwrap();
    second.upstreams([("app".to_owned(), vec![app.upstream("one")])].into());
    for wire in &mut waiting {
        assert_eq!(wire.answer().status, 200);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(drain.stop(std::time::Duration::from_millis(200)));
}
