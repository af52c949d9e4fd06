//! The wall clock's scale: milliseconds since 1970, UTC, and the civil date.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MILLIS_PER_SECOND: i64 = 1_000;
const MILLIS_PER_DAY: i64 = 86_400 * MILLIS_PER_SECOND;

/// A point in time as people write it: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    millis: i64,
}

impl Timestamp {
    /// The timestamp `millis` milliseconds after 1970, or before it when negative.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp { millis }
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.millis
    }

    /// How long ago `earlier` was; zero when it lies ahead, as it may after the wall clock was set back.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let millis = i128::from(self.millis) - i128::from(earlier.millis);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-11-21T03:02:29.000Z`.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }

    /// The date and the time of day in UTC.
    pub fn civil(self) -> Civil {
        let days = self.millis.div_euclid(MILLIS_PER_DAY);
        let of_day = self.millis.rem_euclid(MILLIS_PER_DAY);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            hour: (of_day / 3_600_000) as u8,
            minute: (of_day / 60_000 % 60) as u8,
            second: (of_day / 1_000 % 60) as u8,
            millis: (of_day % 1_000) as u16,
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the room that reads time")]
    pub(crate) fn read_system() -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, millis, .. } = self.civil();
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// For the times of files.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp { millis: millis_of(after) },
            Err(before) => Timestamp { millis: -millis_of(before.duration()) },
        }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    /// Saturates.
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp { millis: self.millis.saturating_add(millis_of(duration)) }
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    /// Saturates.
    fn sub(self, duration: Duration) -> Timestamp {
        Timestamp { millis: self.millis.saturating_sub(millis_of(duration)) }
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A date and a time of day in UTC, in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// Year; 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59: the Unix scale has no leap seconds.
    pub second: u8,
    /// 0 to 999.
    pub millis: u16,
    /// 0 is Sunday, as in cron.
    pub weekday: u8,
}

impl Civil {
    /// Back to the timestamp. `weekday` is not looked at, and a field beyond its range carries over, so that day 32 of
    /// January is 1 February.
    pub fn timestamp(self) -> Timestamp {
        let days = days_before(self.year, self.month, 1).saturating_add(i64::from(self.day) - 1);
        let seconds = i64::from(self.hour) * 3_600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let of_day = seconds * MILLIS_PER_SECOND + i64::from(self.millis);
        Timestamp { millis: days.saturating_mul(MILLIS_PER_DAY).saturating_add(of_day) }
    }
}

/// The four hundred years after which the Gregorian calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// From 0000-03-01, where an era begins so that the leap day is a year's last, to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// The date that lies `days` after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date_of(days: i64) -> (i64, u8, u8) {
    let shifted = days + DAYS_TO_1970;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Days from 1970-01-01 to a date; the inverse of [`date_of`].
fn days_before(year: i64, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let march_year = year.saturating_sub(i64::from(month <= 2));
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.saturating_mul(DAYS_PER_ERA).saturating_add(day_of_era - DAYS_TO_1970)
}

#[cfg(test)]
mod tests;
