//! The environment of a service: texts, and secrets by their source.

use std::collections::BTreeMap;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, Shape, shown_key, variables};
use crate::resolved::{SecretSource, Value};
use crate::secrecy::smells_secret;
use crate::settings::SecretTable;

/// The variables by name.
pub(crate) struct Environment;

impl Kind for Environment {
    type Value = BTreeMap<String, Value>;
    const NAME: &'static str = "a table of variables";
    const SHAPE: Shape = Shape::Named(&SecretTable::DEFINITION);

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Table(variables) = entry.node.get_ref() else {
            return reader.refuse_type::<Self, _>(entry);
        };
        let mut environment = BTreeMap::new();
        for (name, node) in variables {
            let name_is_good = is_variable_name(name.get_ref());
            if !name_is_good {
                let message = format!("`{}` is not a name for a variable", shown_key(name.get_ref()));
                reader.report(name.span(), message, "use letters, digits and `_`, not beginning with a digit");
            }
            let item = Entry { setting: entry.setting, node };
            let value = reader.inside(name.get_ref(), |reader| read_value(&item, reader));
            environment.extend(value.filter(|_| name_is_good).map(|value| (name.get_ref().to_string(), value)));
        }
        Some(environment)
    }

    fn absent() -> Option<Self::Value> {
        Some(BTreeMap::new())
    }

    fn schema() -> serde_json::Value {
        let value = json!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, SecretTable::schema()] });
        json!({ "type": "object", "additionalProperties": value })
    }
}

fn read_value(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Value> {
    match entry.node.get_ref() {
        DeValue::String(raw) if raw.contains('\0') => {
            reader.report(entry.node.span(), "a variable cannot hold a zero character", "remove it");
            None
        }
        DeValue::String(raw) => read_text(entry, raw, reader),
        DeValue::Integer(number) => Some(Value::Text(number.to_string())),
        DeValue::Float(number) => Some(Value::Text(number.to_string())),
        DeValue::Boolean(value) => Some(Value::Text(value.to_string())),
        DeValue::Table(_) => read_source(entry, reader).map(Value::Secret),
        DeValue::Array(_) | DeValue::Datetime(_) => {
            let message = format!("{} must be a text or a secret", reader.here());
            reader.report(entry.node.span(), message, FORM);
            None
        }
    }
}

/// A text. Releases are written into the ledger with their texts, and no secret belongs there: so a variable that is the
/// whole value is fetched when a replica starts instead, and inside a text none may smell like a secret.
fn read_text(entry: &Entry<'_>, raw: &str, reader: &mut Reader<'_>) -> Option<Value> {
    let text = reader.expand(entry, raw)?;
    let names = variables::names(raw);
    // Whatever its name: a connection string called DATABASE_URL holds a password too.
    if let [name] = names[..]
        && variables::is_one(raw)
    {
        let is_set = reader.is_set(name);
        return Some(if is_set { Value::Secret(SecretSource::Env(name.to_owned())) } else { Value::Text(text) });
    }
    if let Some(secret) = names.into_iter().find(|name| smells_secret(name)) {
        let message = format!("{} would carry the secret `{secret}` into the ledger", reader.here());
        let hint = "put the whole value into one variable and write { env = \"NAME\" }";
        reader.report(entry.node.span(), message, hint);
        return None;
    }
    Some(Value::Text(text))
}

const FORM: &str =
    "a secret is { secret = \"name\" }, { file = \"path\" }, { env = \"NAME\" } or { command = [\"program\"] }";

/// The one source that the table names.
fn read_source(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<SecretSource> {
    let table = SecretTable::read(entry, reader)?;
    let has_unknown_key = |node: &DeValue<'_>| {
        node.as_table()
            .is_some_and(|table| table.keys().any(|key| SecretTable::DEFINITION.setting(key.get_ref()).is_none()))
    };
    match table {
        SecretTable { secret: Some(name), file: None, env: None, command: None } => Some(SecretSource::Named(name)),
        SecretTable { secret: None, file: Some(path), env: None, command: None } => Some(SecretSource::File(path)),
        SecretTable { secret: None, file: None, env: Some(name), command: None } => Some(SecretSource::Env(name)),
        SecretTable { secret: None, file: None, env: None, command: Some(run) } => Some(SecretSource::Command(run)),
        // The unknown key was reported, and is probably the source.
        _ if has_unknown_key(entry.node.get_ref()) => None,
        _ => {
            let message = format!("{} must name exactly one source of its secret", reader.here());
            reader.report(entry.node.span(), message, FORM);
            None
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_part)
}
