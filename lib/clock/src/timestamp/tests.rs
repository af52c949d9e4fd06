use proptest::prelude::*;

use super::*;

fn check(millis: i64, expected: &str, weekday: u8) {
    let timestamp = Timestamp::from_millis(millis);
    assert_eq!(timestamp.rfc3339(), expected);
    assert_eq!(timestamp.civil().weekday, weekday, "{expected}");
    assert_eq!(timestamp.civil().timestamp(), timestamp, "{expected}");
}

/// Goal: known dates come out right: leap days, centuries, the turn of a year, and times before 1970.
#[test]
fn known_dates() {
    check(0, "1970-01-01T00:00:00.000Z", 4);
    check(-1, "1969-12-31T23:59:59.999Z", 3);
    check(951_782_400_000, "2000-02-29T00:00:00.000Z", 2);
    check(951_868_800_000, "2000-03-01T00:00:00.000Z", 3);
    check(1_709_164_800_123, "2024-02-29T00:00:00.123Z", 4);
    check(1_735_689_599_999, "2024-12-31T23:59:59.999Z", 2);
    check(1_735_689_600_000, "2025-01-01T00:00:00.000Z", 3);
    check(4_107_542_399_000, "2100-02-28T23:59:59.000Z", 0);
    check(4_107_542_400_000, "2100-03-01T00:00:00.000Z", 1);
    check(-2_203_891_200_000, "1900-03-01T00:00:00.000Z", 4);
    check(-62_135_596_800_000, "0001-01-01T00:00:00.000Z", 1);
    check(253_402_300_799_999, "9999-12-31T23:59:59.999Z", 5);
}

/// Goal: a field beyond its range carries over, which is how cron finds the day after the last of a month.
#[test]
fn fields_carry_over() {
    let last = Civil { year: 2026, month: 1, day: 32, hour: 24, minute: 0, second: 0, millis: 0, weekday: 0 };
    assert_eq!(last.timestamp().rfc3339(), "2026-02-02T00:00:00.000Z");
}

/// Goal: adding, subtracting and measuring saturate at the ends of the scale.
#[test]
fn arithmetic_saturates() {
    let noon = Timestamp::from_millis(1_000);
    assert_eq!((noon + Duration::from_secs(2)).millis(), 3_000);
    assert_eq!((noon - Duration::from_secs(2)).millis(), -1_000);
    assert_eq!((noon + Duration::MAX).millis(), i64::MAX);
    assert_eq!((noon - Duration::MAX).millis(), 1_000 - i64::MAX);
    assert_eq!((noon + Duration::from_secs(2)).since(noon), Duration::from_secs(2));
    assert_eq!(noon.since(noon + Duration::from_secs(2)), Duration::ZERO);
    let whole = Timestamp::from_millis(i64::MAX).since(Timestamp::from_millis(i64::MIN));
    assert_eq!(whole, Duration::from_millis(u64::MAX));
}

/// Goal: the time of a file converts on both sides of 1970.
#[test]
fn file_times_convert() {
    assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_millis(1_500)).millis(), 1_500);
    assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_millis(1_500)).millis(), -1_500);
}

proptest! {
    /// Goal: every timestamp of the last and next ten thousand years survives the way to a civil date and back, with
    /// each field in its range and the weekday one further each day.
    #[test]
    fn civil_dates_convert_back(millis in -300_000_000_000_000_i64..300_000_000_000_000) {
        let timestamp = Timestamp::from_millis(millis);
        let civil = timestamp.civil();
        prop_assert_eq!(civil.timestamp(), timestamp);
        prop_assert!((1..=12).contains(&civil.month) && (1..=31).contains(&civil.day));
        prop_assert!(civil.hour < 24 && civil.minute < 60 && civil.second < 60 && civil.millis < 1_000);
        let tomorrow = Timestamp::from_millis(millis + MILLIS_PER_DAY).civil();
        prop_assert_eq!(tomorrow.weekday, (civil.weekday + 1) % 7);
    }
}
