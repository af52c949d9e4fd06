//! Lines: splitting what a program prints, and the format they are stored in.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A longer line is split, and its parts are marked. Long enough for a JSON log line with a stack trace.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// A line that a replica printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When prumo read it, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which replica.
    pub replica: String,
    /// Which release it ran.
    pub release: u64,
    /// True for standard error.
    pub error: bool,
    /// True when this goes on with the line before, which was too long.
    pub continued: bool,
    /// What it printed, without the line end. Bytes that are not UTF-8 became U+FFFD.
    pub text: String,
}

impl Line {
    /// Reads a stored line; `None` for one that was torn by a full disk or a crash.
    pub(crate) fn parse(stored: &str) -> Option<Line> {
        let mut fields = stored.splitn(5, '\t');
        let at_ms = fields.next()?.parse().ok()?;
        let replica = fields.next()?.to_owned();
        let release = fields.next()?.parse().ok()?;
        let (error, continued) = match fields.next()? {
            "o" => (false, false),
            "e" => (true, false),
            "oc" => (false, true),
            "ec" => (true, true),
            _ => return None,
        };
        Some(Line { at_ms, replica, release, error, continued, text: fields.next()?.to_owned() })
    }
}

/// Who prints: the fields that all lines of a batch share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) replica: String,
    pub(crate) release: u64,
    pub(crate) error: bool,
}

/// A piece of output between two line ends, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) continued: bool,
}

impl Piece<'_> {
    /// The line this is.
    pub(crate) fn line(&self, source: &Source, at_ms: i64) -> Line {
        Line {
            at_ms,
            replica: source.replica.clone(),
            release: source.release,
            error: source.error,
            continued: self.continued,
            text: self.text.clone().into_owned(),
        }
    }

    /// Appends the stored form: `unix_ms \t replica \t release \t o|e|oc|ec \t text \n`.
    pub(crate) fn store(&self, source: &Source, at_ms: i64, stored: &mut String) {
        let stream = if source.error { 'e' } else { 'o' };
        let continued = if self.continued { "c" } else { "" };
        writeln!(stored, "{at_ms}\t{}\t{}\t{stream}{continued}\t{}", source.replica, source.release, self.text)
            .expect("writing to a string cannot fail");
    }
}

/// Splits a stream of bytes into lines, keeping the unfinished last one.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    unfinished: Vec<u8>,
    continued: bool,
}

impl Splitter {
    /// Takes the next bytes and returns the pieces they complete.
    pub(crate) fn push<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.unfinished.len();
            let within = &bytes[..bytes.len().min(room)];
            if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                pieces.extend(self.complete(&bytes[..end], true));
                bytes = &bytes[end + 1..];
            } else if within.len() == room {
                pieces.extend(self.complete(within, false));
                bytes = &bytes[room..];
            } else {
                self.unfinished.extend_from_slice(within);
                bytes = &[];
            }
        }
        pieces
    }

    /// The stream ended: what is left is a line too.
    pub(crate) fn finish(&mut self) -> Option<Piece<'static>> {
        if self.unfinished.is_empty() { None } else { self.complete(&[], true) }
    }

    fn complete<'a>(&mut self, end: &'a [u8], line_ends: bool) -> Option<Piece<'a>> {
        let continued = std::mem::replace(&mut self.continued, !line_ends);
        if self.unfinished.is_empty() {
            // A line that is exactly as long as its parts has nothing left to say.
            let said = continued && line_ends && end.is_empty();
            return (!said).then(|| Piece { text: text_of(end), continued });
        }
        self.unfinished.extend_from_slice(end);
        let text = Cow::Owned(text_of(&self.unfinished).into_owned());
        self.unfinished.clear();
        Some(Piece { text, continued })
    }
}

fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes))
}

#[cfg(test)]
mod tests;
