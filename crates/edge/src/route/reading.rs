//! How else an app could read a path: with escapes resolved, with one slash for several, and with its dots followed.
//!
//! Routes are chosen by the bytes that are forwarded. Where the routes of a site admit different clients, a path that
//! could be read as another must not get around the rules of that other.

/// The other reading of a path; `None` for nearly all, which have only one.
pub(crate) fn other_reading(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let is_suspect = |at: usize| match bytes[at] {
        b'%' | b'\\' | b';' => true,
        b'/' => matches!(bytes.get(at + 1), Some(b'/' | b'.')),
        _ => false,
    };
    if !(0..bytes.len()).any(is_suspect) {
        return None;
    }
    let other = follow(&resolve(bytes));
    (other != bytes).then(|| String::from_utf8_lossy(&other).into_owned())
}

/// Escapes become what they stand for, and a backslash becomes the slash that some take it for.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let byte = escaped.unwrap_or(*first);
        resolved.push(if byte == b'\\' { b'/' } else { byte });
        rest = if escaped.is_some() { &rest[3..] } else { after };
    }
    resolved
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Empty segments and `.` are left out, `..` takes the one before it away, and what follows a `;` in a segment is no
/// part of its name. A slash at the end stays.
fn follow(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match name {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let mut followed: Vec<u8> = segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if followed.is_empty() || path.ends_with(b"/") {
        followed.push(b'/');
    }
    followed
}

#[cfg(test)]
mod tests;
