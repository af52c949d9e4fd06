use super::*;

/// Goal: places are read as they are written, with the usual ports, and everything that would be lost is refused.
#[test]
fn reads_places() {
    let check = |text: &str, expected: Option<(&str, u16, bool)>| {
        let expected = expected.map(|(host, port, tls)| Place::Host { host: host.to_owned(), port, tls });
        assert_eq!(parse_place(text).ok(), expected, "{text}");
    };
    check("https://Legacy.internal", Some(("legacy.internal", 443, true)));
    check("http://legacy/", Some(("legacy", 80, false)));
    check("http://10.0.0.5:8000", Some(("10.0.0.5", 8000, false)));
    check("https://[2001:db8::1]:8443", Some(("2001:db8::1", 8443, true)));
    check("http://[::1]", Some(("::1", 80, false)));
    for bad in [
        "",
        "legacy",
        "ftp://a",
        "https://",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a/b",
        "http://a?b",
        "http://user@a",
        "http://*.a",
        "http://[::1]x",
        "https://1234",
        "http://127.1",
        "http://10.0.0.256",
        "https://a.5.",
        "http://a b",
        "unix:app.sock",
        "unix:",
    ] {
        check(bad, None);
        assert!(parse_place(bad).is_err(), "{bad}");
    }
    assert_eq!(parse_place("unix:/run/app.sock"), Ok(Place::Unix("/run/app.sock".into())));
}
