//! A command as an argument vector: a list of words, or a text that is split into words.
//!
//! The splitting knows quotes and the backslash, and nothing else of a shell. What would need a shell is
//! refused, because silently passing a `|` to a program as an argument helps nobody.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader};

/// An argument vector.
pub(crate) struct Words;

impl Kind for Words {
    type Value = Vec<String>;
    const NAME: &'static str = "a text or a list of texts";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
        let words = match entry.node.get_ref() {
            DeValue::String(raw) => read_line(entry, raw, reader)?,
            DeValue::Array(items) => read_list(entry, items.iter(), reader)?,
            _ => return reader.refuse_type::<Self, _>(entry),
        };
        if words.iter().any(|word| word.contains('\0')) {
            return reader.refuse::<Self, _>(entry, "has a zero character");
        }
        if words.len() > WORDS_MAX {
            return reader.refuse::<Self, _>(entry, &format!("has more than {WORDS_MAX} words"));
        }
        if words.first().is_none_or(|program| program.is_empty()) {
            return reader.refuse::<Self, _>(entry, "names no program");
        }
        Some(words)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] })
    }
}

/// More words than any command needs; it bounds the work that a hostile file can cause.
const WORDS_MAX: usize = 1024;

/// A text is split first and expanded word by word, so that a variable can never become two arguments.
fn read_line(entry: &Entry<'_>, raw: &str, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    match split(raw) {
        // Too many words are refused by the caller.
        Ok(words) if words.len() > WORDS_MAX => Some(words),
        Ok(words) => {
            let expanded: Vec<String> = words.iter().filter_map(|word| reader.expand_word(entry, word)).collect();
            (expanded.len() == words.len()).then_some(expanded)
        }
        Err(Refusal { part, why }) => {
            let span = reader.part_span(entry, part);
            let hint = match why {
                Why::Shell => "put it in single quotes to pass it on, or ask for a shell: `[\"sh\", \"-c\", \"…\"]`",
                Why::Open => "a list needs no quoting: `[\"program\", \"argument\"]`",
            };
            reader.report(span, why.message(entry.key(), part), hint);
            None
        }
    }
}

fn read_list<'n>(
    entry: &Entry<'_>,
    items: impl Iterator<Item = &'n crate::typed::Node<'n>>,
    reader: &mut Reader<'_>,
) -> Option<Vec<String>> {
    let mut words = Some(Vec::new());
    for node in items {
        let item = Entry { setting: entry.setting, node };
        let word = match node.get_ref() {
            DeValue::String(raw) => reader.expand_word(&item, raw),
            _ => reader.refuse::<Words, _>(&item, "must be a list of texts only"),
        };
        words = words.zip(word).map(|(mut words, word)| {
            words.push(word);
            words
        });
    }
    words
}

/// Why a text cannot be split.
#[derive(Debug, PartialEq, Eq)]
struct Refusal<'t> {
    /// What the caret points at.
    part: &'t str,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It would need a shell.
    Shell,
    /// A quote, a backslash or a variable is open at the end.
    Open,
}

impl Why {
    fn message(self, key: &str, part: &str) -> String {
        match self {
            Why::Shell => format!("`{key}` uses {}, which only a shell understands", name_of(part)),
            Why::Open if part.starts_with('\\') => format!("`{key}` ends with a backslash that stands before nothing"),
            Why::Open if part.starts_with('$') => format!("`{key}` has a `${{` that is never closed"),
            Why::Open => format!("`{key}` has a quote that is never closed"),
        }
    }
}

fn name_of(shell: &str) -> String {
    match shell {
        "`" => "a backtick".to_owned(),
        "\n" => "a line break".to_owned(),
        other => format!("`{other}`"),
    }
}

/// What only a shell understands, when it stands outside of quotes. The longer ones come first.
const SHELL: [&str; 13] = ["$(", "&&", "||", ">>", "<<", "|", "&", ";", ">", "<", "`", "*", "\n"];

/// Splits a text into words by quotes and backslashes. `${…}` is kept as it is.
fn split(text: &str) -> Result<Vec<String>, Refusal<'_>> {
    let mut words = Vec::new();
    // A word that has begun, perhaps with nothing but a pair of quotes.
    let mut word: Option<String> = None;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(shell) = SHELL.iter().find(|shell| rest.starts_with(**shell)) {
            return Err(Refusal { part: &rest[..shell.len()], why: Why::Shell });
        }
        let taken = match character {
            ' ' | '\t' => {
                words.extend(word.take());
                1
            }
            '\'' | '"' => take_quoted(rest, character, word.get_or_insert_default())?,
            '\\' => take_escaped(rest, word.get_or_insert_default())?,
            '$' if rest.starts_with("${") => take_variable(rest, word.get_or_insert_default())?,
            other => {
                word.get_or_insert_default().push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    words.extend(word);
    Ok(words)
}

/// Takes `'…'` or `"…"`, and says how many bytes that were.
fn take_quoted<'t>(rest: &'t str, quote: char, word: &mut String) -> Result<usize, Refusal<'t>> {
    let mut at = 1;
    while let Some(character) = rest[at..].chars().next() {
        if character == quote {
            return Ok(at + 1);
        }
        let after = &rest[at + character.len_utf8()..];
        // Inside double quotes a backslash takes away the meaning of a quote or another backslash only.
        if quote == '"' && character == '\\' && after.starts_with(['"', '\\']) {
            word.push_str(&after[..1]);
            at += 2;
        } else {
            word.push(character);
            at += character.len_utf8();
        }
    }
    Err(Refusal { part: rest, why: Why::Open })
}

fn take_escaped<'t>(rest: &'t str, word: &mut String) -> Result<usize, Refusal<'t>> {
    let escaped = rest[1..].chars().next().ok_or(Refusal { part: rest, why: Why::Open })?;
    word.push(escaped);
    Ok(1 + escaped.len_utf8())
}

fn take_variable<'t>(rest: &'t str, word: &mut String) -> Result<usize, Refusal<'t>> {
    let end = rest.find('}').ok_or(Refusal { part: rest, why: Why::Open })?;
    word.push_str(&rest[..=end]);
    Ok(end + 1)
}

#[cfg(test)]
mod tests;
