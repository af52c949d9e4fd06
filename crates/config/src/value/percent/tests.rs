use super::*;

fn check(text: &str, expected: Result<&str, &str>) {
    let read = Percent::parse(text).map(|percent| percent.to_string());
    assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
}

/// Goal: whole and broken percentages, from nothing to all.
#[test]
fn good() {
    check("0%", Ok("0%"));
    check("5%", Ok("5%"));
    check("99.5%", Ok("99.5%"));
    check("99.999%", Ok("99.999%"));
    check("0.001%", Ok("0.001%"));
    check("100%", Ok("100%"));
    check("100.000%", Ok("100%"));
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check("", Err("has no `%` at its end"));
    check("5", Err("has no `%` at its end"));
    check("-5%", Err("is negative"));
    check("%", Err("is not a number and a `%`"));
    check("5 %", Err("is not a number and a `%`"));
    check(".5%", Err("is not a number and a `%`"));
    check("5.%", Err("is not a number and a `%`"));
    check("five%", Err("is not a number and a `%`"));
    check("٥%", Err("is not a number and a `%`"));
    check("99.9999%", Err("has more than three decimals"));
    check("100.001%", Err("is more than 100%"));
    check("101%", Err("is more than 100%"));
    check("99999999999999999999%", Err("is more than 100%"));
}

/// Goal: a share is exact, also of the largest disk.
#[test]
fn shares() {
    let of = |percent: &str, whole| Percent::parse(percent).unwrap().of(whole);
    assert_eq!(of("5%", 1000), 50);
    assert_eq!(of("5%", 19), 0);
    assert_eq!(of("100%", u64::MAX), u64::MAX);
    assert_eq!(of("0.001%", 100_000), 1);
    assert_eq!(Percent::parse("50%").unwrap().ratio(), 0.5);
}
