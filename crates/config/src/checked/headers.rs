//! Headers of answers: their names, their values, and the words of those that have a fixed few.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, shown_key};
use crate::nearest::nearest;

/// More than any site needs; each costs bytes in every answer.
const HEADERS_MAX: usize = 32;

/// Longer values would fill the heads that clients accept.
const VALUE_BYTES_MAX: usize = 4096;

/// How an answer is sent is decided answer by answer, not by a file.
const OURS: [&str; 12] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "content-encoding",
    "content-range",
    "date",
    "x-request-id",
];

/// A kind whose values are words of a header, or "off".
macro_rules! word {
    ($name:ident: $($word:literal),+) => {
        /// One of the words of a header, or "off".
        pub(crate) struct $name;

        impl Kind for $name {
            type Value = String;
            const NAME: &'static str = "a text";

            fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
                let words = [$($word),+, "off"];
                let text = reader.text::<Self>(entry)?;
                // Headers are written with dashes, our own words with underscores: nobody should have to remember.
                match words.iter().find(|word| **word == text.to_ascii_lowercase().replace('_', "-")) {
                    Some(word) => Some((*word).to_owned()),
                    None => reader.refuse_word(entry, &words),
                }
            }

            fn schema() -> serde_json::Value {
                json!({ "enum": [$($word),+, "off"] })
            }
        }
    };
}

word!(FrameWord: "deny", "same-origin");
word!(
    ReferrerWord: "no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin", "origin",
    "origin-when-cross-origin", "no-referrer-when-downgrade", "unsafe-url"
);
word!(OpenerWord: "same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none");
word!(ResourceWord: "same-origin", "same-site", "cross-origin");

/// The value of a header.
pub(crate) struct HeaderText;

impl Kind for HeaderText {
    type Value = String;
    const NAME: &'static str = "a text";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, parse_value)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

fn parse_value(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(other) = text.chars().find(|c| !(' '..='~').contains(c)) {
        return Err(format!("has the character `{}`, which no header can carry", other.escape_default()));
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(format!("is longer than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(text.trim().to_owned())
}

/// Headers by name.
pub(crate) struct HeaderValues;

impl Kind for HeaderValues {
    type Value = Vec<(String, String)>;
    const NAME: &'static str = "a table of headers";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Table(headers) = entry.node.get_ref() else {
            return reader.refuse_type::<Self, _>(entry);
        };
        if headers.len() > HEADERS_MAX {
            return reader.refuse::<Self, _>(entry, &format!("has more than {HEADERS_MAX} headers"));
        }
        let mut values = Vec::new();
        for (name, node) in headers {
            let item = Entry { setting: entry.setting, node };
            let is_good = reader.check_header_name(name.get_ref(), name.span());
            values.extend(
                HeaderText::read(&item, reader).filter(|_| is_good).map(|value| (name.get_ref().to_string(), value)),
            );
        }
        (values.len() == headers.len()).then_some(values)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": HeaderText::schema() })
    }
}

/// Names of headers.
pub(crate) struct HeaderNames;

impl Kind for HeaderNames {
    type Value = Vec<String>;
    const NAME: &'static str = "a list of texts";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return reader.refuse_type::<Self, _>(entry);
        };
        if items.len() > HEADERS_MAX {
            return reader.refuse::<Self, _>(entry, &format!("has more than {HEADERS_MAX} headers"));
        }
        let mut names = Vec::new();
        for node in items {
            let name = reader.text::<Self>(&Entry { setting: entry.setting, node });
            names.extend(name.filter(|name| reader.check_header_name(name, node.span())));
        }
        (names.len() == items.len()).then_some(names)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}

impl Reader<'_> {
    /// Whether a header of an answer may have this name; if not, says so.
    fn check_header_name(&mut self, name: &str, span: std::ops::Range<usize>) -> bool {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(is_token) {
            let message = format!("`{}` is not the name of a header", shown_key(name));
            self.report(span, message, "a header is named like `X-Robots-Tag`, without its colon");
            return false;
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            let message = format!("`{}` cannot be changed: it tells how an answer is sent", shown_key(name));
            self.report(span, message, "leave it out: prumo writes it for each answer");
            return false;
        }
        true
    }
}

/// A content security policy, or "off".
pub(crate) struct Csp;

/// Level 3, with those of level 2 that browsers still know.
const DIRECTIVES: [&str; 25] = [
    "default-src",
    "script-src",
    "script-src-elem",
    "script-src-attr",
    "style-src",
    "style-src-elem",
    "style-src-attr",
    "img-src",
    "font-src",
    "connect-src",
    "media-src",
    "object-src",
    "frame-src",
    "child-src",
    "worker-src",
    "manifest-src",
    "base-uri",
    "form-action",
    "frame-ancestors",
    "sandbox",
    "report-uri",
    "report-to",
    "upgrade-insecure-requests",
    "require-trusted-types-for",
    "trusted-types",
];

/// Words that mean something only between single quotes; without them a browser looks for a host of that name.
const QUOTED: [&str; 6] = ["self", "none", "unsafe-inline", "unsafe-eval", "strict-dynamic", "wasm-unsafe-eval"];

impl Kind for Csp {
    type Value = String;
    const NAME: &'static str = "a content security policy";
    const FORM: &'static str = "a content security policy is written like \"default-src 'self'; img-src 'self' https://cdn.example.com\", or \"off\"";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, parse_csp)
    }

    fn schema() -> serde_json::Value {
        HeaderText::schema()
    }
}

fn parse_csp(text: &str) -> Result<String, String> {
    let policy = parse_value(text)?;
    if policy == "off" {
        return Ok(policy);
    }
    let mut seen = Vec::new();
    for directive in policy.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let mut words = directive.split_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        if !DIRECTIVES.contains(&name.as_str()) {
            let meant =
                nearest(&name, DIRECTIVES).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return Err(format!("has no directive `{}`{meant}", shown_key(&name)));
        }
        if seen.contains(&name) {
            return Err(format!("has `{name}` twice, and browsers look only at the first"));
        }
        if let Some(bare) = words.find(|word| QUOTED.contains(&word.to_ascii_lowercase().as_str())) {
            return Err(format!("has `{bare}` without single quotes, which means a host of that name"));
        }
        seen.push(name);
    }
    if seen.is_empty() { Err("says nothing".to_owned()) } else { Ok(policy) }
}

#[cfg(test)]
mod tests;
