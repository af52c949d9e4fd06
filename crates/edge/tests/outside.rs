//! Services outside: names, addresses, TLS that is verified, and hosts. Another edge plays the service.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;
#[path = "site/streams.rs"]
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use prumo_edge::{AccessLog, EdgeError, LineFormat, Outside, Place, Port, Probe, Protocol, Share};
use site::{App, Site, eventually};
use streams::{H2App, collect, connect, converse, ok, post, send, trailers};

fn outside(at: &[Place]) -> Outside {
    Outside {
        service: "app".into(),
        at: at.to_vec(),
        protocol: Protocol::H1,
        sees_clients_host: false,
        authority: None,
        resolve_every: Duration::from_millis(100),
        probe: Probe::default(),
    }
}

fn place(host: &str, port: u16, tls: bool) -> Place {
    Place::Host { host: host.into(), port, tls }
}

/// Waits until the service has this many upstreams that accept connections.
fn await_upstreams(site: &Site, count: usize) {
    eventually("the upstreams are known", || {
        let reports = site.edge.outside_reports();
        let well = reports.get("app").map(|report| report.upstreams.iter().filter(|one| one.1.is_none()).count());
        well == Some(count)
    });
}

/// A service outside that speaks TLS, with its own authority, and the edge in front of it.
fn with_tls_behind() -> (Site, Site) {
    let behind = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    (Site::start(), behind)
}

/// Goal: a service is reached by its name over TLS that is verified, sees its own host, and the client's in a header.
#[test]
fn reaches_a_name_over_tls() {
    let (site, behind) = with_tls_behind();
    let app = App::named("far away");
    behind.serve(&[app.upstream("one")]);
    let port = behind.https().port();
    let authority = Some(behind.edge.authority_certificate());
    site.edge.outside(vec![Outside { authority, ..outside(&[place("localhost", port, true)]) }]).unwrap();
    await_upstreams(&site, 1);
    for _ in 0..3 {
        assert_eq!(site.get("/x?y").text(), "far away GET /x?y HTTP/1.1");
    }
    let ask = &app.asks()[0];
    assert_eq!(ask.header("host"), Some(format!("localhost:{port}").as_str()));
    assert_eq!(ask.header("x-forwarded-proto"), Some("https"));
}

/// Goal: HTTP/2 is spoken where the service chooses it in the handshake, with trailers, and HTTP/1.1 where it does not.
#[test]
fn speaks_what_was_agreed() {
    let (site, behind) = with_tls_behind();
    let app = H2App::start(|request, mut respond| {
        Box::pin(async move {
            assert_eq!(request.headers()["x-forwarded-proto"], "https");
            let mut stream = respond.send_response(ok(), false).unwrap();
            send(&mut stream, Bytes::from_static(b"hi"), false).await;
            stream.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        })
    });
    behind.serve(&[app.upstream("one")]);
    let authority = Some(behind.edge.authority_certificate());
    let at = [place("localhost", behind.https().port(), true)];
    site.edge.outside(vec![Outside { authority, protocol: Protocol::H2, ..outside(&at) }]).unwrap();
    await_upstreams(&site, 1);
    converse(async {
        let mut client = connect(site.http()).await;
        for _ in 0..20 {
            let answer = client.send_request(post("/"), true).unwrap().0.await.unwrap();
            let (bytes, end) = collect(&mut answer.into_body()).await.unwrap();
            assert_eq!((bytes.as_slice(), end), (&b"hi"[..], Some(trailers(&[("grpc-status", "0")]))));
        }
    });
    // Looks at whether it accepts connections shake no hands.
    let metrics = behind.metrics();
    let counts = metrics.lines().filter(|line| line.starts_with("prumo_edge_tls_handshakes_total{"));
    let handshakes: u32 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum();
    assert!((1..=2).contains(&handshakes), "{handshakes} connections, at most one for each core");
}

/// Goal: a certificate that the authorities of the system did not sign, or of another name, is not trusted.
#[test]
fn trusts_no_stranger() {
    let (site, behind) = with_tls_behind();
    let app = App::named("far away");
    behind.serve(&[app.upstream("one")]);
    let port = behind.https().port();
    site.edge.outside(vec![outside(&[place("localhost", port, true)])]).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").status, 503);
    assert!(app.asks().is_empty());
    let authority = Some(PathBuf::from("/nowhere/authority.pem"));
    let refused = site.edge.outside(vec![Outside { authority, ..outside(&[place("localhost", port, true)]) }]);
    assert!(matches!(refused, Err(EdgeError::Certificate { .. })), "{refused:?}");
}

/// Goal: the client's host is passed on when the service wants it.
#[test]
fn may_see_the_clients_host() {
    let (site, app) = (Site::start(), App::named("app"));
    let at = [place("127.0.0.1", app.address.port(), false)];
    site.edge.outside(vec![Outside { sees_clients_host: true, ..outside(&at) }]).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").status, 200);
    site.edge.outside(vec![outside(&at)]).unwrap();
    eventually("the service's own host is sent", || {
        site.get("/");
        app.asks().last().unwrap().header("host") == Some(app.address.to_string().as_str())
    });
    assert_eq!(app.asks()[0].header("host"), Some("a.test"));
}

/// Goal: an address that accepts no connection is left out until it does, and the others serve.
#[test]
fn leaves_out_who_does_not_listen() {
    let (site, app) = (Site::start(), App::named("app"));
    // Bound, so that nobody else gets its port, and never listening.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let closed = silent.local_addr().unwrap();
    let at = [place("127.0.0.1", closed.port(), false), place("127.0.0.1", app.address.port(), false)];
    site.edge.outside(vec![outside(&at)]).unwrap();
    await_upstreams(&site, 1);
    for _ in 0..20 {
        assert_eq!(site.get("/").text(), "app GET / HTTP/1.1");
    }
    let report = &site.edge.outside_reports()["app"];
    let (name, refusal) = &report.upstreams[0];
    assert_eq!(name, &format!("app@{closed}"));
    assert!(refusal.as_ref().unwrap().contains("refused"), "{refusal:?}");
}

