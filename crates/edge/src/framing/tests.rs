use super::*;

fn check(head: &str, expected: Option<bool>) {
    assert_eq!(judge(head.as_bytes()), expected, "{head:?}");
}

/// Goal: heads that two servers could read differently are unsafe; the rest is safe; half a head has no verdict.
#[test]
fn judges_heads() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(true));
    check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(true));
    check("GET / HTTP/1.1\r\n\r\n", Some(true));
    check("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\ny", Some(true));
    check("POST / HTTP/1.1\r\nTRANSFER-encoding: chunked\r\n\r\n", Some(true));
    check("POST / HTTP/1.1\r\ncontent-length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nContent-Lengthy: 1\r\nContent-Length: 1\r\n\r\n", Some(true));
    check("POST / HTTP/1.1\r\nX: transfer-encoding: a\r\nContent-Length: 1\r\n\r\n", Some(true));
    check("GET / HTTP/1.1\nHost: a\r\n\r\n", Some(false));
    check("GET / HTTP/1.1\r\nHost: a\n\r\n", Some(false));
    check("GET / HTTP/1.1\r\nHost: a\r\n\n", Some(false));
    check("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Some(false));
    check("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: \tChunked \r\n\r\n", Some(true));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n\r\n", Some(false));
    check("POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", Some(false));
    check("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Some(false));
    check("", None);
    check("\r\n", None);
    check("\r\n\n\n", None);
    check("GET / HTTP/1.1\r\nHost: a\r\n", None);
    check("GET / HTTP/1.1\r\nHost: a\r\n\r", None);
}

/// Goal: a head that comes in pieces is judged like one that comes whole, wherever it is cut.
#[test]
fn judges_heads_in_pieces() {
    for (head, expected) in [
        (&b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..], false),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", true),
    ] {
        for cut in 1..head.len() {
            let mut scan = HeadScan::default();
            scan.read(&head[..cut]);
            scan.read(&head[cut..]);
            assert_eq!(scan.take_is_safe(), expected, "cut at {cut}");
            scan.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(scan.take_is_safe(), "the next head is judged afresh");
        }
    }
}
