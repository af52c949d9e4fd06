use http::header::HeaderValue;

use super::*;

fn headers(name: &header::HeaderName, lines: &[&'static str]) -> HeaderMap {
    lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
}

fn check(accept: &'static str, there: &str, expected: &str) {
    let headers = headers(&header::ACCEPT_ENCODING, &[accept]);
    let there: Vec<&str> = there.split_whitespace().collect();
    let chosen = choose_coding(&headers, |coding| there.contains(&coding.name()));
    assert_eq!(chosen.map_or("plain", Coding::name), expected, "{accept:?} of {there:?}");
}

/// Goal: the coding a client likes best of those that are there; ours when it does not care.
#[test]
fn chooses_a_coding() {
    let all = "br zstd gzip";
    check("gzip, deflate, br, zstd", all, "br");
    check("gzip, deflate, br, zstd", "zstd gzip", "zstd");
    check("gzip, deflate, br, zstd", "gzip", "gzip");
    check("gzip, deflate, br, zstd", "", "plain");
    check("gzip", all, "gzip");
    check("x-gzip", all, "gzip");
    check("GZIP", all, "gzip");
    check("deflate", all, "plain");
    check("*", all, "br");
    check("*", "gzip", "gzip");
    check("", all, "plain");
    check("identity", all, "plain");
}

/// Goal: weights count, and a weight of nothing forbids.
#[test]
fn weighs() {
    let all = "br zstd gzip";
    check("br;q=0.5, gzip;q=0.8", all, "gzip");
    check("br;q=0.5,gzip;q=0.5", all, "br");
    check("br; q=0, gzip", all, "gzip");
    check("br;q=0", all, "plain");
    check("*;q=0", all, "plain");
    check("*;q=0, gzip", all, "gzip");
    check("br;q=0, *", all, "zstd");
    check("gzip;q=0.3, identity", all, "plain");
    check("gzip;q=0.3, identity;q=0.2", all, "gzip");
    check("gzip;q=0.001", all, "gzip");
    check("identity;q=0, gzip;q=0.1", all, "gzip");
    check("identity;q=0", all, "plain");
    check("gzip, identity", all, "gzip");
}

/// Goal: what cannot be read is not taken for a wish.
#[test]
fn ignores_broken_weights() {
    for accept in ["gzip;q=2", "gzip;q=-1", "gzip;q=0.1234", "gzip;q=x", "gzip;q=", "gzip;q=1.1", ";q=1", ",,", "gzi p"]
    {
        check(accept, "gzip", "plain");
    }
    check("gzip;q=x, br", "br gzip", "br");
}

/// Goal: a header may come in several lines, and none means the plain file.
#[test]
fn reads_several_lines() {
    let several = headers(&header::ACCEPT_ENCODING, &["deflate", "gzip"]);
    assert_eq!(choose_coding(&several, |_| true), Some(Coding::Gzip));
    assert_eq!(choose_coding(&HeaderMap::new(), |_| true), None);
}

/// Goal: a browser that goes to a page accepts HTML; scripts and programs do not say so.
#[test]
fn knows_who_wants_a_page() {
    for (accept, expected) in [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
        ("text/html;q=0", false),
        ("Text/HTML", true),
        ("application/json, text/plain, */*", false),
        ("*/*", false),
        ("image/avif,image/webp,*/*;q=0.8", false),
        ("", false),
    ] {
        assert_eq!(accepts_html(&headers(&header::ACCEPT, &[accept])), expected, "{accept}");
    }
    assert!(!accepts_html(&HeaderMap::new()));
}
