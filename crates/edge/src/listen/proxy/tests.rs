use super::*;

/// What a header says, with how many bytes it takes; `…` while more are needed, `no` when it is none.
fn read(bytes: &[u8]) -> String {
    match parse(bytes) {
        Ok(Some((Announced::Itself, length))) => format!("itself, {length} bytes"),
        Ok(Some((Announced::Client { from, to }, length))) => format!("{from} to {to}, {length} bytes"),
        Ok(None) => "…".to_owned(),
        Err(Malformed) => "no".to_owned(),
    }
}

fn check(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
}

/// Version 2 with this command, family and body.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

const V4: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 1, 0xd4, 0x31, 0x01, 0xbb];

/// Goal: a line of version 1 is read for both families and for an unknown client, and only up to its end.
#[test]
fn lines_are_read() {
    check(b"PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n", "203.0.113.7:54321 to 192.0.2.1:443, 44 bytes");
    check(b"PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\nGET /", "203.0.113.7:54321 to 192.0.2.1:443, 44 bytes");
    check(b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n", "[2001:db8::7]:1 to [2001:db8::1]:65535, 44 bytes");
    check(b"PROXY UNKNOWN\r\n", "itself, 15 bytes");
    check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "itself, 35 bytes");
}

/// Goal: a line is refused for anything that is not exactly as the specification writes it.
#[test]
fn sloppy_lines_are_refused() {
    for line in [
        "PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\n",
        "PROXY  TCP4 203.0.113.7 192.0.2.1 54321 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 54321 443 \r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 54321\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 54321 443 1\r\n",
        "PROXY TCP4 203.0.113.07 192.0.2.1 54321 443\r\n",
        "PROXY TCP4 203.0.113 192.0.2.1 54321 443\r\n",
        "PROXY TCP4 2001:db8::7 192.0.2.1 54321 443\r\n",
        "PROXY TCP6 203.0.113.7 192.0.2.1 54321 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 054321 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 +54321 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 -1 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1  443\r\n",
        "PROXY UDP4 203.0.113.7 192.0.2.1 54321 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "proxy TCP4 203.0.113.7 192.0.2.1 54321 443\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        check(line.as_bytes(), "no");
    }
}

/// Goal: version 2 is read for IPv4, IPv6, Unix sockets, unknown families and the balancer itself, with TLVs passed over.
#[test]
fn binary_headers_are_read() {
    check(&binary(0x21, 0x11, &V4), "203.0.113.7:54321 to 192.0.2.1:443, 28 bytes");
    check(&binary(0x21, 0x11, &[&V4[..], &[4, 0, 2, 9, 9]].concat()), "203.0.113.7:54321 to 192.0.2.1:443, 33 bytes");
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15], v6[31], v6[33], v6[34], v6[35]) = (0x20, 0x01, 7, 1, 80, 0x1f, 0x90);
    check(&binary(0x21, 0x21, &v6), "[2001::7]:80 to [::1]:8080, 52 bytes");
    check(&binary(0x21, 0x31, &[b'/'; 216]), "itself, 232 bytes");
    check(&binary(0x21, 0x00, &[]), "itself, 16 bytes");
    check(&binary(0x20, 0x11, &V4), "itself, 28 bytes");
    check(&binary(0x20, 0x00, &[]), "itself, 16 bytes");
    check(&binary(0x21, 0x11, &[&V4[..], &[0; 508]].concat()), "203.0.113.7:54321 to 192.0.2.1:443, 536 bytes");
}

/// Goal: version 2 is refused for other versions, commands and families, for too few bytes and for too many.
#[test]
fn bad_binary_headers_are_refused() {
    check(&binary(0x11, 0x11, &V4), "no");
    check(&binary(0x22, 0x11, &V4), "no");
    check(&binary(0x21, 0x12, &V4), "no");
    check(&binary(0x21, 0x41, &V4), "no");
    check(&binary(0x21, 0x11, &V4[..11]), "no");
    check(&binary(0x21, 0x21, &V4), "no");
    check(&binary(0x21, 0x31, &[0; 215]), "no");
    check(&binary(0x21, 0x11, &[0; 521]), "no");
    check(b"\r\n\r\n\0\r\nQUIT\r", "no");
}

/// Goal: while a header is not complete nothing is decided, and never more than its bound is awaited.
#[test]
fn half_a_header_decides_nothing() {
    for whole in [b"PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n".to_vec(), binary(0x21, 0x11, &V4)] {
        for end in 0..whole.len() {
            check(&whole[..end], "…");
        }
    }
    check(format!("PROXY UNKNOWN {}", "x".repeat(92)).as_bytes(), "…");
    check(format!("PROXY UNKNOWN {}", "x".repeat(93)).as_bytes(), "no");
}
