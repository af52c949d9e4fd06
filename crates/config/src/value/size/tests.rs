use super::*;

fn check(text: &str, expected: Result<u64, &str>) {
    assert_eq!(Size::parse(text).map(Size::bytes), expected.map_err(str::to_owned), "{text}");
}

/// Goal: decimal and binary units, and none.
#[test]
fn good() {
    check("0", Ok(0));
    check("1024", Ok(1024));
    check("1B", Ok(1));
    check("512KB", Ok(512_000));
    check("512MB", Ok(512_000_000));
    check("512MiB", Ok(536_870_912));
    check("1KiB", Ok(1024));
    check("2GB", Ok(2_000_000_000));
    check("2GiB", Ok(2_147_483_648));
    check("1TB", Ok(1_000_000_000_000));
    check("1TiB", Ok(1_099_511_627_776));
    check("9223372036854775807", Ok(i64::MAX as u64));
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check("", Err("is empty"));
    check("-1MB", Err("is negative"));
    check("MB", Err("does not begin with a number"));
    check("1.5GB", Err("has a fraction; use a smaller unit"));
    check("512mb", Err("has the unknown unit `mb`; did you mean `MB`?"));
    check("512M", Err("has the unknown unit `M`; did you mean `MB`?"));
    check("512 MB", Err("has a space in it"));
    check("512mib", Err("has the unknown unit `mib`; did you mean `MiB`?"));
    check("512Mo", Err("has the unknown unit `Mo`"));
    check("5ＭＢ", Err("has the unknown unit `ＭＢ`"));
    check("9223372036854775808", Err("is too large"));
    check("18446744073709551616", Err("is too large"));
    check("9999999TiB", Err("is too large"));
    check("16777216TiB", Err("is too large"));
}

/// Goal: what is shown is read back as the same size.
#[test]
fn shown() {
    for text in ["0B", "1B", "1KiB", "1KB", "16KiB", "100MB", "512MiB", "1TB", "1025B"] {
        assert_eq!(Size::parse(text).unwrap().to_string(), text);
    }
}
