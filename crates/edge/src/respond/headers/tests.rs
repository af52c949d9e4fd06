use super::*;

fn text(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Nothing of ours, so that a case shows only what it is about.
fn bare() -> Headers {
    Headers { nosniff: false, frame: Frame::Off, referrer: None, permissions: None, opener: None, ..Headers::default() }
}

/// Answers `said` through both writers, which must agree, and compares what a client sees, sorted.
fn check(settings: &Headers, tls: bool, said: &[(&str, &str)], expected: &[&str]) {
    let headers = AnswerHeaders::new(settings);
    let mut map = HeaderMap::new();
    let mut bytes = Vec::new();
    let mut says = Said::default();
    for (name, value) in said {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        match headers.meet(name.as_bytes()) {
            Meeting::Drop => continue,
            Meeting::Says(one) => says |= one,
            Meeting::Pass => {}
        }
        bytes.extend(format!("{}: {value}\r\n", name.to_ascii_lowercase()).into_bytes());
    }
    headers.finish(&mut map, tls);
    headers.write(&mut bytes, says, tls);
    let mut from_map: Vec<String> =
        map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    let bytes = String::from_utf8(bytes).unwrap();
    let mut from_bytes: Vec<&str> = bytes.lines().collect();
    from_map.sort();
    from_bytes.sort_unstable();
    assert_eq!(from_map, expected, "as a map, {said:?}");
    assert_eq!(from_bytes, expected, "as bytes, {said:?}");
}

/// Goal: a site that says nothing about headers gets the safe ones on every answer, and is not told about (EDGE-04).
#[test]
fn security_is_on_by_default() {
    check(
        &Headers::default(),
        false,
        &[("Server", "uvicorn"), ("X-Powered-By", "Express"), ("Content-Type", "text/html")],
        &[
            "content-type: text/html",
            "cross-origin-opener-policy: same-origin-allow-popups",
            "permissions-policy: camera=(self), display-capture=(self), geolocation=(self), microphone=(self), usb=(self)",
            "referrer-policy: strict-origin-when-cross-origin",
            "x-content-type-options: nosniff",
            "x-frame-options: SAMEORIGIN",
        ],
    );
}

/// Goal: the app's own word wins, unless the file says force.
#[test]
fn the_app_wins_unless_forced() {
    let polite = Headers { frame: Frame::Deny, ..bare() };
    let said = [("X-Frame-Options", "SAMEORIGIN")];
    check(&polite, false, &said, &["x-frame-options: SAMEORIGIN"]);
    check(&polite, false, &[], &["x-frame-options: DENY"]);
    check(&Headers { force: true, ..polite }, false, &said, &["x-frame-options: DENY"]);
}

/// Goal: set replaces, add adds, remove removes, whatever the case of the name.
#[test]
fn set_add_and_remove() {
    let settings = Headers {
        set: text(&[("X-Robots-Tag", "none")]),
        add: text(&[("Vary", "Accept"), ("Link", "</a>; rel=preload")]),
        remove: vec!["X-Generator".into()],
        ..bare()
    };
    check(
        &settings,
        false,
        &[("x-robots-TAG", "all"), ("Vary", "Cookie"), ("X-GENERATOR", "cms")],
        &["link: </a>; rel=preload", "vary: Accept", "vary: Cookie", "x-robots-tag: none"],
    );
    let over = Headers { set: text(&[("Referrer-Policy", "no-referrer")]), referrer: Some("origin".into()), ..bare() };
    check(&over, false, &[("Referrer-Policy", "unsafe-url")], &["referrer-policy: no-referrer"]);
}

/// Goal: a content policy begins as a report, speaks of frames once it is enforced, and an app's own policy stands.
#[test]
fn a_content_policy_begins_as_a_report() {
    let report = Headers { csp: Some("default-src 'self';".into()), frame: Frame::Deny, ..bare() };
    let name = "content-security-policy";
    check(&report, false, &[], &["content-security-policy-report-only: default-src 'self'", "x-frame-options: DENY"]);
    let enforced = Headers { csp_enforce: true, ..report };
    let ours = format!("{name}: default-src 'self'; frame-ancestors 'none'");
    check(&enforced, false, &[], &[&ours, "x-frame-options: DENY"]);
    let theirs = format!("{name}: default-src 'none'");
    check(&enforced, false, &[("Content-Security-Policy", "default-src 'none'")], &[&theirs, "x-frame-options: DENY"]);
    let speaks = Headers { csp: Some("Frame-Ancestors https://a.test".into()), ..enforced };
    let kept = format!("{name}: Frame-Ancestors https://a.test");
    check(&speaks, false, &[], &[&kept, "x-frame-options: DENY"]);
}

/// Goal: Strict-Transport-Security is said over TLS only, where browsers believe it.
#[test]
fn strict_transport_is_said_over_tls() {
    let settings = Headers { hsts: Some("max-age=1".into()), ..bare() };
    check(&settings, false, &[], &[]);
    check(&settings, true, &[], &["strict-transport-security: max-age=1"]);
    check(&settings, true, &[("Strict-Transport-Security", "max-age=9")], &["strict-transport-security: max-age=9"]);
}
