use super::*;

fn peer(address: &'static str, trusted: bool) -> PeerFacts {
    PeerFacts {
        address: HeaderValue::from_static(address),
        proto: HeaderValue::from_static("https"),
        port: HeaderValue::from_static("443"),
        trusted,
    }
}

fn check(peer: &PeerFacts, given: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(*name, HeaderValue::from_static(value));
    }
    write(&mut headers, peer, &HeaderValue::from_static("shop.test"));
    let mut written: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    written.sort_unstable();
    assert_eq!(written, expected, "{given:?}");
}

/// Goal: a stranger's claims are overwritten.
#[test]
fn strangers_are_not_believed() {
    let expected = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "shop.test"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ];
    let stranger = peer("192.0.2.7", false);
    check(&stranger, &[], &expected);
    check(
        &stranger,
        &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7"), ("forwarded", "for=x")],
        &expected,
    );
    check(
        &stranger,
        &[("x-forwarded-host", "evil"), ("x-forwarded-port", "1"), ("x-forwarded-proto", "gopher")],
        &expected,
    );
    check(&stranger, &[("x-real-ip", "6.6.6.6"), ("x-forwarded-user", "root"), ("x-forwarded-prefix", "/")], &expected);
    let twins = [("x_forwarded_for", "6.6.6.6"), ("x-forwarded_host", "evil"), ("x_request_id", "1")];
    check(&stranger, &twins, &expected);
    check(&peer("192.0.2.7", true), &twins, &expected);
    check(&stranger, &[("a_b", "kept")], &[&[("a_b", "kept")], &expected[..]].concat());
}

/// Goal: a trusted proxy's claims are kept, and it is appended to them.
#[test]
fn trusted_proxies_are_appended_to() {
    let proxy = peer("10.0.0.1", true);
    check(
        &proxy,
        &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.0.0.9"), ("x-forwarded-proto", "http")],
        &[
            ("x-forwarded-for", "192.0.2.7, 10.0.0.9, 10.0.0.1"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "http"),
        ],
    );
    check(
        &peer("2001:db8::1", true),
        &[("forwarded", "for=192.0.2.7;proto=http")],
        &[
            ("forwarded", "for=192.0.2.7;proto=http, for=\"[2001:db8::1]\""),
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ],
    );
}

/// Goal: a request id is kept only from a trusted proxy, and only when it is harmless.
#[test]
fn request_ids_are_ours_or_harmless() {
    for (trusted, given, expected) in [
        (false, Some("theirs"), "fresh"),
        (true, Some("theirs-1.2:3_4"), "theirs-1.2:3_4"),
        (true, Some("with space"), "fresh"),
        (true, Some("\"quoted\""), "fresh"),
        (true, Some(""), "fresh"),
        (true, None, "fresh"),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(REQUEST_ID, HeaderValue::from_static(given));
        }
        let id = choose_request_id(&headers, trusted, || HeaderValue::from_static("fresh"));
        assert_eq!(id, expected, "{given:?}");
    }
}
