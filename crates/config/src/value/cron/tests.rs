use super::*;

/// Friday, 13 March, 07:30.
const FRIDAY: Civil = Civil { minute: 30, hour: 7, day: 13, month: 3, weekday: 5 };
/// Sunday, 1 February, 00:00.
const SUNDAY: Civil = Civil { minute: 0, hour: 0, day: 1, month: 2, weekday: 0 };

fn check(text: &str, at: Civil, expected: bool) {
    assert_eq!(Cron::parse(text).unwrap().matches(&at), expected, "{text} at {at:?}");
}

fn check_bad(text: &str, expected: &str) {
    assert_eq!(Cron::parse(text), Err(expected.to_owned()), "{text}");
}

/// Goal: numbers, lists, ranges, steps and stars in each field.
#[test]
fn fields() {
    check("* * * * *", FRIDAY, true);
    check("30 7 * * *", FRIDAY, true);
    check("31 7 * * *", FRIDAY, false);
    check("30 8 * * *", FRIDAY, false);
    check("0,15,30,45 * * * *", FRIDAY, true);
    check("0,15,45 * * * *", FRIDAY, false);
    check("20-40 * * * *", FRIDAY, true);
    check("31-40 * * * *", FRIDAY, false);
    check("*/10 * * * *", FRIDAY, true);
    check("*/7 * * * *", FRIDAY, false);
    check("10-59/20 * * * *", FRIDAY, true);
    check("10/20 * * * *", FRIDAY, true);
    check("10/15 * * * *", FRIDAY, false);
    check("* * 13 * *", FRIDAY, true);
    check("* * 14 * *", FRIDAY, false);
    check("* * * 3 *", FRIDAY, true);
    check("* * * 1-2,4-12 *", FRIDAY, false);
    check("  30\t7  * * * ", FRIDAY, true);
}

/// Goal: names of months and days in any case, and Sunday as 0 and as 7.
#[test]
fn names() {
    check("* * * MAR *", FRIDAY, true);
    check("* * * jan-mar *", FRIDAY, true);
    check("* * * APR-DEC *", FRIDAY, false);
    check("* * * * MON-FRI", FRIDAY, true);
    check("* * * * Sat,Sun", FRIDAY, false);
    check("* * * * SUN", SUNDAY, true);
    check("* * * * 0", SUNDAY, true);
    check("* * * * 7", SUNDAY, true);
    check("* * * * 5-7", SUNDAY, true);
    check("* * * * 1-6", SUNDAY, false);
}

/// Goal: when both day fields are restricted, either is enough; when one is a star, the other decides.
#[test]
fn day_or_weekday() {
    check("* * 13 * MON", FRIDAY, true);
    check("* * 14 * FRI", FRIDAY, true);
    check("* * 14 * MON", FRIDAY, false);
    check("* * 13 * FRI", FRIDAY, true);
    check("* * * * MON", FRIDAY, false);
    check("* * 14 * *", FRIDAY, false);
    // A step makes the field a restriction.
    check("* * */2 * MON", FRIDAY, true);
}

/// Goal: the nicknames of crontab.
#[test]
fn nicknames() {
    check("@hourly", SUNDAY, true);
    check("@hourly", FRIDAY, false);
    check("@daily", SUNDAY, true);
    check("@midnight", SUNDAY, true);
    check("@weekly", SUNDAY, true);
    check("@monthly", SUNDAY, true);
    check("@yearly", SUNDAY, false);
    check("@annually", SUNDAY, false);
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check_bad("", "has 0 of the 5 fields: minute hour day month weekday");
    check_bad("* * * *", "has 4 of the 5 fields: minute hour day month weekday");
    check_bad("0 0 * * * *", "has 6 fields instead of 5: minute hour day month weekday");
    check_bad("60 * * * *", "has `60` as its minute, which goes from 0 to 59");
    check_bad("* 24 * * *", "has `24` as its hour, which goes from 0 to 23");
    check_bad("* * 0 * *", "has `0` as its day, which goes from 1 to 31");
    check_bad("* * 32 * *", "has `32` as its day, which goes from 1 to 31");
    check_bad("* * * 13 *", "has `13` as its month, which goes from 1 to 12, or JAN to DEC");
    check_bad("* * * * 8", "has `8` as its weekday, which goes from 0 to 7, or SUN to SAT");
    check_bad("* * * * MONDAY", "has `MONDAY` as its weekday, which goes from 0 to 7, or SUN to SAT");
    check_bad("-1 * * * *", "has `` as its minute, which goes from 0 to 59");
    check_bad("1, * * * *", "has `` as its minute, which goes from 0 to 59");
    check_bad("+1 * * * *", "has `+1` as its minute, which goes from 0 to 59");
    check_bad("٣ * * * *", "has `٣` as its minute, which goes from 0 to 59");
    check_bad("99999999999 * * * *", "has `99999999999` as its minute, which goes from 0 to 59");
    check_bad("30-20 * * * *", "has the backward range `30-20` as its minute");
    check_bad("* * * * SAT-SUN", "has the backward range `SAT-SUN` as its weekday");
    check_bad("*/0 * * * *", "has the step `0` in its minute, which is not a number above 0");
    check_bad("*/x * * * *", "has the step `x` in its minute, which is not a number above 0");
    check_bad("*/ * * * *", "has the step `` in its minute, which is not a number above 0");
    check_bad("@reboot", "is none of @hourly, @daily, @weekly, @monthly and @yearly");
    check_bad("0 0 31 2 *", "names a day that no month has");
    check_bad("0 0 31 4,6,9,11 *", "names a day that no month has");
}

/// Goal: 29 February exists, and a weekday makes an impossible day possible.
#[test]
fn rare_days() {
    check("0 0 29 2 *", SUNDAY, false);
    check("0 0 31 2 SUN", SUNDAY, true);
}
