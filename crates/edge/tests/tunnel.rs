//! Web sockets and other upgrades: bytes pass both ways, and the end of each side is told to the other (WS-01).
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use prumo_edge::InFlight;
use site::{App, Site, Wire, eventually, forward};

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// An app that accepts an upgrade, says hello in the same packet, echoes, and says goodbye after the end.
fn echo_app() -> App {
    App::start(|ask, stream| {
        assert_eq!(ask.header("upgrade"), Some("websocket"));
        assert_eq!(ask.header("connection"), Some("upgrade"));
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
        );
        echo(stream);
        false
    })
}

fn echo(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(read) => drop(stream.write_all(&bytes[..read])),
        }
    }
    let _ = stream.write_all(b"goodbye");
    let _ = stream.shutdown(Shutdown::Write);
}

fn open(site: &Site) -> Wire {
    let mut wire = site.connect();
    wire.send(UPGRADE);
    let answer = {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            wire.reader.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    };
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    expect(&mut wire, b"hello");
    wire
}

fn expect(wire: &mut Wire, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    wire.reader.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
}

/// Goal: a tunnel echoes, is counted as a tunnel, outlives idle time and half-closes, and is no longer counted when
/// both sides have ended.
#[test]
fn carries_a_web_socket() {
    let app = echo_app();
    let short = |settings: &mut prumo_edge::Settings| {
        settings.idle_timeout = Duration::from_secs(1);
        settings.body_timeout = Duration::from_secs(1);
        settings.header_timeout = Duration::from_secs(1);
    };
    let site = Site::start_with(short, |route| forward(route).timeout = Duration::from_secs(1));
    site.serve(&[app.upstream("one")]);
    let mut wire = open(&site);
    assert_eq!(site.edge.in_flight("one"), InFlight { requests: 0, tunnels: 1 });
    assert!(site.metrics().contains("prumo_edge_tunnels_open 1"));
    std::thread::sleep(Duration::from_millis(1500));
    for text in [&b"a"[..], b"bc", &[7; 3000]] {
        wire.send(text);
        expect(&mut wire, text);
    }
    wire.stream().shutdown(Shutdown::Write).unwrap();
    expect(&mut wire, b"goodbye");
    assert!(wire.is_closed());
    site.assert_nothing_in_flight("one");
    assert!(site.metrics().contains("prumo_edge_tunnels_open 0"));
}

