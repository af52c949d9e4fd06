//! W3C Trace Context: which trace a request belongs to, and what its app is told about it. Pure.
//!
//! A request that names a valid trace, and comes from somebody who is believed, goes on with it; any other begins a new
//! one. Either way the app's parent is a span of ours, whose id nobody else has.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::settings::{TraceFrom, Tracing};

pub(crate) const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` 32 digits `-` 16 digits `-` 2 digits.
const PARENT_BYTES: usize = 55;

/// Recorded by whoever called us.
const SAMPLED: u8 = 1;
/// The trace's id was made at random (level 2 of the specification).
const RANDOM: u8 = 2;

/// Longer ones may be dropped as a whole, says the specification, which asks for 512 at least.
const STATE_BYTES_MAX: usize = 512;
const STATE_MEMBERS_MAX: usize = 32;

/// The trace of one request, and our span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// In lower-case hexadecimal digits, as it is written everywhere.
    pub(crate) id: [u8; 32],
    span: [u8; 16],
    flags: u8,
    /// It goes on with a trace that somebody else began.
    is_continued: bool,
}

impl Trace {
    /// The trace of a request that came with `headers`.
    pub(crate) fn of(headers: &HeaderMap, trusted: bool, settings: &Tracing, mut draw: impl FnMut() -> u64) -> Trace {
        let is_believed = trusted || settings.from == TraceFrom::Anybody;
        let mut parents = headers.get_all(PARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(parent), None) if is_believed => parent.as_bytes(),
            // Two parents are none.
            _ => b"",
        };
        Trace::continued(parent, draw()).unwrap_or_else(|| Trace::begin(settings, draw))
    }

    /// A new trace.
    pub(crate) fn begin(settings: &Tracing, mut draw: impl FnMut() -> u64) -> Trace {
        let mut id = [0; 32];
        write_hex(&mut id[..16], draw());
        // An id of zeros alone is no id.
        write_hex(&mut id[16..], draw() | 1);
        let flags = if settings.sample.has(draw()) { SAMPLED } else { 0 };
        Trace { id, span: span_of(draw()), flags, is_continued: false }
    }

    /// The trace that `parent` names, with a span of ours; `None` when it is no valid `traceparent`.
    pub(crate) fn continued(parent: &[u8], draw: u64) -> Option<Trace> {
        let (known, rest) = parent.split_at_checked(PARENT_BYTES)?;
        let version = &known[..2];
        // A later version may say more behind another dash, and `ff` is no version.
        let is_whole = if version == b"00" { rest.is_empty() } else { rest.is_empty() || rest[0] == b'-' };
        let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        if !is_whole || !dashes || version == b"ff" || !is_hex(version) {
            return None;
        }
        let id: [u8; 32] = known[3..35].try_into().ok()?;
        let flags = hex_byte(&known[53..])?;
        let is_zero = |digits: &[u8]| digits.iter().all(|&digit| digit == b'0');
        if !is_hex(&id) || !is_hex(&known[36..52]) || is_zero(&id) || is_zero(&known[36..52]) {
            return None;
        }
        // Flags that we do not know must not be passed on.
        Some(Trace { id, span: span_of(draw), flags: flags & (SAMPLED | RANDOM), is_continued: true })
    }

    /// What the app is told: always in the version we speak.
    pub(crate) fn parent(&self) -> [u8; PARENT_BYTES] {
        let mut line = *b"00-00000000000000000000000000000000-0000000000000000-00";
        line[3..35].copy_from_slice(&self.id);
        line[36..52].copy_from_slice(&self.span);
        write_hex(&mut line[53..], u64::from(self.flags));
        line
    }

    /// Whether `tracestate` goes on: only beside a trace that goes on, and only when it can be read.
    pub(crate) fn keeps_state<'a>(&self, states: impl IntoIterator<Item = &'a [u8]>) -> bool {
        self.is_continued && is_state(states)
    }

    /// Writes both headers of a request on its way to an app.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if headers.contains_key(STATE) && !self.keeps_state(headers.get_all(STATE).iter().map(HeaderValue::as_bytes)) {
            headers.remove(STATE);
        }
        let parent = HeaderValue::from_bytes(&self.parent()).expect("digits and dashes are a header value");
        headers.insert(PARENT, parent);
    }
}

fn span_of(draw: u64) -> [u8; 16] {
    let mut span = [0; 16];
    write_hex(&mut span, draw | 1);
    span
}

/// `key=value` members, over all headers of the name.
fn is_state<'a>(states: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let (mut bytes, mut members) = (0, 0);
    for state in states {
        bytes += state.len();
        for member in state.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            members += 1;
            if !is_member(member) {
                return false;
            }
        }
    }
    members > 0 && members <= STATE_MEMBERS_MAX && bytes <= STATE_BYTES_MAX
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let begins = key.first().is_some_and(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let in_key = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    let in_value = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'=';
    let is_short = key.len() <= 256 && (1..=256).contains(&value.len());
    begins && is_short && key.iter().all(in_key) && value.iter().all(in_value)
}

fn is_hex(digits: &[u8]) -> bool {
    // Upper case is not allowed.
    digits.iter().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    if !is_hex(digits) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Fills `into`, which takes whole bytes of two digits, with the last digits of `number`.
pub(crate) fn write_hex(into: &mut [u8], number: u64) {
    for (pair, byte) in into.rchunks_exact_mut(2).zip(number.to_le_bytes()) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
}

/// Every byte in hexadecimal: a request has four numbers written, which digit by digit took longer than its route.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests;
