//! How a command speaks: to a person on a terminal, to a pipe, or in JSON.

use std::io::{IsTerminal, Write};

use prumo_api::{Refusal, RefusalKind};
use serde::Serialize;

use super::args::Common;
use super::exit::Exit;

/// What a command gives back to `main`.
pub(crate) type Outcome = Result<Exit, Refusal>;

/// Where words go, and in which dress.
#[derive(Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
    colour: bool,
    terminal: bool,
}

/// The colours there are. A colour never says what the words do not.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

impl Printer {
    /// The printer that these arguments and this terminal ask for.
    pub(crate) fn new(common: &Common) -> Printer {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal
            && std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer { json: common.json, quiet: common.quiet, colour, terminal }
    }

    /// Whether the answer is wanted in JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person may be watching, so that a line may be rewritten.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.json && !self.quiet
    }

    /// A line for a person; silent in JSON and when quiet was asked for.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            self.out(text.as_ref());
        }
    }

    /// A line that is the answer itself: silent only in JSON.
    pub(crate) fn answer(&self, text: impl AsRef<str>) {
        if !self.json {
            self.out(text.as_ref());
        }
    }

    /// The answer as a document: printed only in JSON.
    pub(crate) fn document(&self, value: &impl Serialize) {
        if self.json {
            self.out(&serde_json::to_string(value).expect("answers are always JSON"));
        }
    }

    /// Rewrites the line under the cursor.
    pub(crate) fn live(&self, text: &str) {
        if self.is_live() {
            let mut out = std::io::stdout().lock();
            drop(write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()));
        }
    }

    /// Says why it was not done and what to do next.
    pub(crate) fn refusal(&self, refusal: &Refusal) {
        if self.json {
            self.out(&serde_json::json!({ "error": refusal }).to_string());
            return;
        }
        let message = printable(&refusal.message);
        let mut text = match refusal.kind {
            // The mistakes of a file come as a page that begins each one with `error:`.
            RefusalKind::BadFile if message.starts_with("error:") => message,
            _ => format!("{} {message}", self.paint(Colour::Red, "error:")),
        };
        if let Some(hint) = &refusal.hint {
            text.push_str(&format!("\n\n{} {}", self.paint(Colour::Bold, "hint:"), printable(hint)));
        }
        drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end()));
    }

    /// Says on standard error what went well and may still not be meant; silent when quiet was asked for. In JSON it is a
    /// part of the answer.
    pub(crate) fn warn(&self, text: &str) {
        if !self.json && !self.quiet {
            let text = format!("{} {}\n", self.paint(Colour::Yellow, "warning:"), printable(text));
            drop(std::io::stderr().lock().write_all(text.as_bytes()));
        }
    }

    /// Says on standard error what a person should know who leaves early.
    pub(crate) fn farewell(&self, text: &str) {
        if !self.quiet {
            drop(writeln!(std::io::stderr().lock(), "{text}"));
        }
    }

    /// The text in a colour, where there are colours.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Dim => 2,
            Colour::Bold => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A reader that went away, such as `head`, is not an error.
    fn out(&self, text: &str) {
        drop(writeln!(std::io::stdout().lock(), "{text}"));
    }
}

/// Text of others without what could drive a terminal: control characters are shown, not sent. Line breaks stay.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character.to_string(),
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Rows as columns, each as wide as its widest cell, two blanks between them.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    rows.iter().map(|row| join(row, &widths)).collect()
}

fn join(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, wanted) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(wanted - width(cell) + 2));
    }
    line.trim_end().to_owned()
}

/// The width of a cell without its colour codes.
fn width(cell: &str) -> usize {
    let mut visible = 0;
    let mut inside_code = false;
    for character in cell.chars() {
        match character {
            '\x1b' => inside_code = true,
            'm' if inside_code => inside_code = false,
            _ if !inside_code => visible += 1,
            _ => {}
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what an app prints cannot drive the terminal of whoever reads its logs.
    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(printable("\x1b]0;evil\x07\r\u{9b}31m é"), "\\u{1b}]0;evil\\u{7}\\r\\u{9b}31m é");
    }

    /// Goal: columns line up, colour codes do not count, and no line ends in blanks.
    #[test]
    fn columns_line_up() {
        let rows =
            vec![vec!["a".to_owned(), "release 2".to_owned()], vec!["\x1b[31mlong\x1b[0m".to_owned(), "x".to_owned()]];
        assert_eq!(columns(&rows), ["a     release 2", "\x1b[31mlong\x1b[0m  x"]);
        assert!(columns(&[]).is_empty());
    }
}
