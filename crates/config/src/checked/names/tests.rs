use super::*;

fn check_host(text: &str, expected: Result<&str, &str>) {
    assert_eq!(parse_host(text), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
}

fn check_path(text: &str, expected: Result<(), &str>) {
    assert_eq!(parse_path(text).map(|_| ()), expected.map_err(str::to_owned), "{text}");
}

/// Goal: what DNS allows and the one wildcard, in lower case.
#[test]
fn good_hosts() {
    check_host("example.com", Ok("example.com"));
    check_host("Shop.Example.COM", Ok("shop.example.com"));
    check_host("*.example.com", Ok("*.example.com"));
    check_host("localhost", Ok("localhost"));
    check_host("10.0.0.1", Ok("10.0.0.1"));
    check_host("_acme.xn--mnchen-3ya.de", Ok("_acme.xn--mnchen-3ya.de"));
}

/// Goal: every mistake has its own message.
#[test]
fn bad_hosts() {
    check_host("", Err("is empty; leave the key out to match any host"));
    check_host("*", Err("is only a star; leave the key out to match any host"));
    check_host("https://example.com", Err("has a scheme"));
    check_host("example.com/api", Err("has a path"));
    check_host("example.com:8080", Err("has a port"));
    check_host("[::1]", Err("has a port"));
    check_host("münchen.de", Err("has letters outside ASCII; write it in its `xn--` form"));
    check_host("example..com", Err("has a dot too many"));
    check_host("example.com.", Err("has a dot too many"));
    check_host("a.*.com", Err("has a star that is not a whole first part"));
    check_host("shop*.example.com", Err("has a star that is not a whole first part"));
    check_host("shop example.com", Err("has the character ` `"));
    check_host("shop\n.com", Err("has the character `\\n`"));
    check_host("-shop.com", Err("has a part that begins or ends with `-`, or is longer than 63 characters"));
    check_host(&"a".repeat(64), Err("has a part that begins or ends with `-`, or is longer than 63 characters"));
    check_host(&"a.".repeat(150), Err("is longer than 253 characters"));
}

/// Goal: only paths that a request can have.
#[test]
fn paths() {
    check_path("/", Ok(()));
    check_path("/api/v1/", Ok(()));
    check_path("/health?full=1", Ok(()));
    check_path("/a%20b", Ok(()));
    check_path("", Err("does not begin with `/`"));
    check_path("api", Err("does not begin with `/`"));
    check_path("/a b", Err("has the character ` `"));
    check_path("/*", Err("has the character `*`"));
    check_path("/é", Err("has the character `\\u{e9}`"));
    check_path("/a\r\nHost: x", Err("has the character `\\r`"));
    check_path("//a", Err("has an empty segment, `.` or `..`"));
    check_path("/a/../b", Err("has an empty segment, `.` or `..`"));
}

/// Goal: names of services fit everywhere a name is used.
#[test]
fn service_names() {
    for name in ["a", "api", "api-2", "a-"] {
        assert!(is_service_name(name), "{name}");
    }
    for name in ["", "2api", "-api", "Api", "a_b", "a.b", "é", "a b"] {
        assert!(!is_service_name(name), "{name}");
    }
    assert!(is_service_name(&"a".repeat(40)));
    assert!(!is_service_name(&"a".repeat(41)));
}
