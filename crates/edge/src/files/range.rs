//! Which part of a file a `Range` asks for. Pure.
//!
//! One range is answered with it. Several are answered with the whole file, which RFC 9110 14.2 leaves to the server:
//! what needs several parts can ask for them one by one, and an answer can then never be larger than the file.

/// What a `Range` means for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole file: no range, several, or one that cannot be read (RFC 9110 14.2: it is ignored).
    Whole,
    /// From the first to the last of these bytes, both within the file.
    Part { first: u64, last: u64 },
    /// Nothing that the file has.
    Beyond,
}

/// Reads the value of a `Range` for a file of `length` bytes.
pub(crate) fn read(value: &str, length: u64) -> Asked {
    let Some((unit, set)) = value.split_once('=') else { return Asked::Whole };
    let mut specs = set.split(',').map(trim).filter(|spec| !spec.is_empty());
    match (specs.next(), specs.next()) {
        (Some(spec), None) if unit.trim().eq_ignore_ascii_case("bytes") => {
            read_one(spec, length).unwrap_or(Asked::Whole)
        }
        _ => Asked::Whole,
    }
}

fn read_one(spec: &str, length: u64) -> Option<Asked> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (trim(first), trim(last));
    if first.is_empty() {
        let count = number(last)?;
        return Some(match (count, length) {
            (0, _) => Asked::Beyond,
            // An empty file has no last bytes to number in a `Content-Range`.
            (_, 0) => Asked::Whole,
            _ => Asked::Part { first: length.saturating_sub(count), last: length - 1 },
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first >= length { Asked::Beyond } else { Asked::Part { first, last: last.min(length - 1) } })
}

/// Digits; more than fit count as the largest number there is.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests;
