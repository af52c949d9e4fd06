use super::*;

/// Merges the overlay `a` of a file and compares with another file, both as shown by the TOML tree.
fn check(text: &str, expected: &str) {
    let merged = read(text, Some("a"));
    assert_eq!(merged.drafts, []);
    assert_eq!(shape(&merged.tree), shape(&read(expected, None).tree), "{text}");
}

/// Keys and values without their places.
fn shape(table: &DeTable<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) => lines.extend(shape(inner).iter().map(|line| format!("{}.{line}", key.get_ref()))),
            DeValue::Array(items) => lines.push(format!("{} = {} items", key.get_ref(), items.len())),
            DeValue::String(text) => lines.push(format!("{} = {text}", key.get_ref())),
            other => lines.push(format!("{} = {other:?}", key.get_ref())),
        }
    }
    lines
}

/// Goal: tables are merged, everything else is replaced, new keys are added.
#[test]
fn merging() {
    check("env.a.x = \"1\"", "x = \"1\"");
    check("x = \"1\"\nenv.a.x = \"2\"", "x = \"2\"");
    check("t.x = \"1\"\nt.y = \"1\"\nenv.a.t.x = \"2\"", "t.x = \"2\"\nt.y = \"1\"");
    check("t.u.x = \"1\"\nenv.a.t.u.y = \"2\"", "t.u.x = \"1\"\nt.u.y = \"2\"");
    check("x = [1, 2]\nenv.a.x = [3]", "x = [3]");
    check("[[r]]\n[[r]]\n[[env.a.r]]\n", "[[r]]\n");
    check("x = \"1\"\nenv.a.x.y = \"2\"", "x.y = \"2\"");
    check("x.y = \"1\"\nenv.a.x = \"2\"", "x = \"2\"");
    check("x = \"1\"\nenv.b.x = \"2\"\n[env.a]", "x = \"1\"");
}

/// Goal: a choice between alternatives is replaced as a whole, so that an overlay can choose again.
#[test]
fn alternatives() {
    check(
        "service.s.health = { path = \"/\", body = \"ok\", every = \"1s\" }\nenv.a.service.s.health = { run = \"x\" }",
        "service.s.health = { run = \"x\", every = \"1s\" }",
    );
    for other in ["grpc", "web_socket"] {
        let chosen = format!("service.s.health.{other} = \"x\"");
        check(&format!("service.s.health.path = \"/\"\nenv.a.{chosen}"), &chosen);
        check(&format!("{chosen}\nenv.a.service.s.health.tcp = \"x\""), "service.s.health.tcp = \"x\"");
    }
    check(
        "service.s.health = { path = \"/\" }\nenv.a.service.s.health.every = \"1s\"",
        "service.s.health = { path = \"/\", every = \"1s\" }",
    );
    check(
        "service.s.environment = { A.secret = \"a\", B = \"b\" }\nenv.a.service.s.environment.A.file = \"f\"",
        "service.s.environment = { A.file = \"f\", B = \"b\" }",
    );
}

/// Goal: a key that an overlay replaces has the place of the overlay, where the reader must look.
#[test]
fn places() {
    let text = "x = 1\n[env.a]\nx = 2\n";
    let merged = read(text, Some("a"));
    let (key, value) = merged.tree.get_key_value("x").unwrap();
    assert_eq!((key.span(), value.span()), (14..15, 18..19));
}

/// Goal: dots in numbers, texts and comments do not count as parts of a key.
#[test]
fn dots() {
    assert!(too_deep(&"x = 1.5\n".repeat(100)).is_none());
    assert!(too_deep(&format!("x = \"{}\" # {}", "a.".repeat(100), "a.".repeat(100))).is_none());
    assert!(too_deep(&format!("x = [{}]", "1.5, ".repeat(100))).is_none());
    assert!(too_deep(&format!("a{} = 1", ".a".repeat(15))).is_none());
    assert!(too_deep(&format!("a{} = 1", ".a".repeat(16))).is_some());
    assert!(too_deep(&format!("a{} = 1", " . \"a\"".repeat(16))).is_some());
}
