use super::*;
use crate::settings::Headers;

/// The client's head and how the body goes on; what is not usable is "bad".
fn written(head: &str, is_head: bool, is_last: bool) -> (String, String) {
    let headers = AnswerHeaders::new(&Headers { nosniff: true, frame: crate::settings::Frame::Off, ..plain() });
    let ours = Ours { id: b"id", date: b"today", headers: &headers, tls: false, is_last };
    let mut out = Vec::new();
    let body = match read(head.as_bytes(), is_head, &ours, &mut out) {
        Reading::Final(answer) => {
            assert_eq!(answer.bytes, head.len(), "{head:?}");
            format!("{} {}", describe(&answer.body), if answer.is_kept { "kept" } else { "not kept" })
        }
        Reading::Interim(length) => format!("interim {length}"),
        Reading::Partial => "partial".to_owned(),
        Reading::Bad => "bad".to_owned(),
    };
    (body, String::from_utf8(out).unwrap())
}

fn plain() -> Headers {
    Headers { referrer: None, permissions: None, opener: None, ..Headers::default() }
}

fn describe(body: &Body) -> String {
    match body {
        Body::Length(length) => length.to_string(),
        Body::Chunked(_) => "chunked".to_owned(),
        Body::UntilClose => "until close".to_owned(),
    }
}

fn check(head: &str, body: &str, expected: &str) {
    let ours = "x-content-type-options: nosniff\r\nx-request-id: id\r\ndate: today\r\n\r\n";
    let (how, out) = written(head, false, false);
    assert_eq!((how.as_str(), out), (body, format!("HTTP/1.1 {expected}{ours}")), "{head:?}");
}

/// Goal: bodies are delimited for the client by what delimits them for us.
#[test]
fn bodies_have_one_end() {
    let chunked = "transfer-encoding: chunked\r\n";
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5 kept", "200 OK\r\ncontent-length: 5\r\n");
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n",
        "5 kept",
        "200 OK\r\ncontent-length: 5\r\n",
    );
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked kept", &format!("200 OK\r\n{chunked}"));
    check("HTTP/1.1 200 OK\r\n\r\n", "until close not kept", &format!("200 OK\r\n{chunked}"));
    check("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "0 kept", "204 No Content\r\n");
    check(
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "0 kept",
        "304 Not Modified\r\ncontent-length: 7\r\n",
    );
    check("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "5 not kept", "200 OK\r\ncontent-length: 5\r\n");
    check(
        "HTTP/1.0 200\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
        "0 kept",
        "200 \r\ncontent-length: 0\r\n",
    );
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "0 not kept",
        "200 OK\r\ncontent-length: 0\r\n",
    );
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(both, "chunked not kept", &format!("200 OK\r\n{chunked}"));
}

/// Goal: what belongs to the upstream's connection, or tells about the inside, goes no further; the rest does as it is.
#[test]
fn headers_stay_or_go() {
    check(
        "HTTP/1.1 200 Fine Then\r\nServer: x\r\nX-Powered-By: y\r\nX-Request-Id: z\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\
         Set-Cookie: a\r\nset-cookie: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\nTrailer: x\r\n\r\n",
        "0 kept",
        "200 Fine Then\r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n",
    );
    let (_, out) = written("HTTP/1.1 200 OK\r\nDate: its own\r\nX-Content-Type-Options: x\r\n\r\n", false, true);
    assert!(out.contains("Date: its own\r\n") && !out.contains("today"), "{out}");
    assert!(out.contains("X-Content-Type-Options: x\r\n") && !out.contains("nosniff"), "the app may say it: {out}");
    assert!(out.ends_with("connection: close\r\n\r\n"), "{out}");
}

/// Goal: to HEAD a length is told and no body follows.
#[test]
fn head_has_no_body() {
    let (how, out) = written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, false);
    assert!(how == "0 kept" && out.contains("content-length: 5\r\n"), "{how} {out}");
    let (how, out) = written("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, false);
    assert!(how == "0 kept" && !out.contains("chunked"), "{how} {out}");
}

/// Goal: answers before the answer are passed on, but for the one that is between two neighbours.
#[test]
fn interim_answers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: x\r\n\r\n";
    let (how, out) = written(hints, false, false);
    assert_eq!(
        (how, out.as_str()),
        (format!("interim {}", hints.len()), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    );
    assert_eq!(written("HTTP/1.1 100 Continue\r\n\r\n", false, false), ("interim 25".to_owned(), String::new()));
}

/// Goal: what could be read in two ways is no answer.
#[test]
fn refuses_answers() {
    for head in [
        "nonsense\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
    ] {
        assert_eq!(written(head, false, false), ("bad".to_owned(), String::new()), "{head:?}");
    }
    assert_eq!(written("HTTP/1.1 200 OK\r\nX: y\r\n", false, false).0, "partial");
}
