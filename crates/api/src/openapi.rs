//! The table of routes as an OpenAPI document, for clients that are not the command line.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::role::Access;
use crate::route::{ROUTES, Route, Shape, event_schema};

/// The OpenAPI 3.1 document of every route.
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation;
    }
    let refusal = generator.subschema_for::<crate::answer::Refusal>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "prumo",
            "version": "1",
            "description": "What can be asked of a running prumo. The admin listener wants `Authorization: Bearer TOKEN`; the Unix socket in the state folder knows its caller by user id.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7700" }],
        "paths": paths,
        "components": {
            "schemas": generator.definitions(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Refusal": {
                "description": "Why it was not done, and what to do next.",
                "content": { "application/json": { "schema": refusal } },
            } },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "x-role": match route.access { Access::Anyone => "anyone", Access::AtLeast(role) => role.word() },
        "security": match route.access { Access::Anyone => json!([]), Access::AtLeast(_) => json!([{ "token": [] }]) },
        "parameters": parameters(route),
        "responses": { "200": answer(route, generator), "default": { "$ref": "#/components/responses/Refusal" } },
    });
    if let Some(body) = route.body {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": body(generator) } } });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter().map(
        |(name, text)| json!({ "name": name, "in": "query", "description": text, "schema": { "type": "string" } }),
    );
    in_path.chain(in_query).collect()
}

fn answer(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let (media_type, schema, description) = match &route.answer {
        Shape::Text(media_type) => (*media_type, json!({ "type": "string" }), "The text."),
        Shape::Document(schema) => ("application/json", json!(schema(generator)), "The document."),
        Shape::Events => (
            "application/x-ndjson",
            json!(event_schema(generator)),
            "Events, a JSON document a line; the last one is `finished` or `refused`.",
        ),
    };
    json!({ "description": description, "content": { media_type: { "schema": schema } } })
}

/// `POST /api/v1/services/{service}/scale` becomes `post_services_service_scale`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1");
    let words = path.split(['/', '{', '}', '-']).filter(|word| !word.is_empty());
    let mut id = route.method.to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the document that is published is the one that this table makes.
    #[test]
    fn the_published_document_is_fresh() {
        let published = include_str!("../../../docs/reference/openapi.json");
        let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        assert_eq!(published, made, "run `cargo xtask docs`");
    }

    /// Goal: every operation has an id of its own, as generators of clients need.
    #[test]
    fn operation_ids_are_unique() {
        let mut ids: Vec<String> = ROUTES.iter().map(operation_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), ROUTES.len());
    }
}
