//! `250ms`, `5s`, `1m30s`, `2h`, `7d`.

use std::time::Duration;

/// The units, largest first: the order in which a duration is written.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest duration: a hundred years, far from every overflow that could follow.
const LONGEST_MS: u64 = 36_525 * 86_400_000;

/// Reads a duration. The error is the second half of a sentence that begins with what was read.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("has a space in it".to_owned());
    }
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut units_left = &UNITS[..];
    while !rest.is_empty() {
        let (count, after_count) = split_count(rest)?;
        let unit_len = after_count.find(|c: char| c.is_ascii_digit()).unwrap_or(after_count.len());
        let (unit, after_unit) = after_count.split_at(unit_len);
        let index = find_unit(unit, units_left)?;
        total_ms = count
            .checked_mul(units_left[index].1)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= LONGEST_MS)
            .ok_or("is longer than 100 years")?;
        units_left = &units_left[index + 1..];
        rest = after_unit;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration the way [`parse`] reads it.
pub fn show(duration: Duration) -> String {
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut shown = String::new();
    for (unit, unit_ms) in UNITS {
        let count = left_ms / unit_ms;
        left_ms %= unit_ms;
        if count > 0 {
            shown.push_str(&format!("{count}{unit}"));
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

fn split_count(text: &str) -> Result<(u64, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, rest) = text.split_at(digits);
    if count.is_empty() {
        return Err("does not begin with a number".to_owned());
    }
    if rest.starts_with('.') {
        return Err("has a fraction; use a smaller unit".to_owned());
    }
    let count = count.parse().map_err(|_| "is longer than 100 years")?;
    Ok((count, rest))
}

/// The place of `unit` among those that may still follow.
fn find_unit(unit: &str, left: &[(&str, u64)]) -> Result<usize, String> {
    if let Some(index) = left.iter().position(|(name, _)| *name == unit) {
        return Ok(index);
    }
    if unit.is_empty() {
        return Err("has no unit".to_owned());
    }
    if UNITS.iter().any(|(name, _)| *name == unit) {
        return Err(format!("has `{unit}` twice or in the wrong order; the largest unit comes first"));
    }
    Err(format!("has the unknown unit `{unit}`"))
}

#[cfg(test)]
mod tests;
