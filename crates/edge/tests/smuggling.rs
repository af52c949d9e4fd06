//! Raw requests and what becomes of them: nothing may mean one thing here and another in the app (SEC-16).
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::time::Duration;

use site::{App, Site};

/// What must happen to a raw request.
enum Fate {
    /// Answered with this status by the edge; the app sees no whole request.
    Refused(u16),
    /// Passed on as one request with this body.
    Passed(&'static [u8]),
}
use Fate::{Passed, Refused};

const CASES: &[(&str, &[u8], Fate)] = &[
    ("plain", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Passed(b"")),
    ("leading empty line", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Passed(b"")),
    ("CL", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", Passed(b"abc")),
    ("TE", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Passed(b"abc")),
    (
        "CL.TE",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "TE.CL",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "TE.0",
        b"OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("HTTP/1.0 with TE", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("TE not chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", Refused(400)),
    (
        "TE chunked not last",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "TE twice",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("TE with a tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("TE with a space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("TE xchunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("CL differs", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", Refused(400)),
    ("CL twice", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", Refused(400)),
    ("CL list", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", Refused(400)),
    ("CL plus", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", Refused(400)),
    ("CL minus", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", Refused(400)),
    ("CL hexadecimal", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", Refused(400)),
    (
        "CL too large for a number",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        Refused(400),
    ),
    ("CL empty", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refused(400)),
    ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    ("one bare LF", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Refused(400)),
    ("obsolete folding", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", Refused(400)),
    ("folded first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(400)),
    ("header without colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Refused(400)),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refused(400)),
    ("CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Refused(400)),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused(400)),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(400)),
    ("Host with a name and password", b"GET / HTTP/1.1\r\nHost: x@a\r\n\r\n", Refused(400)),
    ("Host with a list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refused(400)),
    ("Host with a bad port", b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", Refused(400)),
    ("absolute form", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Passed(b"")),
    ("absolute form with another Host", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
    ("absolute form without Host", b"GET http://a/ HTTP/1.1\r\n\r\n", Refused(400)),
    ("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(405)),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Refused(405)),
    ("HTTP/2.0 in words", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused(400)),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(400)),
    ("lower case protocol", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    (
        "chunk size with a sign",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunk size with 0x",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunk ends in a bare LF",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunk longer than said",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunk size too large",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "Upgrade with a smuggled request",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc",
        Passed(b"abc"),
    ),
    (
        "Content-Length named hop by hop",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc",
        Passed(b"abc"),
    ),
    ("Host named hop by hop", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n", Passed(b"")),
];

/// Goal: every raw request has the one fate written beside it.
#[test]
fn raw_requests_have_one_meaning() {
    let app = App::named("app");
    let site = Site::start_with(|settings| settings.body_timeout = Duration::from_secs(2), |_| {});
    site.serve(&[app.upstream("one")]);
    let mut wrong = Vec::new();
    for (name, raw, fate) in CASES {
        let before = app.asks().len();
        let mut wire = site.connect();
        wire.try_send(raw);
        let status = wire.try_answer().map(|answer| answer.status);
        // A request that was cut may reach the app's list late; it was never whole.
        let asked: Vec<_> = app.asks()[before..].iter().filter(|ask| ask.is_whole).cloned().collect();
        let is_right = match fate {
            Refused(expected) => status == Some(*expected) && asked.is_empty(),
            Passed(body) => status == Some(200) && asked.len() == 1 && asked[0].body == *body,
        };
        if !is_right {
            wrong.push(format!("{name}: status {status:?}, app saw {asked:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    site.assert_nothing_in_flight("one");
}

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