/// Goal: a name that cannot be looked up is said and counted, and a service that leaves the list is gone.
#[test]
fn says_what_cannot_be_looked_up() {
    let (site, app) =
        (Site::start_with(|_| {}, |route| site::forward(route).timeout = Duration::ZERO), App::named("app"));
    site.edge.outside(vec![outside(&[place("nobody.invalid", 80, false)])]).unwrap();
    eventually("the failure is known", || {
        site.edge.outside_reports().get("app").is_some_and(|report| !report.lost.is_empty())
    });
    assert!(site.edge.outside_reports()["app"].lost[0].starts_with("nobody.invalid: "));
    assert!(!site.metrics().contains("prumo_edge_lookups_failed_total 0\n"));
    site.edge.outside(vec![outside(&[place("127.0.0.1", app.address.port(), false)])]).unwrap();
    eventually("the other place serves", || site.get("/").status == 200);
    site.edge.outside(Vec::new()).unwrap();
    eventually("the service is gone", || site.get("/").status == 503);
}

/// Goal: where TLS is wanted and no certificate could be for the host, nothing is asked; never in clear text.
#[test]
fn never_falls_back_to_clear_text() {
    let (site, app) =
        (Site::start_with(|_| {}, |route| site::forward(route).timeout = Duration::ZERO), App::named("app"));
    // Resolvers take it for 127.0.0.1, a certificate does not.
    site.edge.outside(vec![outside(&[place("127.1", app.address.port(), true)])]).unwrap();
    eventually("it is looked up", || {
        site.edge.outside_reports().get("app").is_some_and(|report| !report.upstreams.is_empty())
    });
    assert_eq!(site.get("/").status, 503);
    assert!(app.asks().is_empty(), "{:?}", app.asks());
    let report = &site.edge.outside_reports()["app"];
    let refusal = report.upstreams[0].1.as_deref().unwrap();
    assert!(refusal.contains("no name that a certificate could be for"), "{refusal}");
}

/// Goal: a service that nobody answers at keeps no other service waiting.
#[test]
fn one_in_the_dark_stalls_no_other() {
    let (site, app) = (Site::start(), App::named("app"));
    let well = outside(&[place("127.0.0.1", app.address.port(), false)]);
    // As many as would take minutes one after the other. Their addresses are for documentation: packets to them are lost.
    let dark = |number: u8| Outside {
        service: format!("a{number:02}"),
        ..outside(&[place(&format!("192.0.2.{number}"), 81, false)])
    };
    site.edge.outside((1..60).map(dark).chain([well]).collect()).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").text(), "app GET / HTTP/1.1");
}

/// Goal: an authority whose file was replaced is read again when the services are given again.
#[test]
fn sees_another_authority() {
    let behind = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    // Its own authority is somebody else's. It waits for no upstream, so that each look is short.
    let site = Site::start_with(
        |settings| settings.https = Port::Number(0),
        |route| site::forward(route).timeout = Duration::ZERO,
    );
    let app = App::named("far away");
    behind.serve(&[app.upstream("one")]);
    let file = site.folder.path().join("authority.pem");
    std::fs::copy(site.edge.authority_certificate(), &file).unwrap();
    let service =
        Outside { authority: Some(file.clone()), ..outside(&[place("localhost", behind.https().port(), true)]) };
    site.edge.outside(vec![service.clone()]).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").status, 503, "signed by another");
    std::fs::copy(behind.edge.authority_certificate(), &file).unwrap();
    site.edge.outside(vec![service]).unwrap();
    eventually("it is trusted now", || site.get("/").status == 200);
}

/// Goal: a Unix socket on this machine is a place like any other.
#[test]
fn reaches_a_socket() {
    use std::io::{Read as _, Write as _};
    let site = Site::start();
    let path = site.folder.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let is_local = String::from_utf8_lossy(&head[..read]).contains("host: localhost\r\n");
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{is_local:5}");
        }
    });
    site.edge.outside(vec![outside(&[Place::Unix(path)])]).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").text(), "true ");
}

/// Passes bytes on both ways, after a while in which nothing happens.
fn slow_to_begin(to: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                let (client, server) = (client.unwrap(), std::net::TcpStream::connect(to).unwrap());
                let (mut from, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
                let _ = std::io::copy(&mut &client, &mut &server);
            });
        }
    });
    address
}

/// Goal: the log tells how long it took to connect, the handshake included.
#[test]
fn the_time_to_connect_is_told() {
    const DELAY: Duration = Duration::from_millis(200);
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog {
        path: folder.path().join("access.log"),
        keep_bytes: 1 << 20,
        format: LineFormat::Json,
        sample: Share::ALL,
    };
    let behind = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    let app = App::named("far away");
    behind.serve(&[app.upstream("one")]);
    // What is slow is slow by the time of the machine, and so it is measured.
    let site = Site::start_at(prumo_clock::Clock::system(), |settings| settings.access_log = Some(log), |_| {});
    let authority = Some(behind.edge.authority_certificate());
    let at = [place("localhost", slow_to_begin(behind.https(), DELAY).port(), true)];
    site.edge.outside(vec![Outside { authority, ..outside(&at) }]).unwrap();
    await_upstreams(&site, 1);
    assert_eq!(site.get("/").status, 200);
    site.stop(Duration::from_secs(60));
    let text = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(u128::from(line["connect_us"].as_u64().unwrap()) >= DELAY.as_micros(), "{line}");
}
