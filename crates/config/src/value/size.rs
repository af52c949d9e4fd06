//! `512MB` (10^6), `512MiB` (2^20), `1024`.

use std::fmt;

/// The units. The decimal ones are what disks and clouds mean, the binary ones what memory means.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// How many bytes it is.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads a size. The error is the second half of a sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Size, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.contains(char::is_whitespace) {
            return Err("has a space in it".to_owned());
        }
        if text.starts_with('-') {
            return Err("is negative".to_owned());
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(digits);
        if count.is_empty() {
            return Err("does not begin with a number".to_owned());
        }
        if unit.starts_with('.') {
            return Err("has a fraction; use a smaller unit".to_owned());
        }
        let factor = find_unit(unit)?;
        // Up to i64::MAX, because the ledger and the kernel count in signed numbers.
        let bytes = count.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
        bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).map(Size).ok_or_else(|| "is too large".to_owned())
    }
}

impl fmt::Display for Size {
    /// In the largest unit that divides it, so that what is printed can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor);
        match UNITS.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
            Some((unit, factor)) if self.0 > 0 => write!(f, "{}{unit}", self.0 / factor),
            _ => write!(f, "{}B", self.0),
        }
    }
}

fn find_unit(unit: &str) -> Result<u64, String> {
    if unit.is_empty() {
        return Ok(1);
    }
    if let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*factor);
    }
    let similar = UNITS.iter().find(|(name, _)| {
        name.eq_ignore_ascii_case(unit) || name.trim_end_matches(['B', 'i']).eq_ignore_ascii_case(unit)
    });
    match similar {
        Some((name, _)) => Err(format!("has the unknown unit `{unit}`; did you mean `{name}`?")),
        None => Err(format!("has the unknown unit `{unit}`")),
    }
}

#[cfg(test)]
mod tests;
