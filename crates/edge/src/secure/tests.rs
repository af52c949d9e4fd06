use super::*;
use crate::tls::{names_for_test, no_certificate};

fn secure(redirect: RedirectHttps, http_port: u16, https_port: u16) -> Secure {
    let names = Arc::new(names_for_test(&["shop.test", "*.shop.test", "localhost"]));
    Secure { names, rules: Arc::default(), redirect: Redirect::new(redirect, Some(http_port), Some(https_port)) }
}

const CLEAR: Way<'_> = Way { tls: false, tls_before: false, introduction: None };

/// Goal: clear text is sent to TLS where a certificate from a file answers, and never where only this machine's does (TLS-01).
#[test]
fn clear_text_is_sent_to_tls() {
    let check = |redirect, host: &str, path: &str, way: Way<'_>, expected: bool| {
        let refused = secure(redirect, 80, 443).admit(host, path, way) == Err(Refusal::HTTPS);
        assert_eq!(refused, expected, "{redirect:?} {host} {path}");
    };
    use RedirectHttps::{Auto, Off, On};
    check(Auto, "shop.test", "/", CLEAR, true);
    check(Auto, "www.shop.test", "/a/b", CLEAR, true);
    check(Auto, "a.www.shop.test", "/", CLEAR, false);
    check(Auto, "other.test", "/", CLEAR, false);
    check(Auto, "localhost", "/", CLEAR, false);
    check(Auto, "127.0.0.1", "/", CLEAR, false);
    check(On, "other.test", "/", CLEAR, true);
    check(On, "localhost", "/", CLEAR, true);
    check(Off, "shop.test", "/", CLEAR, false);
    check(Auto, "shop.test", "/.well-known/acme-challenge/token", CLEAR, false);
    check(On, "shop.test", "/.well-known/acme-challenge/token", CLEAR, false);
    check(On, "shop.test", "/.well-known/security.txt", CLEAR, true);
    check(On, "shop.test", "/", Way { tls: true, ..CLEAR }, false);
    check(On, "shop.test", "/", Way { tls_before: true, ..CLEAR }, false);
}

/// Goal: without a listener for TLS, or without one for clear text, nobody is sent anywhere.
#[test]
fn redirects_need_both_listeners() {
    assert_eq!(Redirect::new(RedirectHttps::On, Some(80), None), None);
    assert_eq!(Redirect::new(RedirectHttps::On, None, Some(443)), None);
}

/// Goal: the same host, path and query, on the port where TLS is for this client.
#[test]
fn the_location_is_the_same_page() {
    let check = |ports: (u16, u16), host: &str, authority: &str, path: &str, expected: &str| {
        let location = secure(RedirectHttps::On, ports.0, ports.1).location(host, authority, path);
        assert_eq!(location.unwrap(), expected, "{ports:?} {authority}");
    };
    check((80, 443), "shop.test", "shop.test", "/a?b=c%20d&e=%2F", "https://shop.test/a?b=c%20d&e=%2F");
    check((80, 443), "shop.test", "Shop.Test:80", "/", "https://shop.test/");
    check((80, 8443), "shop.test", "shop.test", "/", "https://shop.test:8443/");
    check((8080, 8443), "shop.test", "shop.test:8080", "/", "https://shop.test:8443/");
    // Through a container's published port: 80 outside is 8080 here, and 443 is 8443.
    check((8080, 8443), "shop.test", "shop.test", "/", "https://shop.test/");
    check((8080, 443), "shop.test", "shop.test:8080", "/", "https://shop.test/");
    check((80, 8443), "[::1]", "[::1]", "/", "https://[::1]:8443/");
    check((8080, 8443), "[::1]", "[::1]:8080", "/", "https://[::1]:8443/");
    check((80, 443), "shop.test", "shop.test.", "*", "https://shop.test/");
}

/// Goal: a rule about client certificates holds in clear text too.
#[test]
fn clear_text_shows_no_certificate() {
    let secure = Secure { rules: no_certificate("admin.test"), ..Secure::default() };
    assert_eq!(secure.admit("admin.test", "/", CLEAR), Err(Refusal::MISDIRECTED));
    assert_eq!(secure.admit("shop.test", "/", CLEAR), Ok(None));
}
