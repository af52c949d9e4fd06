use http_body_util::BodyExt as _;

use super::*;

fn page(refusal: Refusal, accept: Option<&'static str>) -> (HeaderMap, String) {
    let accept = accept.map(HeaderValue::from_static);
    let response = refuse(refusal, accept.as_ref(), &HeaderValue::from_static("0123abcd"), refusal.closes());
    let (parts, body) = response.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
    (parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Goal: each reader gets the form it asks for, with the request id.
#[test]
fn pages_come_in_the_form_asked_for() {
    let check = |accept: Option<&'static str>, kind: &str| {
        let (headers, page) = page(Refusal::NO_UPSTREAM, accept);
        assert_eq!(headers[header::CONTENT_TYPE], kind, "{accept:?}");
        assert!(page.contains("0123abcd"), "{page}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::RETRY_AFTER], "2");
    };
    check(None, "text/plain; charset=utf-8");
    check(Some("*/*"), "text/plain; charset=utf-8");
    check(Some("text/html,application/xhtml+xml;q=0.9"), "text/html; charset=utf-8");
    check(Some("application/json"), "application/json");
    check(Some("application/vnd.api+json;v=1, text/html"), "application/json");
    check(Some("image/avif, text/html;q=0.8"), "text/html; charset=utf-8");
}

/// Goal: the JSON form is JSON, and the HTML form is a whole page that a screen reader can read.
#[test]
fn pages_are_well_formed() {
    let (_, json) = page(Refusal::NO_ROUTE, Some("application/json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["error"]["status"], &json["error"]["request_id"]), (&404.into(), &"0123abcd".into()));
    let (_, html) = page(Refusal::NO_ROUTE, Some("text/html"));
    for part in ["<!doctype html>", "<html lang=\"en\">", "<title>404 Not Found</title>", "<main>", "<h1>"] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

/// Goal: the connection closes after a refusal that leaves the request unread, and only then.
#[test]
fn closes_when_it_must() {
    for (refusal, closes) in [(Refusal::FRAMING, true), (Refusal::BODY_TOO_LARGE, true), (Refusal::NO_ROUTE, false)] {
        assert_eq!(page(refusal, None).0.contains_key(header::CONNECTION), closes, "{refusal:?}");
    }
}
