//! `17 4 * * *`, `0 7 * * MON-FRI`, `@daily`.

use std::fmt;

/// A schedule of five fields, as in crontab.
#[derive(Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
}

/// A minute of the calendar, as plain numbers: this crate reads no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 0 to 59
    pub minute: u8,
    /// 0 to 23
    pub hour: u8,
    /// Day of the month, 1 to 31
    pub day: u8,
    /// 1 to 12
    pub month: u8,
    /// Day of the week, 0 for Sunday to 6 for Saturday
    pub weekday: u8,
}

impl Cron {
    /// Whether the schedule names this minute.
    ///
    /// As in every cron: when both day fields are restricted, either of them is enough.
    pub fn matches(&self, at: &Civil) -> bool {
        let day = has(self.days, at.day);
        let weekday = has(self.weekdays, at.weekday % 7);
        let day_matches =
            if self.days == DAY.every() || self.weekdays == WEEKDAY.every() { day && weekday } else { day || weekday };
        has(self.minutes, at.minute) && has(self.hours, at.hour) && has(self.months, at.month) && day_matches
    }

    /// Reads a schedule. The error is the second half of a sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let fields = if text.starts_with('@') { spell_out(text)? } else { text };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let count = fields.len();
            let count =
                if count < 5 { format!("{count} of the 5 fields") } else { format!("{count} fields instead of 5") };
            return Err(format!("has {count}: minute hour day month weekday"));
        };
        let cron = Cron {
            text: text.to_owned(),
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: fold_sunday(WEEKDAY.parse(weekday)?),
        };
        cron.can_ever_match().then_some(cron).ok_or_else(|| "names a day that no month has".to_owned())
    }

    /// False for `0 0 31 2 *` and its like, which would silently never run.
    fn can_ever_match(&self) -> bool {
        if self.weekdays != WEEKDAY.every() {
            return true;
        }
        (1..=12).any(|month| has(self.months, month) && (1..=days_in(month)).any(|day| has(self.days, day)))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?})", self.text)
    }
}

/// One of the five fields: its name, its range, and the names its numbers have.
struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    /// Three-letter names, the first for `names_from`.
    names: &'static [&'static str],
    names_from: u8,
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[], names_from: 0 };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[], names_from: 0 };
const DAY: Field = Field { name: "day", least: 1, most: 31, names: &[], names_from: 0 };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: &MONTHS, names_from: 1 };
/// Both 0 and 7 are Sunday.
const WEEKDAY: Field = Field { name: "weekday", least: 0, most: 7, names: &WEEKDAYS, names_from: 0 };

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    /// The set of all its numbers, as bits.
    fn every(&self) -> u64 {
        let all = (self.least..=self.most).fold(0, |set, number| set | 1 << number);
        if self.name == WEEKDAY.name { fold_sunday(all) } else { all }
    }

    /// A list such as `1,5-9,*/15`, as a set of bits.
    fn parse(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.parse_part(part)?))
    }

    /// One part of the list: `*`, `5`, `5-9`, each perhaps with a step.
    fn parse_part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.parse_step(step)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most),
            Some((first, last)) => (self.parse_number(first)?, self.parse_number(last)?),
            None if step.is_some() => (self.parse_number(range)?, self.most),
            None => (self.parse_number(range)?, self.parse_number(range)?),
        };
        if first > last {
            return Err(format!("has the backward range `{range}` as its {}", self.name));
        }
        let numbers = (first..=last).step_by(step.unwrap_or(1));
        Ok(numbers.fold(0, |set, number| set | 1 << number))
    }

    fn parse_step(&self, text: &str) -> Result<usize, String> {
        match text.parse::<u8>() {
            Ok(step) if step > 0 && is_digits(text) => Ok(usize::from(step)),
            _ => Err(format!("has the step `{text}` in its {}, which is not a number above 0", self.name)),
        }
    }

    fn parse_number(&self, text: &str) -> Result<u8, String> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            let index = u8::try_from(index).expect("there are at most twelve names");
            return Ok(self.names_from + index);
        }
        match text.parse() {
            Ok(number) if is_digits(text) && (self.least..=self.most).contains(&number) => Ok(number),
            _ => Err(self.not_a_number(text)),
        }
    }

    fn not_a_number(&self, text: &str) -> String {
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(", or {first} to {last}"),
            _ => String::new(),
        };
        format!("has `{text}` as its {}, which goes from {} to {}{names}", self.name, self.least, self.most)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has(set: u64, number: u8) -> bool {
    number < 64 && set >> number & 1 == 1
}

/// Makes the 7 of some crontabs the 0 that it means.
fn fold_sunday(weekdays: u64) -> u64 {
    (weekdays | weekdays >> 7 & 1) & 0b111_1111
}

/// The most days a month can have.
fn days_in(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn spell_out(nickname: &str) -> Result<&'static str, String> {
    match nickname {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        _ => Err("is none of @hourly, @daily, @weekly, @monthly and @yearly".to_owned()),
    }
}

#[cfg(test)]
mod tests;
