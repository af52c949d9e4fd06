//! How else an app could read a path: with escapes resolved, without parameters, with one slash for several.
//!
//! Routes are chosen by the bytes that are forwarded. Where the routes of a site admit different clients, a path that
//! could be read as another must not get around the rules of that other. Which of the steps an app takes, and in which
//! order, nobody here knows, so every choice of them is a reading.

/// How else a path may be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Readings {
    /// As each of these; nearly every path has none.
    Known(Vec<String>),
    /// It has dots to follow. Where they lead depends on what their reader takes for a segment, and some do not follow
    /// them at all.
    Unclear,
}

/// The other readings of a path.
pub(crate) fn other_readings(path: &str) -> Readings {
    let bytes = path.as_bytes();
    let is_suspect = |at: usize| match bytes[at] {
        b'%' | b'\\' | b';' => true,
        b'/' => matches!(bytes.get(at + 1), Some(b'/' | b'.')),
        _ => false,
    };
    if !(0..bytes.len()).any(is_suspect) {
        return Readings::Known(Vec::new());
    }
    if has_dots(bytes) {
        return Readings::Unclear;
    }
    let cut = without_parameters(bytes);
    let mut readings = vec![bytes.to_vec(), cut.clone()];
    for backslash in [b'/', b'\\'] {
        let (resolved, resolved_last) = (resolve(bytes, backslash), resolve(&cut, backslash));
        readings.extend([without_parameters(&resolved), without_parameters(&resolved_last), resolved, resolved_last]);
    }
    let merged: Vec<_> = readings.iter().map(|reading| merge_slashes(reading)).collect();
    readings.extend(merged);
    readings.sort_unstable();
    readings.dedup();
    readings.retain(|reading| reading != bytes);
    Readings::Known(readings.into_iter().map(|reading| String::from_utf8_lossy(&reading).into_owned()).collect())
}

/// Whether some reader of the path sees a segment `.` or `..`: it may leave the folder with it that its route is for.
pub(super) fn has_dots(path: &[u8]) -> bool {
    let is_dots = |segment: &[u8]| matches!(name_of(segment), b"." | b"..");
    resolve(path, b'/').split(|byte| *byte == b'/').any(is_dots)
}

/// Escapes become what they stand for, and a backslash what its reader takes it for: some say, a slash.
fn resolve(path: &[u8], backslash: u8) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let byte = escaped.unwrap_or(*first);
        resolved.push(if byte == b'\\' { backslash } else { byte });
        rest = if escaped.is_some() { &rest[3..] } else { after };
    }
    resolved
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What follows a `;` in a segment is no part of its name.
fn name_of(segment: &[u8]) -> &[u8] {
    segment.split(|byte| *byte == b';').next().unwrap_or_default()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == b'/').map(name_of).collect::<Vec<_>>().join(&b'/')
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|one, other| *one == b'/' && *other == b'/');
    merged
}

#[cfg(test)]
mod tests;
