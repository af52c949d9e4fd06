use http::{Request, Uri};

use super::*;

fn parts(version: Version, uri: &str, hosts: &[&str]) -> Parts {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.uri_mut() = uri.parse::<Uri>().unwrap();
    for host in hosts {
        request.headers_mut().append(header::HOST, HeaderValue::from_str(host).unwrap());
    }
    request.into_parts().0
}

/// Goal: a request names its host once, or in two places that agree.
#[test]
fn finds_one_authority() {
    let check = |version: Version, uri: &str, hosts: &[&str], expected: Option<&str>| {
        let found = find_authority(&parts(version, uri, hosts)).ok();
        assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), expected, "{version:?} {uri} {hosts:?}");
    };
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    check(h1, "/", &["a:80"], Some("a:80"));
    check(h1, "/", &[], None);
    check(h1, "/", &["a", "b"], None);
    check(h1, "/", &["a", "a"], None);
    check(h1, "http://a/", &["a"], Some("a"));
    check(h1, "http://a/", &["A"], Some("a"));
    check(h1, "http://a/", &["b"], None);
    check(h1, "http://a/", &[], None);
    check(Version::HTTP_10, "http://a/", &[], Some("a"));
    check(h2, "https://a/", &[], Some("a"));
    check(h2, "https://a/", &["a"], Some("a"));
    check(h2, "https://a/", &["b"], None);
    check(h2, "/", &["a"], Some("a"));
    check(h2, "/", &[], None);
}

/// Goal: the headers of a request over HTTP/2 are measured as the limit that it was told counts them.
#[test]
fn measures_headers() {
    let check = |headers_max: usize, expected: Result<(), Refusal>| {
        assert_eq!(
            check_headers(&parts(Version::HTTP_2, "https://a/12", &["b"]), headers_max),
            expected,
            "{headers_max}"
        );
    };
    let list = "/12".len() + "host".len() + "b".len() + 32;
    check(list, Ok(()));
    check(list - 1, Err(Refusal::HEADERS_TOO_LARGE));
}

/// Goal: declared bodies are measured before they are read.
#[test]
fn measures_declared_bodies() {
    let check = |declared: Option<&str>, expected: Result<(), Refusal>| {
        let mut headers = HeaderMap::new();
        if let Some(declared) = declared {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_str(declared).unwrap());
        }
        assert_eq!(check_declared_length(&headers, 1000), expected, "{declared:?}");
    };
    check(None, Ok(()));
    check(Some("0"), Ok(()));
    check(Some("1000"), Ok(()));
    check(Some("1001"), Err(Refusal::BODY_TOO_LARGE));
    check(Some("x"), Err(Refusal::FRAMING));
}

/// Goal: what belongs to one connection stays on it, and nothing else can be made to.
#[test]
fn takes_hop_by_hop_headers() {
    let check = |given: &[(&'static str, &'static str)], upgrade: Option<&str>, left: &[&str]| {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let asked = take_hop_by_hop(&mut headers, Version::HTTP_11);
        assert_eq!(asked.as_ref().map(|value| value.to_str().unwrap()), upgrade, "{given:?}");
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, left, "{given:?}");
    };
    check(&[("host", "a"), ("accept", "b")], None, &["accept", "host"]);
    check(&[("connection", "close"), ("keep-alive", "1"), ("te", "x"), ("proxy", "z")], None, &[]);
    check(&[("te", "gzip, trailers"), ("trailer", "x-sum"), ("connection", "TE")], None, &["te", "trailer"]);
    check(&[("te", "trailers")], None, &[]);
    check(&[("connection", "x-a, X-B"), ("connection", "x-c"), ("x-a", "1"), ("x-b", "1"), ("x-c", "1")], None, &[]);
    check(
        &[("connection", "host, cookie, content-length"), ("host", "a"), ("cookie", "b"), ("content-length", "1")],
        None,
        &["content-length", "cookie", "host"],
    );
    check(&[("connection", "Keep-Alive, Upgrade"), ("upgrade", "websocket")], Some("websocket"), &[]);
    check(&[("upgrade", "websocket")], None, &[]);
    check(&[("connection", "upgrade"), ("upgrade", "h2c")], None, &[]);
    check(&[("connection", "upgrade"), ("upgrade", "websocket, HTTP/2.0")], None, &[]);
    check(&[("connection", "upgrade"), ("expect", "100-continue")], None, &[]);
}

/// Goal: cookie crumbs become one cookie, and one cookie stays as it is.
#[test]
fn joins_cookies() {
    for (crumbs, expected) in [(&["a=1", "b=2", "c=3"][..], "a=1; b=2; c=3"), (&["a=1; b=2"], "a=1; b=2")] {
        let mut headers = HeaderMap::new();
        for crumb in crumbs {
            headers.append(header::COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        let cookies: Vec<&HeaderValue> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, [expected]);
    }
}

/// Goal: HTTP/1.0 and HTTP/2 have no upgrade.
#[test]
fn only_http11_upgrades() {
    for (version, expected) in [(Version::HTTP_10, false), (Version::HTTP_11, true), (Version::HTTP_2, false)] {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        assert_eq!(take_hop_by_hop(&mut headers, version).is_some(), expected, "{version:?}");
    }
}

/// Goal: methods that reflect or tunnel are refused, all others pass, also unknown ones.
#[test]
fn checks_methods() {
    for (method, allowed) in [("GET", true), ("PATCH", true), ("PROPFIND", true), ("TRACE", false), ("CONNECT", false)]
    {
        assert_eq!(check_method(&Method::from_bytes(method.as_bytes()).unwrap()).is_ok(), allowed, "{method}");
    }
}

/// Goal: only targets that name a path here pass.
#[test]
fn targets_are_checked() {
    let check = |target: &str, expected: bool| {
        let uri: http::Uri = target.parse().unwrap();
        assert_eq!(check_target(&uri).is_ok(), expected, "{target}");
    };
    check("/", true);
    check("/a?b", true);
    check("http://a.test/x", true);
    check("https://a.test", true);
    check("*", false);
    check("a.test:443", false);
    check("ftp://a.test/", false);
}