/// Goal: when one side has ended, the other may go on for as long as it has something to say; who says nothing more for half
/// a minute is not waited for, whichever side it is, and the replica is free.
#[test]
fn a_half_ended_tunnel_is_not_silent_for_ever() {
    let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
    // Says what it is told to by the test, and never listens.
    let (say, said) = mpsc::channel::<&'static [u8]>();
    let said = Mutex::new(said);
    let app = App::start(move |_, stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while let Ok(words) = said.lock().unwrap().recv() {
            if words.is_empty() {
                break;
            }
            let _ = stream.write_all(words);
        }
        false
    });
    let site = Site::start_at(clock, |_| {}, |_| {});
    site.serve(&[app.upstream("one")]);
    let pass = |time: Duration| {
        for _ in 0..time.as_secs() {
            simulation.advance(Duration::from_secs(1));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let mut wire = site.connect();
    wire.send(UPGRADE);
    wire.read_until("\r\n\r\n");
    pass(Duration::from_secs(100));
    assert_eq!(site.edge.in_flight("one").tunnels, 1, "an idle tunnel goes on");
    wire.stream().shutdown(Shutdown::Write).unwrap();
    for words in [&b"not yet"[..], b"and more"] {
        pass(Duration::from_secs(25));
        say.send(words).unwrap();
        expect(&mut wire, words);
    }
    assert_eq!(site.edge.in_flight("one").tunnels, 1, "a half-ended one goes on while something is said");
    let end = || {
        simulation.advance(Duration::from_secs(1));
        site.edge.in_flight("one") == InFlight::default()
    };
    eventually("the silent one ends", end);
    assert!(wire.is_closed());
    // The other way round: the app ends, and the client neither speaks nor goes.
    say.send(b"").unwrap();
    let mut wire = site.connect();
    wire.send(UPGRADE);
    wire.read_until("\r\n\r\n");
    say.send(b"").unwrap();
    eventually("the one whose app has ended ends", end);
    assert!(wire.is_closed());
    let stopping = site.begin_stop(Duration::from_secs(60));
    while !stopping.is_finished() {
        simulation.advance(Duration::from_millis(50));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Goal: a megabyte passes through a tunnel unchanged while the other side reads slowly.
#[test]
fn carries_bulk_unchanged() {
    let app = echo_app();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = open(&site);
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut writer = wire.stream().try_clone().unwrap();
    let sent = bytes.clone();
    std::thread::spawn(move || writer.write_all(&sent).unwrap());
    let mut read = Vec::new();
    while read.len() < bytes.len() {
        let mut part = [0; 50_000];
        let count = wire.reader.read(&mut part).unwrap();
        read.extend_from_slice(&part[..count]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(read == bytes);
}

/// Goal: a tunnel whose client vanishes frees the upstream.
#[test]
fn a_cut_client_ends_the_tunnel() {
    let app = echo_app();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let wires: Vec<Wire> = (0..10).map(|_| open(&site)).collect();
    assert_eq!(site.edge.in_flight("one").tunnels, 10);
    drop(wires);
    site.assert_nothing_in_flight("one");
}

/// Goal: an upstream that declines the upgrade answers as to any request, and the connection goes on.
#[test]
fn an_upgrade_may_be_declined() {
    let site = Site::start();
    let app = App::named("plain");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for _ in 0..2 {
        wire.send(UPGRADE);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "plain GET /ws HTTP/1.1"));
    }
}

/// Goal: an upstream cannot switch protocols on a client that did not ask.
#[test]
fn an_unasked_upgrade_is_refused() {
    let app = App::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        true
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    assert_eq!(site.get("/").status, 502);
    site.assert_nothing_in_flight("one");
}

/// Goal: HTTP/2 by upgrade is not passed on: the app would speak a protocol that nobody here checks.
#[test]
fn h2c_is_not_passed_on() {
    let (site, app) = (Site::start(), App::named("app"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    assert_eq!(wire.answer().status, 200);
    let ask = &app.asks()[0];
    assert_eq!((ask.header("upgrade"), ask.header("http2-settings")), (None, None));
}

/// Goal: upstreams may be replaced under a tunnel: it stays, and is still counted.
#[test]
fn a_tunnel_outlives_a_change() {
    let (site, app, next) = (Site::start(), echo_app(), App::named("next"));
    site.serve(&[app.upstream("one")]);
    let mut wire = open(&site);
    for _ in 0..3 {
        site.serve(&[next.upstream("two")]);
    }
    wire.send(b"still here");
    expect(&mut wire, b"still here");
    assert_eq!(site.edge.in_flight("one").tunnels, 1);
    drop(wire);
    eventually("it is over", || site.edge.in_flight("one") == InFlight::default());
}

/// Goal: a stopping edge leaves a tunnel alone until the deadline.
#[test]
fn a_tunnel_has_until_the_deadline() {
    let (site, app) = (Site::start(), echo_app());
    site.serve(&[app.upstream("one")]);
    let mut wire = open(&site);
    let stopping = site.begin_stop(Duration::from_secs(60));
    eventually("the edge has stopped accepting", || site.edge.sockets().unwrap().is_empty());
    wire.send(b"still here");
    expect(&mut wire, b"still here");
    drop(wire);
    assert!(stopping.join().unwrap().is_clean(), "it has ended by itself");

    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = open(&site);
    assert!(!site.stop(Duration::from_millis(300)).is_clean());
    assert!(wire.is_closed());
}
