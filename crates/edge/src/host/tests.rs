use super::*;

fn check(authority: &str, expected: Option<&str>) {
    assert_eq!(normalise(authority).ok().as_deref(), expected, "{authority:?}");
}

/// Goal: one name has one form, and what is no host is refused.
#[test]
fn hosts_have_one_form() {
    check("shop.example.com", Some("shop.example.com"));
    check("Shop.EXAMPLE.com", Some("shop.example.com"));
    check("shop.example.com:8443", Some("shop.example.com"));
    check("shop.example.com:", Some("shop.example.com"));
    check("shop.example.com.", Some("shop.example.com"));
    check("shop.example.com.:80", Some("shop.example.com"));
    check("my_host-1", Some("my_host-1"));
    check("127.0.0.1:80", Some("127.0.0.1"));
    check("[::1]", Some("[::1]"));
    check("[2001:DB8::1]:443", Some("[2001:db8::1]"));
    check("", None);
    check(".", None);
    check("1270..", None);
    check(".a", None);
    check("a..b", None);
    check(":80", None);
    check("a:b", None);
    check("a:80:80", None);
    check("a:123456", None);
    check("a b", None);
    check("a/b", None);
    check("a,b", None);
    check("user@a", None);
    check("a\"b", None);
    check("ä.test", None);
    check("[::1", None);
    check("[::1]80", None);
    check("[x]", None);
    check("::1", None);
    check(&"a".repeat(255), Some(&"a".repeat(255)));
    check(&"a".repeat(256), None);
}

/// Goal: the usual host is not copied.
#[test]
fn normal_hosts_are_borrowed() {
    assert!(matches!(normalise("shop.example.com:80"), Ok(Cow::Borrowed(_))));
}
