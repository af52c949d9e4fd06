//! What surrounds a request on its connection never becomes a request of its own (SEC-16). See also `framing`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use site::{App, Site};

/// Goal: what follows a refused request on its connection is never served.
#[test]
fn nothing_is_served_after_a_refusal() {
    let (site, app) = (Site::start(), App::named("app"));
    site.serve(&[app.upstream("one")]);
    for refused in [
        &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut wire = site.connect();
        wire.try_send(&[refused, b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert!(wire.answer().status >= 400);
        assert!(wire.is_closed());
    }
    assert!(app.asks().is_empty(), "{:?}", app.asks());
}

/// Goal: the rest of a refused request's body is never taken for the next head.
#[test]
fn an_unread_body_ends_the_connection() {
    let site = Site::start_with(|_| {}, |route| route.host = Some("known".into()));
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: other\r\nContent-Length: 34\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    wire.try_send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(wire.is_closed());
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(wire.answer().header("connection"), None, "without a body the connection stays");
}

/// Goal: pipelined requests are answered one after the other, each once.
#[test]
fn pipelined_requests_stay_apart() {
    let (site, app) = (Site::start(), App::named("app"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /POST /2 HTTP/1.1\r\nHost: a\r\n\
          Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for expected in ["app POST /1 HTTP/1.1", "app POST /2 HTTP/1.1", "app GET /3 HTTP/1.1"] {
        assert_eq!(wire.answer().text(), expected);
    }
    let bodies: Vec<Vec<u8>> = app.asks().into_iter().map(|ask| ask.body).collect();
    assert_eq!(bodies, [&b"GET /"[..], b"hi", b""]);
}
