use super::*;

fn check(path: &str, expected: &str) {
    assert_eq!(of(path.as_bytes()), expected, "{path}");
}

/// Goal: kinds come from the last extension, in any case; text is UTF-8.
#[test]
fn knows_kinds() {
    check("index.html", "text/html; charset=utf-8");
    check("a/b/app.min.js", "text/javascript; charset=utf-8");
    check("APP.CSS", "text/css; charset=utf-8");
    check("logo.svg", "image/svg+xml; charset=utf-8");
    check("a.json", "application/json");
    check("site.webmanifest", "application/manifest+json");
    check("app.js.gz", "application/gzip");
}

/// Goal: what is not known is bytes.
#[test]
fn calls_the_rest_bytes() {
    for path in ["", "LICENSE", "a.html/b", "x.", "x.unknown", "html", "app.js.br"] {
        check(path, "application/octet-stream");
    }
    check(".well-known/apple-app-site-association", "application/json");
}

/// Goal: each extension is listed once, in small letters, and is a header value.
#[test]
fn lists_each_once() {
    for (number, (extension, kind)) in KINDS.iter().enumerate() {
        assert!(!KINDS[..number].iter().any(|(before, _)| before == extension), "{extension} twice");
        assert_eq!(*extension, extension.to_ascii_lowercase());
        assert!(http::HeaderValue::from_str(kind).is_ok(), "{kind}");
        assert_eq!(kind.starts_with("text/"), kind.starts_with("text/") && kind.ends_with("charset=utf-8"), "{kind}");
    }
}
