use super::*;

/// Goal: a policy that a browser would read otherwise than it was meant is refused, with what was meant.
#[test]
fn policies_mean_what_they_say() {
    let check = |text: &str, expected: Result<&str, &str>| {
        assert_eq!(parse_csp(text).as_deref().map_err(String::as_str), expected, "{text}");
    };
    check("default-src 'self'; img-src *;", Ok("default-src 'self'; img-src *;"));
    check(" off ", Ok("off"));
    check("upgrade-insecure-requests", Ok("upgrade-insecure-requests"));
    check("", Err("is empty"));
    check(";", Err("says nothing"));
    check("defualt-src 'self'", Err("has no directive `defualt-src`; did you mean `default-src`?"));
    check("cookies 'none'", Err("has no directive `cookies`"));
    check("default-src self", Err("has `self` without single quotes, which means a host of that name"));
    check("img-src *; IMG-SRC 'self'", Err("has `img-src` twice, and browsers look only at the first"));
    check("default-src 'self'\nX-Evil: 1", Err("has the character `\\n`, which no header can carry"));
}
