use super::*;

fn check(text: &str, expected: Result<u64, &str>) {
    let read = parse(text).map(|duration| duration.as_millis() as u64);
    assert_eq!(read, expected.map_err(str::to_owned), "{text}");
}

/// Goal: every unit, alone and in order, and zero.
#[test]
fn good() {
    check("250ms", Ok(250));
    check("0s", Ok(0));
    check("5s", Ok(5_000));
    check("1m", Ok(60_000));
    check("2h", Ok(7_200_000));
    check("7d", Ok(604_800_000));
    check("1m30s", Ok(90_000));
    check("1d2h3m4s5ms", Ok(93_784_005));
    check("90s", Ok(90_000));
    check("007s", Ok(7_000));
    check("36525d", Ok(LONGEST_MS));
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check("", Err("is empty"));
    check("-5s", Err("is negative"));
    check("5", Err("has no unit"));
    check("1m30", Err("has no unit"));
    check("s", Err("does not begin with a number"));
    check(" 5s", Err("has a space in it"));
    check("five", Err("does not begin with a number"));
    check("1.5s", Err("has a fraction; use a smaller unit"));
    check("5 s", Err("has a space in it"));
    check("1m 30s", Err("has a space in it"));
    check("5sec", Err("has the unknown unit `sec`"));
    check("5S", Err("has the unknown unit `S`"));
    check("5w", Err("has the unknown unit `w`"));
    check("5µs", Err("has the unknown unit `µs`"));
    check("٥s", Err("does not begin with a number"));
    check("30s1m", Err("has `m` twice or in the wrong order; the largest unit comes first"));
    check("1s1s", Err("has `s` twice or in the wrong order; the largest unit comes first"));
    check("36526d", Err("is longer than 100 years"));
    check("36525d1ms", Err("is longer than 100 years"));
    check("18446744073709551615ms", Err("is longer than 100 years"));
    check("18446744073709551616ms", Err("is longer than 100 years"));
    check("99999999999999999999999999d", Err("is longer than 100 years"));
}

/// Goal: what is shown is read back as the same duration.
#[test]
fn shown() {
    for text in ["0s", "250ms", "5s", "1m30s", "2h", "7d", "1d2h3m4s5ms"] {
        assert_eq!(show(parse(text).unwrap()), text);
    }
    assert_eq!(show(parse("90s").unwrap()), "1m30s");
}
