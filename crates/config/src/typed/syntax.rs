//! What the TOML parser says, in words for somebody who does not know its grammar.

use std::collections::HashSet;

use toml::de::Error;

use crate::mistake::{DRAFTS_MAX, Draft};

/// One mistake for each error, at most one on a line: what follows on the same line is usually its echo.
pub(super) fn drafts(text: &str, errors: &[Error]) -> Vec<Draft> {
    let mut lines = HashSet::new();
    let with_line = errors.iter().take(DRAFTS_MAX).map(|error| (line_start(text, error), error));
    with_line.filter(|(line, _)| lines.insert(*line)).map(|(_, error)| draft(text, error)).collect()
}

fn line_start(text: &str, error: &Error) -> usize {
    let start = error.span().unwrap_or_default().start.min(text.len());
    text.as_bytes()[..start].iter().rposition(|byte| *byte == b'\n').unwrap_or_default()
}

fn draft(text: &str, error: &Error) -> Draft {
    let span = error.span().unwrap_or(0..0);
    let found = text.get(span.clone()).unwrap_or_default();
    let said = error.message();
    let (message, hint) = explain(said, found);
    Draft::new(span, message.unwrap_or_else(|| format!("not valid TOML: {said}")), hint)
}

/// A better message where there is one, and what to do.
fn explain(said: &str, found: &str) -> (Option<String>, &'static str) {
    let begins = |start: &str| said.starts_with(start);
    if begins("duplicate key") {
        let message = format!("`{found}` is given twice");
        return (Some(message), "keep one of them; a table is opened once and holds all its keys");
    }
    if begins("string values must be quoted") && found.is_empty() {
        return (Some("a value is missing after the `=`".to_owned()), "write one, or remove the line");
    }
    if matches!(found, "True" | "False" | "TRUE" | "FALSE") {
        return (Some(format!("`{found}` is not TOML")), "`true` and `false` are written in small letters");
    }
    if said.contains("escaped value") {
        let hint = "write `\\\\`, or put the text in single quotes, where a backslash stands for itself";
        return (Some("a backslash that means nothing in TOML".to_owned()), hint);
    }
    if said == "invalid basic string, expected `\"`" {
        let hint = "close it with `\"` on the same line; inside a text, write `\\\"` for a quote";
        return (Some("a text is not closed".to_owned()), hint);
    }
    if begins("string values must be quoted") {
        return (Some("a text needs quotes".to_owned()), "put it between double quotes: `key = \"text\"`");
    }
    if begins("cannot recurse further") {
        return (Some("brackets are nested too deep".to_owned()), "no setting needs more than four levels");
    }
    let hint = HINTS.iter().find(|(needle, _)| said.contains(needle)).map_or(GENERAL_HINT, |(_, hint)| hint);
    (None, hint)
}

const GENERAL_HINT: &str = "a line is `key = value`; texts stand in quotes, tables begin with `[name]`";

/// A part of what the parser says, and what to do about it. The first that fits counts.
const HINTS: [(&str, &str); 10] = [
    ("unclosed array table", "close it: `[[route]]`"),
    ("unclosed table", "close it: `[service.api]`"),
    ("unclosed array", "close the list with `]`"),
    ("unclosed inline table", "close it with `}`"),
    ("missing comma", "put a comma between two values"),
    ("extra comma", "remove one comma"),
    ("key with no value", "a key needs a value: `key = value`"),
    ("missing value", "write a value after the `=`"),
    ("number", "texts, durations and sizes stand in quotes: `timeout = \"5s\"`"),
    ("carriage return", "save the file with the line ends of Unix or of Windows, not with lone carriage returns"),
];
