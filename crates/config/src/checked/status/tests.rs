use super::*;

fn check(text: &str, expected: Result<(u16, u16), &str>) {
    let read = parse_range(text).map(|range| (*range.start(), *range.end()));
    assert_eq!(read, expected.map_err(str::to_owned), "{text}");
}

/// Goal: codes, hundreds and ranges, and nothing that is no status.
#[test]
fn ranges() {
    check("204", Ok((204, 204)));
    check("2xx", Ok((200, 299)));
    check("200-399", Ok((200, 399)));
    check("100-599", Ok((100, 599)));
    let no_code = Err("is not a status code from 100 to 599");
    for text in ["", "99", "600", "6xx", "0xx", "xx", "2XX", "20x", "200-", "-200", "200-600", "ok", "99999", "２００"]
    {
        check(text, no_code);
    }
    check("399-200", Err("has the backward range `399-200`"));
}
