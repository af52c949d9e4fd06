use super::*;

/// Goal: a time to keep files becomes a header; none means to ask each time.
#[test]
fn writes_cache_control() {
    for (seconds, expected) in [
        (0, "no-cache"),
        (60, "public, max-age=60"),
        (31_535_999, "public, max-age=31535999"),
        (31_536_000, "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(cache_control(Duration::from_secs(seconds)), expected, "{seconds}");
    }
}

/// Goal: a path that ends in a slash is the index of its folder.
#[test]
fn finds_the_index() {
    for (rest, expected) in [("/", "index.html"), ("/a/", "a/index.html"), ("/a", "a"), ("/a/b.js", "a/b.js"), ("", "")]
    {
        let target = path::resolve(rest).expect("a fine path");
        assert_eq!(&*file_path(&target, "index.html"), expected.as_bytes(), "{rest}");
    }
}

/// Goal: the redirect keeps path and query as they were written.
#[test]
fn redirects_to_the_slash() {
    for (uri, expected) in [("/a", "/a/"), ("/a%20b?x=/y", "/a%20b/?x=/y"), ("http://a.test/b", "/b/")] {
        let (parts, ()) = http::Request::get(uri).body(()).expect("a request").into_parts();
        assert_eq!(to_slash(&parts).headers()[header::LOCATION], expected, "{uri}");
    }
}

/// Goal: several lines of `Range` are no range.
#[test]
fn takes_one_range_line() {
    let mut headers = HeaderMap::new();
    headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
    assert_eq!(asked_range(&headers, 10), Asked::Part { first: 0, last: 1 });
    headers.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
    assert_eq!(asked_range(&headers, 10), Asked::Whole);
}
