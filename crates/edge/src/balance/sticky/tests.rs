use super::*;

fn headers(cookies: &[&str]) -> HeaderMap {
    cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
}

/// Goal: the first cookie of the very name is found among others, and nothing else is.
#[test]
fn cookies_are_found() {
    let check = |cookies: &[&str], expected: Option<&str>| {
        assert_eq!(cookie_value(&headers(cookies), "id"), expected.map(str::as_bytes), "{cookies:?}");
    };
    check(&["id=7"], Some("7"));
    check(&["a=1; id=7; id=8"], Some("7"));
    check(&["a=1", "id=7"], Some("7"));
    check(&["id="], Some(""));
    check(&["kid=1; ID=2; id"], None);
    check(&[], None);
}

/// Goal: a mark comes back from its own cookie, differs by key and replica, and tells nothing.
#[test]
fn marks_come_back() {
    let key = [7; 32];
    let mark = Mark::of(&key, "api-1#4");
    let cookie = mark.set_cookie("replica", true).unwrap();
    let cookie = cookie.to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Secure");
    assert!(!mark.set_cookie("replica", false).unwrap().to_str().unwrap().contains("Secure"));
    assert_eq!(Mark::find(&headers(&[pair]), "replica"), Some(mark));
    assert!(!cookie.contains("api"), "{cookie}");
    for other in [Mark::of(&key, "api-2#4"), Mark::of(&[8; 32], "api-1#4")] {
        assert_ne!(other, mark);
    }
    for bad in ["replica=", "replica=zz", "replica=+0000000000000000000000000000000", "other=00"] {
        assert_eq!(Mark::find(&headers(&[bad]), "replica"), None, "{bad}");
    }
}
