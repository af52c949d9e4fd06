use super::*;

fn networks(written: &str) -> Vec<Network> {
    let read = |block: &str| {
        let (address, prefix) = block.split_once('/').unwrap();
        Network { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    };
    written.split_whitespace().map(read).collect()
}

/// Who the client is, by its peer and the values of `X-Forwarded-For`; `?` for nobody knows.
fn check_client(peer: &str, chain: &[&str], expected: &str) {
    let mut headers = HeaderMap::new();
    for value in chain {
        headers.append("x-forwarded-for", value.parse().unwrap());
    }
    let trusted = networks("10.0.0.0/8 2001:db8:1::/48");
    let client = client_address(peer.parse().unwrap(), &headers, &trusted);
    assert_eq!(client.map_or("?".to_owned(), |client| client.to_string()), expected, "{peer} {chain:?}");
}

/// Goal: a stranger is who its connection says, whatever it writes.
#[test]
fn strangers_are_their_peer() {
    check_client("203.0.113.9", &[], "203.0.113.9");
    check_client("203.0.113.9", &["10.1.2.3"], "203.0.113.9");
    check_client("203.0.113.9", &["garbage"], "203.0.113.9");
}

/// Goal: behind trusted proxies the client is the last address that is not one of them, and nothing before it counts.
#[test]
fn clients_of_trusted_proxies() {
    check_client("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
    check_client("10.0.0.1", &["127.0.0.1, 203.0.113.9"], "203.0.113.9");
    check_client("10.0.0.1", &["garbage, 203.0.113.9, 10.0.0.7"], "203.0.113.9");
    check_client("10.0.0.1", &["127.0.0.1", "203.0.113.9,10.0.0.2"], "203.0.113.9");
    check_client("10.0.0.1", &["203.0.113.9, garbage"], "?");
    check_client("10.0.0.1", &["unknown"], "?");
    check_client("10.0.0.1", &[""], "?");
    check_client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check_client("10.0.0.1", &[], "10.0.0.1");
    check_client("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9");
    check_client("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9");
    check_client("2001:db8:1::1", &["[2001:db8:9::1]:443, 2001:db8:1::2"], "2001:db8:9::1");
    check_client("2001:db8:1::1", &["[2001:db8:9::1]"], "2001:db8:9::1");
}

/// Goal: rules admit whom they allow and do not deny; all of them must, and nobody is refused by none.
#[test]
fn rules_admit() {
    let rule = |allow: &str, deny: &str| Access { allow: networks(allow), deny: networks(deny) };
    let check = |rules: &[Access], client: &str, expected: bool| {
        let client = client.parse().ok();
        assert_eq!(check_address(rules, client).is_ok(), expected, "{rules:?} {client:?}");
    };
    check(&[], "192.0.2.1", true);
    check(&[], "nobody", true);
    check(&[rule("", "")], "192.0.2.1", true);
    check(&[rule("192.0.2.0/24", "")], "192.0.2.1", true);
    check(&[rule("192.0.2.0/24", "")], "192.0.3.1", false);
    check(&[rule("", "192.0.2.0/24")], "192.0.2.1", false);
    check(&[rule("", "192.0.2.0/24")], "2001:db8::1", true);
    check(&[rule("192.0.2.0/24", "192.0.2.128/25")], "192.0.2.200", false);
    check(&[rule("192.0.2.0/24", ""), rule("", "192.0.2.1/32")], "192.0.2.1", false);
    check(&[rule("192.0.2.0/24", ""), rule("", "192.0.2.1/32")], "192.0.2.2", true);
    check(&[rule("", "192.0.2.0/24")], "nobody", false);
}
