//! The offending line, cut and cleaned so that it is safe and useful on a terminal.

use std::ops::Range;

use serde::Serialize;

use crate::secrecy;

/// The widest excerpt, in characters: two lines of a usual terminal.
const WIDTH_MAX: usize = 160;

/// How much of a long line is shown before the mistake.
const LEAD: usize = 40;

/// A line of the file, and which of its characters to underline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, without control characters, cut when it is long; texts that look like secrets are masked.
    pub line: String,
    /// How many characters stand before the mistake.
    pub before: usize,
    /// How many characters to underline, at least one.
    pub width: usize,
}

impl Excerpt {
    /// Cuts the line that begins at `line_start` and holds the start of `span`.
    pub(super) fn cut(text: &str, line_start: usize, span: &Range<usize>) -> Excerpt {
        let line_end = text[line_start..].find('\n').map_or(text.len(), |len| line_start + len);
        let line_end = line_end.max(span.start);
        let masked = secrecy::mask(&text[line_start..line_end]);
        let characters: Vec<char> = masked.chars().map(printable).collect();
        let before = text[line_start..span.start].chars().count();
        let width = text[span.start..span.end.min(line_end).max(span.start)].trim_end().chars().count();
        if characters.len() <= WIDTH_MAX {
            return Excerpt { line: characters.iter().collect(), before, width: width.max(1) };
        }
        let first = before.saturating_sub(LEAD);
        let shown = characters.iter().skip(first).take(WIDTH_MAX);
        let before = before - first;
        Excerpt { line: shown.collect(), before, width: width.clamp(1, WIDTH_MAX - before) }
    }
}

/// Keeps one column for each character, and terminals from being told what to do.
fn printable(character: char) -> char {
    match character {
        '\t' | '\r' => ' ',
        // Those that turn the writing direction around could show another line than the one that is there.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}
