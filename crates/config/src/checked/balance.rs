//! How a replica is chosen and asked again: words where they will do, small tables where they will not.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, shown_key};
use crate::nearest::nearest;
use crate::resolved::{Balance, HashBy, Hedge, RetryOn};
use crate::value::duration;

const WORDS: [(&str, Balance); 4] = [
    ("auto", Balance::Auto),
    ("round_robin", Balance::RoundRobin),
    ("least_connections", Balance::LeastConnections),
    ("peak_ewma", Balance::PeakEwma),
];

/// The longest name of a header or cookie that is taken: longer ones are slips.
const NAME_BYTES_MAX: usize = 128;

impl Kind for Balance {
    type Value = Balance;
    const NAME: &'static str = "a text or a table";
    const FORM: &'static str = "it can be \"auto\", \"round_robin\", \"least_connections\", \"peak_ewma\", \
                                { hash = \"header:x-user\" } or { sticky = \"cookie-name\" }";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Balance> {
        let DeValue::Table(table) = entry.node.get_ref() else {
            return read_word(entry, reader);
        };
        let mut keys = table.iter();
        let (Some((key, node)), None) = (keys.next(), keys.next()) else {
            return reader.refuse::<Self, _>(entry, "must have exactly one key as a table");
        };
        let inner = Entry { setting: entry.setting, node };
        let text = |reader: &mut Reader<'_>| reader.text::<Self>(&inner);
        match key.get_ref().as_ref() {
            "hash" => match parse_hash(&text(reader)?) {
                Ok(by) => Some(Balance::Hash(by)),
                Err(why) => {
                    let hint = "a key is \"header:NAME\", \"cookie:NAME\", \"client\" or \"path\"";
                    reader.report(node.span(), format!("`hash` {why}"), hint);
                    None
                }
            },
            "sticky" => match text(reader)? {
                name if is_token(&name) => Some(Balance::Sticky(name)),
                name => {
                    let message = format!("`sticky` cannot be \"{}\", which is no name of a cookie", shown_key(&name));
                    reader.report(node.span(), message, "letters, digits, `-` and `_` will do: \"replica\"");
                    None
                }
            },
            other => {
                let message = format!("`balance` has the unknown key `{}`", shown_key(other));
                let hint = match nearest(other, ["hash", "sticky"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => Self::FORM.to_owned(),
                };
                reader.report(key.span(), message, hint);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        let one = |key: &str| json!({ "type": "object", "properties": { key: { "type": "string" } }, "required": [key], "additionalProperties": false });
        json!({ "anyOf": [{ "enum": WORDS.map(|(word, _)| word) }, one("hash"), one("sticky")] })
    }
}

fn read_word(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Balance> {
    let text = reader.text::<Balance>(entry)?;
    if let Some((_, balance)) = WORDS.into_iter().find(|(word, _)| *word == text) {
        return Some(balance);
    }
    let written = entry.node.get_ref().as_str().unwrap_or_default();
    let hint = match nearest(written, WORDS.iter().map(|(word, _)| *word)) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => Balance::FORM.to_owned(),
    };
    reader.report(entry.node.span(), format!("`{}` cannot be \"{}\"", entry.key(), shown_key(written)), hint);
    None
}

fn parse_hash(text: &str) -> Result<HashBy, String> {
    match text.split_once(':') {
        None if text == "client" => Ok(HashBy::Client),
        None if text == "path" => Ok(HashBy::Path),
        Some(("header", name)) if is_token(name) => Ok(HashBy::Header(name.to_ascii_lowercase())),
        Some(("cookie", name)) if is_token(name) => Ok(HashBy::Cookie(name.to_owned())),
        Some((kind @ ("header" | "cookie"), name)) => {
            Err(format!("names the {kind} `{}`, which cannot be one", shown_key(name)))
        }
        _ => Err(format!("cannot be \"{}\"", shown_key(text))),
    }
}

/// A name as RFC 9110 has it for headers and RFC 6265 for cookies.
fn is_token(name: &str) -> bool {
    let marks = "!#$%&'*+-.^_`|~";
    let is_mark = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_mark)
}

impl Kind for RetryOn {
    type Value = RetryOn;
    const NAME: &'static str = "\"reset\" or a status code";
    const FORM: &'static str = "it is a list of \"reset\" and of status codes from 500 to 599: [\"reset\", 502, 503]";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<RetryOn> {
        match entry.node.get_ref() {
            DeValue::Integer(number) => match u16::from_str_radix(number.as_str(), number.radix()) {
                Ok(status @ 500..=599) => Some(RetryOn::Status(status)),
                _ => reader.refuse::<Self, _>(entry, "has a status that is no server's error"),
            },
            DeValue::String(_) if reader.text::<Self>(entry)? == "reset" => Some(RetryOn::Reset),
            DeValue::String(_) => reader.refuse::<Self, _>(entry, "has a text that is not \"reset\""),
            _ => reader.refuse_type::<Self, _>(entry),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "enum": ["reset"] }, { "type": "integer", "minimum": 500, "maximum": 599 }] })
    }
}

impl Kind for Hedge {
    type Value = Hedge;
    const NAME: &'static str = "a percentile or a duration";
    const FORM: &'static str = "it is a percentile from \"p50\" to \"p99\", or a duration: \"200ms\"";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Hedge> {
        reader.parsed::<Self, _>(entry, |text| match text.strip_prefix('p') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 50..=99) => Ok(Hedge::Percentile(percent)),
                _ => Err("is no percentile from p50 to p99".to_owned()),
            },
            None => match duration::parse(text)? {
                delay if delay.is_zero() => Err("would ask twice every time".to_owned()),
                delay => Ok(Hedge::After(delay)),
            },
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}
