//! The JSON schema of the file, for editors.

use serde_json::{Map, Value, json};

use crate::checked::Shape;
use crate::settings::{Root, Setting, TableDefinition};

/// The JSON schema (2020-12) of the file.
pub fn json_schema() -> Value {
    let mut schema = table(&Root::DEFINITION);
    let mut overlay = schema.clone();
    // An overlay is a file of which nothing is required, and which has no overlays itself.
    drop_required(&mut overlay);
    if let Some(properties) = overlay["properties"].as_object_mut() {
        properties.remove("env");
    }
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("prumo.toml");
    schema["$defs"] = json!({
        "overlay": overlay,
        "variable": { "description": "A text with a variable.", "type": "string", "pattern": "\\$\\{" },
    });
    schema
}

/// The schema of a table.
pub(crate) fn table(definition: &TableDefinition) -> Value {
    let properties: Map<String, Value> =
        definition.settings.iter().map(|setting| (setting.key.to_owned(), property(setting))).collect();
    let required: Vec<&str> =
        definition.settings.iter().filter(|setting| setting.is_required()).map(|setting| setting.key).collect();
    let mut schema = json!({
        "description": definition.text.trim(),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !definition.one_of.is_empty() {
        let choices = definition.one_of.iter().map(|key| json!({ "required": [key] }));
        schema["oneOf"] = choices.collect();
    }
    schema
}

fn property(setting: &Setting) -> Value {
    let mut schema = (setting.schema)();
    if let (Some((least, most)), "integer") = (setting.bounds, schema["type"].as_str().unwrap_or_default()) {
        schema["minimum"] = json!(least.parse::<i64>().unwrap_or_default());
        schema["maximum"] = json!(most.parse::<i64>().unwrap_or(i64::MAX));
    }
    let is_text = schema["type"] == "string" && schema.get("pattern").is_none();
    if matches!(setting.shape, Shape::Plain) && !is_text {
        // Wherever a value stands, a text with a variable may stand.
        schema = json!({ "anyOf": [schema, { "$ref": "#/$defs/variable" }] });
    }
    schema["description"] = json!(format!("{} {}", setting.text.trim(), setting.why));
    if let Some(default) = setting.default.and_then(as_json) {
        schema["default"] = default;
    }
    schema
}

/// TOML text as JSON, where it is so simple that the two are the same.
fn as_json(toml: &str) -> Option<Value> {
    serde_json::from_str(toml).ok()
}

fn drop_required(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("required");
            object.remove("oneOf");
            object.values_mut().for_each(drop_required);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_required),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
