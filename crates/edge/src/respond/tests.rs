use http_body_util::BodyExt as _;

use super::*;

fn answer(refusal: Refusal, asker: &Asker<'_>) -> (HeaderMap, String) {
    let (parts, body) = refuse(refusal, asker, &AnswerHeaders::new(&crate::Headers::default())).into_parts();
    assert_eq!(parts.status, refusal.status);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
    (parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

fn page(refusal: Refusal, accept: Option<&'static str>) -> (HeaderMap, String) {
    let (accept, id) = (accept.map(HeaderValue::from_static), HeaderValue::from_static("0123abcd"));
    let (accept, id) = (accept.as_ref(), Some(&id));
    answer(refusal, &Asker { accept, id, is_head: false, tls: false, close: refusal.closes() })
}

/// Goal: each reader gets the form it likes best, with the request id and the headers of a page that loads nothing.
#[test]
fn pages_come_in_the_form_asked_for() {
    let check = |accept: Option<&'static str>, kind: &str| {
        let (headers, page) = page(Refusal::NO_UPSTREAM, accept);
        assert_eq!(headers[header::CONTENT_TYPE], kind, "{accept:?}");
        assert!(page.contains("0123abcd"), "{page}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "SAMEORIGIN");
        assert_eq!(headers[header::RETRY_AFTER], "2");
        assert_eq!(headers[header::CONTENT_LENGTH], page.len().to_string());
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none';"));
    };
    let (html, problem, text) = ("text/html; charset=utf-8", "application/problem+json", "text/plain; charset=utf-8");
    check(None, text);
    check(Some("*/*"), text);
    check(Some("text/html,application/xhtml+xml;q=0.9"), html);
    check(Some("application/json"), problem);
    check(Some("application/problem+json, */*"), problem);
    check(Some("application/vnd.api+json;v=1, text/html"), problem);
    check(Some("image/avif, text/html;q=0.8"), html);
    check(Some("text/html;q=0.1, application/json;q=0.2"), problem);
    check(Some("application/json;q=0, text/html;q=0.001"), html);
    check(Some("TEXT/HTML"), html);
    check(Some("image/png;q=x, text/html;q=x"), text);
}

/// Goal: the problem document is one, and the page is a whole one that a screen reader can read.
#[test]
fn pages_are_well_formed() {
    let (_, problem) = page(Refusal::NO_ROUTE, Some("application/json"));
    let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((&problem["status"], &problem["request_id"]), (&404.into(), &"0123abcd".into()));
    assert_eq!(problem["type"], "about:blank");
    let (_, html) = page(Refusal::NO_ROUTE, Some("text/html"));
    for part in ["<!doctype html>", "<html lang=\"en\">", "<title>404 Not Found</title>", "<main>", "<h1>Not Found"] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("http:") && !html.contains("//"), "nothing is loaded from anywhere: {html}");
}

/// Goal: the page's policy allows the page's own style, and browsers would see any other.
#[test]
fn the_policy_names_the_style() {
    let (headers, html) = page(Refusal::NO_ROUTE, Some("text/html"));
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let suite = provider.cipher_suites.iter().find(|suite| suite.suite().as_str().unwrap().ends_with("GCM_SHA256"));
    let rustls::SupportedCipherSuite::Tls13(suite) = suite.unwrap() else { panic!("the first suites are of TLS 1.3") };
    let hash = base64(suite.common.hash_provider.hash(style.as_bytes()).as_ref());
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{hash} in {policy}");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().chain([0; 2].iter()).take(3).fold(0_usize, |number, &byte| number << 8 | usize::from(byte));
        for place in 0..4 {
            text.push(if place <= chunk.len() { DIGITS[number >> (18 - 6 * place) & 63] as char } else { '=' });
        }
    }
    text
}

/// Goal: an answer to HEAD is the answer to GET without its body.
#[test]
fn head_has_no_body() {
    let asker = Asker { accept: None, id: None, is_head: true, tls: false, close: false };
    let (headers, body) = answer(Refusal::NO_ROUTE, &asker);
    let (_, page) = answer(Refusal::NO_ROUTE, &Asker { is_head: false, ..asker });
    assert_eq!((headers[header::CONTENT_LENGTH].to_str().unwrap(), body.as_str()), (&*page.len().to_string(), ""));
}

/// Goal: a site whose own headers win everywhere does not break our pages, and has its other headers on them.
#[test]
fn our_pages_keep_their_policy() {
    let site = crate::Headers {
        csp: Some("default-src https:".into()),
        csp_enforce: true,
        force: true,
        set: vec![("X-Site".into(), "shop".into()), ("Content-Type".into(), "x/y".into())],
        ..Default::default()
    };
    let asker = Asker { accept: None, id: None, is_head: false, tls: false, close: false };
    let response = refuse(Refusal::NO_ROUTE, &asker, &AnswerHeaders::new(&site));
    let headers = response.headers();
    assert_eq!(headers["x-site"], "shop");
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    let policies: Vec<_> = headers.get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
    assert_eq!(policies.len(), 1);
    assert!(policies[0].to_str().unwrap().starts_with("default-src 'none'"));
}

/// Goal: a refusal that is written by hand is a whole answer, which says that it is the last.
#[test]
fn a_refusal_without_a_request_is_whole() {
    let answer = AnswerHeaders::new(&crate::Headers::default());
    let bytes = refuse_unread(Refusal::CONNECTIONS, &answer, b"Thu, 01 Jan 1970 00:00:00 GMT");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    for line in [
        "connection: close",
        "retry-after: 2",
        "date: Thu, 01 Jan 1970 00:00:00 GMT",
        "x-content-type-options: nosniff",
        "x-frame-options: SAMEORIGIN",
    ] {
        assert!(head.lines().any(|known| known == line), "{line} in {head}");
    }
    assert!(head.lines().any(|known| known == format!("content-length: {}", body.len())), "{head}");
    assert_eq!(body, "503 Service Unavailable\nToo many people are here at once. Please try again in a moment.\n");
}

/// Goal: the connection closes after a refusal that leaves the request unread, and only then.
#[test]
fn closes_when_it_must() {
    for (refusal, closes) in [(Refusal::FRAMING, true), (Refusal::BODY_TOO_LARGE, true), (Refusal::NO_ROUTE, false)] {
        assert_eq!(page(refusal, None).0.contains_key(header::CONNECTION), closes, "{refusal:?}");
    }
}
