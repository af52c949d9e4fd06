//! What the fast path does beside passing requests on: early answers, handing over, letting go.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{BufRead as _, Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use site::{App, Site, Wire, eventually, reply_with};

/// The head of the next answer, whatever its status.
fn head(wire: &mut Wire) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(wire.reader.read_line(&mut head).unwrap() > 0, "closed after {head:?}");
    }
    head
}

/// Goal: early hints reach the client before the answer does, whichever way the request goes, without what the site says of
/// no service; a client of HTTP/1.0, which does not know them, gets the answer alone.
#[test]
fn passes_early_hints() {
    for fast in [true, false] {
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let told = std::sync::Mutex::new(told);
        let app = App::start(move |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nServer: x\r\n\r\n");
            let _ = told.lock().unwrap().recv();
            reply_with(stream, b"page");
            true
        });
        let site = Site::start_with(|settings| settings.fast_path = fast, |_| {});
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        for _ in 0..2 {
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            let hints = head(&mut wire).to_ascii_lowercase();
            assert_eq!(hints, "http/1.1 103 early hints\r\nlink: </a.css>\r\n\r\n", "fast {fast}");
            assert!(site.edge.in_flight("one").requests == 1, "the answer is still to come");
            go_on.send(()).unwrap();
            assert_eq!(wire.answer().text(), "page");
        }
        assert_eq!(app.connections.load(Ordering::SeqCst), 1);
        go_on.send(()).unwrap();
        wire.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
        let first = head(&mut wire);
        assert!(first.starts_with("HTTP/1.") && first.contains(" 200 OK\r\n"), "{first}");
    }
}

/// Goal: a client that waits for `100 Continue` gets it, and its body arrives.
#[test]
fn lets_a_waiting_client_continue() {
    let app = App::start(|ask, stream| {
        reply_with(stream, &ask.body);
        true
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(head(&mut wire), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send(b"hello");
    assert_eq!(wire.answer().text(), "hello");
    assert_eq!(app.asks()[0].header("expect"), Some("100-continue"));
}

/// Goal: one connection may ask for plain things, then for one that is not, then for plain things again.
#[test]
fn hands_over_in_the_middle() {
    let (site, app) = (Site::start(), App::named("one"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for target in ["/1", "http://a.test/2", "/3"] {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
        assert_eq!(wire.answer().status, 200);
    }
    let paths: Vec<String> = app.asks().iter().map(|ask| ask.path().to_owned()).collect();
    assert_eq!(paths, ["/1", "/2", "/3"]);
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n");
    assert_eq!(wire.answer().status, 400);
}

/// Goal: kept connections to a replica that has left the table are closed, so that it can stop.
#[test]
fn lets_go_of_retired_upstreams() {
    let (site, gone, stays) = (Site::start(), App::named("gone"), App::named("stays"));
    site.serve(&[gone.upstream("gone")]);
    assert_eq!(site.get("/").status, 200);
    eventually("a connection is kept", || gone.open.load(Ordering::SeqCst) > 0);
    site.serve(&[stays.upstream("stays")]);
    eventually("it is closed", || gone.open.load(Ordering::SeqCst) == 0);
}

/// Goal: a client that reads slowly slows its upstream down, and gets every byte.
#[test]
fn a_slow_reader_gets_everything() {
    const BYTES: usize = 32 << 20;
    let app = App::start(|_, stream| {
        reply_with(stream, &vec![b'x'; BYTES]);
        true
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(head(&mut wire).contains(&format!("content-length: {BYTES}\r\n")));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(site.edge.in_flight("one").requests, 1, "most of it is still with the app");
    let mut body = vec![0; BYTES];
    wire.reader.read_exact(&mut body).unwrap();
    assert!(body.iter().all(|&byte| byte == b'x'));
    site.assert_nothing_in_flight("one");
}
