use super::*;

/// Goal: unknown keys are refused and required ones asked for, at every depth, but not in an overlay.
#[test]
fn strict() {
    let schema = json_schema();
    let service = &schema["properties"]["service"]["additionalProperties"];
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(service["additionalProperties"], false);
    assert_eq!(service["oneOf"], json!([{ "required": ["run"] }, { "required": ["at"] }]));
    assert_eq!(
        schema["properties"]["route"]["items"]["oneOf"],
        json!([
            { "required": ["to"] },
            { "required": ["files"] },
            { "required": ["redirect"] },
            { "required": ["answer"] },
        ])
    );
    assert_eq!(schema.get("required"), None, "a site may be nothing but files");
    let overlay = &schema["$defs"]["overlay"];
    assert_eq!(overlay["additionalProperties"], false);
    assert!(overlay["properties"]["service"]["additionalProperties"].get("oneOf").is_none());
    assert!(overlay["properties"].get("env").is_none());
}

/// Goal: types, bounds, choices and defaults are there for an editor.
#[test]
fn values() {
    let schema = json_schema();
    let service = &schema["properties"]["service"]["additionalProperties"]["properties"];
    let replicas = &service["replicas"];
    assert_eq!(replicas["anyOf"][0], json!({ "type": "integer", "minimum": 1, "maximum": 100 }));
    assert_eq!(replicas["default"], 1);
    assert_eq!(service["listen"]["anyOf"][0], json!({ "enum": ["port", "socket", "nothing"] }));
    assert_eq!(service["drain"]["default"], "30s");
}
