//! `5%`, `99.5%`.

use std::fmt;

/// A share of a whole, from 0% to 100%, kept exactly to three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    thousandths: u32,
}

impl Percent {
    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let share = u128::from(whole) * u128::from(self.thousandths) / 100_000;
        u64::try_from(share).expect("a share of at most 100% is not larger than the whole")
    }

    /// The share as a number from 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.thousandths) / 100_000.0
    }

    /// Reads a percentage. The error is the second half of a sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Percent, String> {
        if text.starts_with('-') {
            return Err("is negative".to_owned());
        }
        let Some(number) = text.strip_suffix('%') else {
            return Err("has no `%` at its end".to_owned());
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) {
            return Err("is not a number and a `%`".to_owned());
        }
        if decimals.len() > 3 {
            return Err("has more than three decimals".to_owned());
        }
        let digits = format!("{whole}{decimals:0<3}");
        match digits.parse() {
            Ok(thousandths) if thousandths <= 100_000 => Ok(Percent { thousandths }),
            _ => Err("is more than 100%".to_owned()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.thousandths / 1000, self.thousandths % 1000);
        if decimals == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{decimals:03}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests;
