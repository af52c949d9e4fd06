//! `10/s`, `5/1m`, `100/h`.

use std::fmt;
use std::time::Duration;

use super::duration;

/// So many events in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how much time.
    pub per: Duration,
}

impl Rate {
    /// Reads a rate. The error is the second half of a sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let Some((count, per)) = text.split_once('/') else {
            return Err("has no `/`".to_owned());
        };
        if count.starts_with('-') {
            return Err("is negative".to_owned());
        }
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("does not begin with a whole number".to_owned());
        }
        let count = count.parse().map_err(|_| "has too large a number")?;
        if count == 0 {
            return Err("allows nothing at all".to_owned());
        }
        let per = parse_period(per)?;
        Ok(Rate { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, duration::show(self.per))
    }
}

/// A duration, or a bare unit such as the `s` of `10/s`.
fn parse_period(text: &str) -> Result<Duration, String> {
    let begins_with_letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let written_out = if begins_with_letter { format!("1{text}") } else { text.to_owned() };
    let per = duration::parse(&written_out).map_err(|why| format!("has a time after the `/` that {why}"))?;
    if per.is_zero() {
        return Err("has no time after the `/`".to_owned());
    }
    Ok(per)
}

#[cfg(test)]
mod tests;
