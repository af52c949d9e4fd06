//! What a request must say beside its host and path: methods, headers, and parts of the query.

use std::marker::PhantomData;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, shown_key, variables};
use crate::nearest::nearest;
use crate::resolved::{Condition, Wanted};

/// More than any route of a person has; each is judged for each request that comes so far.
const CONDITIONS_MAX: usize = 16;

/// Methods that the edge lets through, for suggestions; others of the same form are good too.
const USUAL: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A method, or a list of methods.
pub(crate) struct Methods;

impl Kind for Methods {
    type Value = Vec<String>;
    const NAME: &'static str = "a text or a list of texts";
    const FORM: &'static str = "methods are written like \"GET\" or [\"POST\", \"PUT\"], in capitals";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return reader.parsed::<Self, _>(entry, parse_method).map(|method| vec![method]);
        };
        if items.is_empty() {
            return reader.refuse::<Self, _>(entry, "is an empty list; leave it out to take all methods");
        }
        let read = |node| reader.parsed::<Methods, _>(&Entry { setting: entry.setting, node }, parse_method);
        let methods: Vec<String> = items.iter().filter_map(read).collect();
        (methods.len() == items.len()).then_some(methods)
    }

    fn schema() -> serde_json::Value {
        let method = json!({ "type": "string", "pattern": "^[A-Z-]+$" });
        json!({ "anyOf": [method, { "type": "array", "items": method, "minItems": 1 }] })
    }
}

fn parse_method(text: &str) -> Result<String, String> {
    if matches!(text, "TRACE" | "CONNECT") {
        return Err(format!("is {text}, which the edge refuses before any route is looked at"));
    }
    let is_token = !text.is_empty() && text.len() <= 32 && text.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    if is_token {
        return Ok(text.to_owned());
    }
    match nearest(&text.to_ascii_uppercase(), USUAL) {
        Some(meant) => Err(format!("is no method; did you mean \"{meant}\"?")),
        None => Err("is no method".to_owned()),
    }
}

/// What a name in a table of conditions may be.
pub(crate) trait Subject {
    const EXAMPLE: &'static str;

    /// The name as requests are compared with it, or why there is none like it.
    fn name(written: &str) -> Result<String, &'static str>;
}

/// Headers.
pub(crate) struct Headers;

impl Subject for Headers {
    const EXAMPLE: &'static str = "a condition is written like { x-beta = true } (it is there), { x-beta = false } (it is not) or { x-beta = \"on\" }";

    fn name(written: &str) -> Result<String, &'static str> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if written.is_empty() || written.len() > 100 || !written.chars().all(allowed) {
            return Err("is no name of a header");
        }
        let name = written.to_ascii_lowercase();
        match name.as_str() {
            "host" => Err("is what the key `host` of the route looks at"),
            _ => Ok(name),
        }
    }
}

/// Parts of the query.
pub(crate) struct Query;

impl Subject for Query {
    const EXAMPLE: &'static str =
        "a condition is written like { beta = true } (it is there), { beta = false } (it is not) or { v = \"2\" }";

    fn name(written: &str) -> Result<String, &'static str> {
        match written.is_empty() || written.len() > 100 || !written.chars().all(is_query_character) {
            true => Err("cannot stand in a query as it is: what must be encoded there is encoded here too"),
            false => Ok(written.to_owned()),
        }
    }
}

/// What may stand in a name or a value of a query as it is.
fn is_query_character(character: char) -> bool {
    character.is_ascii_graphic() && !"&=#\"<>".contains(character)
}

/// A table of names and what their values must be.
pub(crate) struct Conditions<S>(PhantomData<S>);

impl<S: Subject> Kind for Conditions<S> {
    type Value = Vec<Condition>;
    const NAME: &'static str = "a table of conditions";
    const FORM: &'static str = S::EXAMPLE;

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<Condition>> {
        let DeValue::Table(table) = entry.node.get_ref() else {
            return reader.refuse_type::<Self, _>(entry);
        };
        if table.len() > CONDITIONS_MAX {
            return reader.refuse::<Self, _>(entry, &format!("has more than {CONDITIONS_MAX} conditions"));
        }
        let mut conditions: Vec<Condition> = Vec::new();
        for (key, node) in table {
            let name = match S::name(key.get_ref()) {
                Ok(name) if conditions.iter().any(|known| known.name == name) => Err("is there twice"),
                other => other,
            };
            match name {
                Ok(name) => {
                    let wanted = read_wanted::<Self>(&Entry { setting: entry.setting, node }, reader)?;
                    conditions.push(Condition { name, wanted });
                }
                Err(why) => {
                    let message = format!("`{}` in `{}` {why}", shown_key(key.get_ref()), entry.key());
                    reader.report(key.span(), message, S::EXAMPLE);
                    return None;
                }
            }
        }
        Some(conditions)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": { "type": ["boolean", "string"] } })
    }
}

fn read_wanted<K: Kind>(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Wanted> {
    match entry.node.get_ref() {
        DeValue::Boolean(true) => Some(Wanted::Present),
        DeValue::Boolean(false) => Some(Wanted::Absent),
        DeValue::String(raw) if variables::has_variables(raw) => reader.expand(entry, raw).map(Wanted::Equal),
        DeValue::String(text) if text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) => {
            Some(Wanted::Equal(text.to_string()))
        }
        DeValue::String(_) => reader.refuse::<K, _>(entry, "has a value that no request can have"),
        _ => reader.refuse::<K, _>(entry, "must say true, false or a text for each name"),
    }
}
