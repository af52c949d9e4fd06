use super::*;

use Expected::{Partial, Safe, Unsafe};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Safe(Framing),
    Unsafe,
    Partial,
}

const NO_BODY: Expected = Safe(Framing::None);
const CHUNKED: Expected = Safe(Framing::Chunked);

fn length(length: u64) -> Expected {
    Safe(Framing::Length(length))
}

fn check(head: &str, expected: Expected) {
    let verdict = match Scan::default().look(head.as_bytes()) {
        Some(Verdict::Safe(_, framing)) => Safe(framing),
        Some(Verdict::Unsafe) => Unsafe,
        None => Partial,
    };
    assert_eq!(verdict, expected, "{head:?}");
    fuzz_head(head.as_bytes());
}

/// Goal: heads that two servers could read differently are unsafe; the rest says where its body ends; half a head has no
/// verdict. Each also when it comes byte by byte.
#[test]
fn judges_heads() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
    check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
    check("GET / HTTP/1.1\r\n\r\n", NO_BODY);
    check("GET / HTTP/1.0\r\n\r\n", NO_BODY);
    check("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\ny", length(1));
    check("POST / HTTP/1.1\r\ncontent-length:\t007 \r\n\r\n", length(7));
    check("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", NO_BODY);
    check("POST / HTTP/1.1\r\nTRANSFER-encoding: chunked\r\n\r\n", CHUNKED);
    check("POST / HTTP/1.1\r\nContent-Lengthy: 1\r\nContent-Length: 1\r\n\r\n", length(1));
    check("POST / HTTP/1.1\r\nX: transfer-encoding: a\r\nContent-Length: 1\r\n\r\n", length(1));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: \tChunked \r\n\r\n", CHUNKED);
    check("", Partial);
    check("\r\n", Partial);
    check("\r\n\r", Partial);
    check("GE", Partial);
    check("GET /\r", Partial);
    check("GET / HTTP/1.1\r\nHost: a\r\n", Partial);
    check("GET / HTTP/1.1\r\nHost: a\r\n\r", Partial);
}

/// Goal: where a body ends is said once, in one way.
#[test]
fn judges_lengths() {
    check("POST / HTTP/1.1\r\ncontent-length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Unsafe);
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", Unsafe);
    check("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Unsafe);
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Unsafe);
    for length in ["", "+1", "-1", "1,1", "1 1", "0x1", "1.0", "18446744073709551616", "\u{661}"] {
        check(&format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"), Unsafe);
    }
    for coding in ["", "gzip, chunked", "chunked, chunked", ",chunked", "chunked;a", "\"chunked\"", "xchunked"] {
        check(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n\r\n"), Unsafe);
    }
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Unsafe);
    check("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", length(3));
}

/// Goal: a line that somebody might end, begin or split elsewhere is unsafe.
#[test]
fn judges_lines() {
    for head in [
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
        "GET / HTTP/1.1\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nCont\u{e9}nt: 1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        // Known before the line ends, which it may never do.
        "\u{16}\u{3}\u{1}",
        "GET /\u{0}",
        "G\rET",
    ] {
        check(head, Unsafe);
    }
}

/// Goal: hyper reads in a conversation what we read in it, behind the gate and without it.
#[test]
fn hyper_reads_the_same() {
    let get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n";
    let both = "GET /d HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let broken = "GET /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n";
    for parts in [
        [get, post, chunked, get],
        [chunked, chunked, post, post],
        [post, both, get, get],
        [broken, get, get, get],
        [get, "GET / HTTP/1.1\n\r\n", get, post],
    ] {
        let sent = parts.concat();
        for cut in 0..sent.len() {
            fuzz_gate(sent.as_bytes(), cut);
        }
    }
}
