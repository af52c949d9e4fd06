use super::*;

fn check(text: &str, expected: Result<&str, &str>) {
    let read = Rate::parse(text).map(|rate| rate.to_string());
    assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
}

/// Goal: a bare unit, a whole duration, and how they are shown.
#[test]
fn good() {
    check("10/s", Ok("10/1s"));
    check("5/1m", Ok("5/1m"));
    check("100/h", Ok("100/1h"));
    check("3/90s", Ok("3/1m30s"));
    check("1/250ms", Ok("1/250ms"));
    check("4294967295/d", Ok("4294967295/1d"));
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check("", Err("has no `/`"));
    check("10", Err("has no `/`"));
    check("10 per second", Err("has no `/`"));
    check("-1/s", Err("is negative"));
    check("/s", Err("does not begin with a whole number"));
    check("1.5/s", Err("does not begin with a whole number"));
    check("+1/s", Err("does not begin with a whole number"));
    check("١/s", Err("does not begin with a whole number"));
    check("4294967296/s", Err("has too large a number"));
    check("0/s", Err("allows nothing at all"));
    check("10/", Err("has a time after the `/` that is empty"));
    check("10/0s", Err("has no time after the `/`"));
    check("10/5", Err("has a time after the `/` that has no unit"));
    check("10/minute", Err("has a time after the `/` that has the unknown unit `minute`"));
    check("10/s/s", Err("has a time after the `/` that has the unknown unit `s/s`"));
    check("10/-1s", Err("has a time after the `/` that is negative"));
}
