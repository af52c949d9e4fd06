//! Where a request's path leads inside a folder. Pure.
//!
//! The path is decoded exactly once, segment by segment. What no honest client asks for leads nowhere, rather than being
//! repaired: a repaired path means one thing here and another in a log or in a rule.

use std::borrow::Cow;

/// The longest name Linux knows.
const NAME_BYTES_MAX: usize = 255;

/// The one hidden folder that is made to be read by strangers (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A place in a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Names joined by `/`, with none at either end; empty for the folder itself.
    pub(crate) path: Cow<'a, [u8]>,
    /// Whether the request ended in a slash, as one for a folder does.
    pub(crate) ends_in_slash: bool,
}

/// What follows a route's path prefix; the whole path when the route has none.
pub(crate) fn below<'a>(prefix: &str, path: &'a str) -> &'a str {
    path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path)
}

/// The place that `rest` names, `None` when it can name no file: empty names, `.` and `..`, hidden names, and names with
/// a NUL, a slash or a backslash in them, written plainly or encoded.
pub(crate) fn resolve(rest: &str) -> Option<Target<'_>> {
    let Some(rest) = rest.strip_prefix('/') else {
        return rest.is_empty().then_some(Target { path: Cow::Borrowed(b""), ends_in_slash: false });
    };
    let trimmed = rest.strip_suffix('/').unwrap_or(rest);
    let ends_in_slash = rest.is_empty() || trimmed.len() < rest.len();
    let path = decode(trimmed)?;
    let is_fine = rest.is_empty() || path.split(|byte| *byte == b'/').all(is_name);
    is_fine.then_some(Target { path, ends_in_slash })
}

/// True when the last name has an extension: such a path asks for a file, not for a page of an app.
pub(crate) fn has_extension(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.contains(&b'.'))
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && (name[0] != b'.' || name == WELL_KNOWN)
}

/// Decodes `%XX` once. Borrowed when there is none, as in nearly every request.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return (!bytes.iter().any(|byte| is_forbidden(*byte))).then_some(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (byte, width) = match byte {
            b'%' => (hex(*bytes.get(at + 1)?)? << 4 | hex(*bytes.get(at + 2)?)?, 3),
            b'/' => {
                decoded.push(b'/');
                at += 1;
                continue;
            }
            plain => (plain, 1),
        };
        // An encoded slash would be a name with a slash in it, which no file has.
        if is_forbidden(byte) || byte == b'/' {
            return None;
        }
        decoded.push(byte);
        at += width;
    }
    Some(Cow::Owned(decoded))
}

fn is_forbidden(byte: u8) -> bool {
    matches!(byte, 0 | b'\\')
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests;
