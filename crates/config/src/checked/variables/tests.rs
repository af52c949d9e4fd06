use super::*;

/// SET has a value, EMPTY an empty one, NESTED one that looks like a variable.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "SET" => "value",
        "EMPTY" => "",
        "NESTED" => "${SET} $$",
        _ => return None,
    };
    Some(value.to_owned())
}

fn check(text: &str, expected: &str) {
    assert_eq!(expand(text, &env), Ok(expected.to_owned()), "{text}");
}

fn check_bad(text: &str, part: &str, message: &str) {
    let refusal = expand(text, &env).unwrap_err();
    assert_eq!((refusal.part.as_str(), refusal.message.as_str()), (part, message), "{text}");
}

/// Goal: set variables, defaults, and dollars that mean nothing here.
#[test]
fn good() {
    check("", "");
    check("plain", "plain");
    check("${SET}", "value");
    check("a${SET}b${SET}c", "avaluebvaluec");
    check("${EMPTY}", "");
    check("${UNSET:-default}", "default");
    check("${UNSET:-}", "");
    check("${EMPTY:-default}", "default");
    check("${SET:-default}", "value");
    check("${SET:?needed}", "value");
    check("${UNSET:-a b:c?$d}", "a b:c?$d");
    check("$PORT $SOCKET", "$PORT $SOCKET");
    check("$", "$");
    check("a$", "a$");
    check("$$", "$");
    check("$${SET}", "${SET}");
    check("$$$$", "$$");
    check("$$${SET}", "$value");
    check("é${SET}ü", "évalueü");
}

/// Goal: a value is never expanded again, so that nobody's password becomes a variable.
#[test]
fn once_only() {
    check("${NESTED}", "${SET} $$");
}

/// Goal: every mistake points at its part of the text.
#[test]
fn bad() {
    check_bad("a ${UNSET} b", "${UNSET}", "the environment variable `UNSET` is not set");
    check_bad(
        "${UNSET:?run `make env`}",
        "${UNSET:?run `make env`}",
        "the environment variable `UNSET` is not set: run `make env`",
    );
    check_bad("${EMPTY:?}", "${EMPTY:?}", "the environment variable `EMPTY` is not set");
    check_bad("a ${SET", "${SET", "`${` has no closing `}`");
    check_bad("${}", "${}", "`${}` needs the name of a variable between its braces");
    check_bad("${1A}", "${1A}", "`${1A}` needs the name of a variable between its braces");
    check_bad("${ SET }", "${ SET }", "`${ SET }` needs the name of a variable between its braces");
    check_bad("${SET }", "${SET }", "`${SET }` has something else than `:-` or `:?` after the name");
    check_bad("${SET-x}", "${SET-x}", "`${SET-x}` has something else than `:-` or `:?` after the name");
    check_bad("${UNSET:+x}", "${UNSET:+x}", "`${UNSET:+x}` has something else than `:-` or `:?` after the name");
}

/// Goal: no message holds the value of a variable.
#[test]
fn values_stay_out_of_messages() {
    for text in ["${SET-x}", "${SET", "${SET }${SET}"] {
        let refusal = format!("{:?}", expand(text, &env).unwrap_err());
        assert!(!refusal.contains("value}") && !refusal.contains("\"value\""), "{refusal}");
    }
}
