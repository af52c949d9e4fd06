use super::*;

/// What is passed on of a plain head: the request line and the headers that stay.
fn passed(head: &str) -> Option<String> {
    let mut out = Vec::new();
    match read(head.as_bytes(), &mut out) {
        Reading::Plain(plain) => {
            assert_eq!(plain.bytes, head.len(), "{head:?}");
            Some(String::from_utf8(out).unwrap())
        }
        _ => None,
    }
}

fn check(headers: &str, expected: &str) {
    let head = format!("GET /a?b HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n");
    let expected = format!("GET /a?b HTTP/1.1\r\nHost: a.test\r\n{expected}");
    assert_eq!(passed(&head), Some(expected), "{headers:?}");
}

/// Goal: what belongs to the client's connection, and what a stranger says of itself, goes no further.
#[test]
fn headers_stay_or_go() {
    check("Accept: */*\r\nX-Own:  with  spaces \t\r\n", "Accept: */*\r\nX-Own: with  spaces\r\n");
    check("Cookie: a=1\r\ncookie: b=2\r\n", "Cookie: a=1\r\ncookie: b=2\r\n");
    check("Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\n", "");
    check("Connection: close\r\n", "");
    check("X-Forwarded-For: 6.6.6.6\r\nx-forwarded-whatever: 1\r\nForwarded: for=x\r\nX-Real-IP: 1\r\n", "");
    check("X-Request-Id: mine\r\nX_Request_Id: mine\r\nX_Forwarded_For: 1\r\nContent_Length: 3\r\n", "");
    check("Proxy: evil\r\nTraceparent: x\r\ntracestate: y\r\n", "");
    check("Snake_Case: is fine\r\nX-Forwarded: is not ours\r\n", "Snake_Case: is fine\r\nX-Forwarded: is not ours\r\n");
    check("Content-Length: 0\r\n", "Content-Length: 0\r\n");
}

/// Goal: what is unusual goes to the general path, which refuses it or knows what to do.
#[test]
fn whatever_is_not_plain_is_left() {
    for head in [
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\"a\" HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ] {
        assert_eq!(read(head.as_bytes(), &mut Vec::new()), Reading::Other, "{head:?}");
    }
}

/// Goal: a head in pieces is waited for, and what follows it is not looked at.
#[test]
fn heads_end_where_they_end() {
    let head = "POST /x HTTP/1.1\r\nHost: a.test\r\nUser-Agent: u\r\nTransfer-Encoding: Chunked\r\nConnection: Close\r\n\
                Expect: 100-Continue\r\n\r\n";
    for length in 0..head.len() {
        assert_eq!(read(&head.as_bytes()[..length], &mut Vec::new()), Reading::Partial, "{length}");
    }
    let longer = format!("{head}\n\0not a head");
    let mut out = Vec::new();
    let Reading::Plain(plain) = read(longer.as_bytes(), &mut out) else { panic!("it is plain") };
    assert_eq!((plain.bytes, plain.method, plain.path(), plain.host), (head.len(), "POST", "/x", "a.test"));
    assert_eq!((plain.agent, plain.body, plain.is_last, plain.expects), (&b"u"[..], Framing::Chunked, true, true));
    assert!(!plain.is_repeatable());
}

/// Goal: numbers are digits and nothing else.
#[test]
fn numbers() {
    for (text, expected) in [
        ("0", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("", None),
        (" 1", None),
        ("1a", None),
    ] {
        assert_eq!(digits(text.as_bytes()), expected, "{text:?}");
    }
}
