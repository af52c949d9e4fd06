use super::*;

fn check(text: &str, expected: &[&str]) {
    assert_eq!(split(text).unwrap(), expected, "{text}");
}

fn check_bad(text: &str, part: &str, why: Why) {
    assert_eq!(split(text), Err(Refusal { part, why }), "{text}");
}

/// Goal: words, quotes and backslashes as in a shell.
#[test]
fn good() {
    check("", &[]);
    check("   ", &[]);
    check("bin/api", &["bin/api"]);
    check("  bin/api\t--port  $PORT ", &["bin/api", "--port", "$PORT"]);
    check("a 'b c' d", &["a", "b c", "d"]);
    check("a \"b c\" d", &["a", "b c", "d"]);
    check("a '' \"\"", &["a", "", ""]);
    check("a'b'\"c\"d", &["abcd"]);
    check("--name='x y'", &["--name=x y"]);
    check(r"a\ b \\ \' \|", &["a b", r"\", "'", "|"]);
    check(r#""a\"b" "a\\b" "a\nb""#, &["a\"b", r"a\b", r"a\nb"]);
    check(r"'a\b'", &[r"a\b"]);
    check("é 'ü'", &["é", "ü"]);
    check("$PORT:$REPLICA $", &["$PORT:$REPLICA", "$"]);
    check("x=${A:-b c} y", &["x=${A:-b c}", "y"]);
    check("${A:-'|'}", &["${A:-'|'}"]);
}

/// Goal: what only a shell understands is refused outside of quotes and kept inside.
#[test]
fn shell() {
    for part in ["|", "||", "&&", "&", ";", ">", ">>", "<", "<<", "$(", "`", "*"] {
        check_bad(&format!("a {part} b"), part, Why::Shell);
        check(&format!("a '{part}'"), &["a", part]);
        check(&format!("a \"{part}\""), &["a", part]);
    }
    check_bad("a\nb", "\n", Why::Shell);
}

/// Goal: what is left open is refused.
#[test]
fn open() {
    check_bad("a 'b", "'b", Why::Open);
    check_bad("a \"b\\\"", "\"b\\\"", Why::Open);
    check_bad("a \\", "\\", Why::Open);
    check_bad("a ${B", "${B", Why::Open);
}
