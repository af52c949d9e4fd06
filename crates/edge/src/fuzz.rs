//! Entries for fuzzing what strangers can send. Each panics when a promise is broken.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::forwarded::{self, PeerFacts};
use crate::listen::proxy;
use crate::{framing, host, json, route};

/// Host normalisation: what comes out is in normal form already, and safe to write anywhere.
pub fn normalise_host(text: &str) {
    if let Ok(once) = host::normalise(text) {
        let twice = host::normalise(&once).expect("a normal form is a host");
        assert_eq!(once, twice, "normalising is done once");
        assert!(!once.bytes().any(|byte| byte <= b' ' || byte == b'"' || byte == b'/'), "nothing that ends a string");
    }
}

/// Path prefixes: a prefix matches itself and what is under it, and never half a segment.
pub fn match_prefix(prefix: &str, path: &str) {
    let matches = route::prefix_matches(prefix, path);
    let bare = prefix.trim_end_matches('/');
    assert!(route::prefix_matches(prefix, &format!("{bare}/x")), "what is under a prefix matches");
    if matches {
        assert!(path.starts_with(bare), "only what starts with the prefix matches");
    }
}

/// Forwarded headers: what a stranger wrote is gone, and the peer's address is the last of any chain.
pub fn forward_headers(written: &[(Vec<u8>, Vec<u8>)], trusted: bool) {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && headers.len() < 100
        {
            headers.append(name, value);
        }
    }
    let peer = PeerFacts {
        address: HeaderValue::from_static("192.0.2.7"),
        proto: HeaderValue::from_static("https"),
        port: HeaderValue::from_static("443"),
        trusted,
    };
    forwarded::write(&mut headers, &peer, &HeaderValue::from_static("shop.example.com"));
    let chain = headers.get("x-forwarded-for").expect("always written").as_bytes();
    assert!(chain.ends_with(b"192.0.2.7"), "the peer is the last of the chain");
    assert!(trusted || chain == b"192.0.2.7", "a stranger's chain is not believed");
    assert!(trusted || !headers.contains_key("x-real-ip"), "nor what it says of itself");
    assert!(!headers.keys().any(|name| forwarded::is_twin(name.as_str())), "an app reads each name in one way");
}

/// Request heads: judging never fails, and a verdict does not change when more follows.
pub fn judge_head(bytes: &[u8]) {
    if let Some(verdict) = framing::judge(bytes) {
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(b"more\r\n\r\n");
        assert_eq!(framing::judge(&longer), Some(verdict), "what follows a head does not matter");
    }
}

/// PROXY headers: nothing is taken that is not there, and what is read does not change when more follows.
pub fn read_proxy_header(bytes: &[u8]) {
    match proxy::parse(bytes) {
        Ok(Some((announced, length))) => {
            assert!(length <= bytes.len().min(proxy::HEADER_BYTES_MAX), "a header ends where its bytes do");
            let mut longer = bytes[..length].to_vec();
            longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(proxy::parse(&longer), Ok(Some((announced, length))), "what follows a header does not matter");
            assert_eq!(proxy::parse(&bytes[..length - 1]), Ok(None), "and it ends no sooner");
        }
        Ok(None) => assert!(bytes.len() < proxy::HEADER_BYTES_MAX, "nobody is read without end"),
        Err(proxy::Malformed) => {}
    }
}

/// Access lines: whatever the client sent, the line is JSON.
pub fn escape_json(bytes: &[u8], max: usize) {
    let mut out = vec![b'"'];
    json::escape(&mut out, bytes, max);
    out.push(b'"');
    serde_json::from_slice::<String>(&out).expect("an escaped string is JSON");
}
