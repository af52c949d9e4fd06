//! Whether a client's copy is still good: the conditional headers, in the order RFC 9110 13.2.2 gives them. Pure.

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// A strong entity tag, with its quotes.
    pub(crate) tag: &'a [u8],
    /// When it was last changed, in whole seconds; `None` when the file's clock is not to be believed.
    pub(crate) modified: Option<SystemTime>,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer; a `Range` counts.
    Pass,
    /// Answer with the whole: the client's part is of another state.
    PassWhole,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges a GET or HEAD of something that is there.
pub(crate) fn judge(headers: &HeaderMap, validators: Validators<'_>, now: SystemTime) -> Verdict {
    if headers.contains_key(header::IF_MATCH) {
        if !any_tag(headers, header::IF_MATCH, |tag| tag == validators.tag) {
            return Verdict::Failed;
        }
    } else if let Some((since, modified)) = dates(headers, header::IF_UNMODIFIED_SINCE, validators)
        && modified > since
    {
        return Verdict::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if any_tag(headers, header::IF_NONE_MATCH, |tag| opaque(tag) == validators.tag) {
            return Verdict::NotModified;
        }
    } else if let Some((since, modified)) = dates(headers, header::IF_MODIFIED_SINCE, validators)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    match headers.get(header::IF_RANGE) {
        Some(condition) if !is_same(condition, validators, now) => Verdict::PassWhole,
        _ => Verdict::Pass,
    }
}

/// `If-Range`: the same strong tag, or exactly the same date, where it is a strong one (RFC 9110 8.8.2.2): a file changed
/// within this second may be changed again without its date showing it.
fn is_same(condition: &HeaderValue, validators: Validators<'_>, now: SystemTime) -> bool {
    let text = condition.as_bytes().trim_ascii();
    if text.ends_with(b"\"") {
        return text == validators.tag;
    }
    let (Some(date), Some(modified)) = (read_date(condition), validators.modified) else { return false };
    date == modified && modified + Duration::from_secs(1) <= now
}

/// The date a header names and the file's own. One that is no date, or stands there twice, is ignored.
fn dates(headers: &HeaderMap, name: HeaderName, validators: Validators<'_>) -> Option<(SystemTime, SystemTime)> {
    let modified = validators.modified?;
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    Some((read_date(line)?, modified))
}

fn read_date(line: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(line.to_str().ok()?.trim()).ok()
}

/// True when one of the listed tags is `wanted`, or the list is `*`.
fn any_tag(headers: &HeaderMap, name: HeaderName, wanted: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|line| {
        let mut rest = line.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        while let Some((tag, after)) = next_tag(rest) {
            if wanted(tag) {
                return true;
            }
            rest = after;
        }
        false
    })
}

/// The first tag of a list, and what follows. A tag may hold commas, so the list cannot be split at them.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    let list = &list[start..];
    let quote = if list.starts_with(b"W/") { 2 } else { 0 };
    if list.get(quote) != Some(&b'"') {
        return None;
    }
    let end = quote + 1 + list[quote + 1..].iter().position(|byte| *byte == b'"')?;
    Some(list.split_at(end + 1))
}

/// A tag without its mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests;
