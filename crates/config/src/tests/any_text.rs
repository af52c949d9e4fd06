//! Whatever the text, reading it ends with values or with mistakes that can be shown.

use proptest::prelude::*;

use crate::read;

/// Lines that are nearly right, to be mixed.
const LINES: [&str; 37] = [
    "[service.api]",
    "[service.\"Ünï\"]",
    "[service]",
    "[[route]]",
    "[route]",
    "[env.staging]",
    "[env.staging.service.api]",
    "[service.api.health]",
    "[edge]",
    "run = \"a ${X} $$ \\\"b | c\"",
    "run = ['a', 1]",
    "run = '''\n'a\n'''",
    "path = \"/é\"",
    "tcp = true",
    "every = \"1s\"",
    "timeout = \"99999999999999999999d\"",
    "memory = 0x10",
    "replicas = \"${N:-3}\"",
    "status = [\"2xx\", 99]",
    "environment = { A = { secret = \"\" }, B = [], \"\" = 1 }",
    "environment.A.file = \"${\"",
    "to = \"api\"",
    "to = \"${X}\"",
    "to = \"${N}\"",
    "host = \"${N}\"",
    "path = \"/${N}\"",
    "name = \"${N}\"",
    "listen = \"${N}\"",
    "http = \"${N}\"",
    "folder = \"${N}\"",
    "host = \"*.é\"",
    "a.b.c = 1",
    "service = 3",
    "env = 3",
    "= [",
    "x = {",
    "\"\u{feff}\t\r",
];

fn check(text: &str, overlay: Option<&str>) -> Result<(), TestCaseError> {
    let env = |name: &str| (name != "X").then(|| "${X} hush-é".to_owned());
    let Err(mistakes) = read(text, "prumo.toml", overlay, &env) else {
        return Ok(());
    };
    prop_assert!(mistakes.count() > 0);
    for mistake in &mistakes {
        prop_assert!(text.get(mistake.span.clone()).is_some(), "{:?} is not inside the text", mistake.span);
        prop_assert!(!mistake.message.is_empty() && !mistake.hint.is_empty());
        prop_assert!(mistake.line >= 1 && mistake.column >= 1);
        prop_assert!(!mistake.message.contains("does not know why"), "{text}");
    }
    prop_assert!(!mistakes.to_string().contains("hush"), "the value of a variable is shown: {mistakes}");
    prop_assert!(mistakes.to_string().lines().count() <= 50 * 7 + 2);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: any text at all is read without a panic, and every mistake lies inside it.
    #[test]
    fn any_characters(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        check(&text, None)?;
    }

    /// Goal: the same for texts that are nearly right, where the reading goes deep.
    #[test]
    fn any_lines(indexes in proptest::collection::vec(0..LINES.len(), 0..16), is_staging: bool) {
        let lines: Vec<&str> = indexes.into_iter().map(|index| LINES[index]).collect();
        check(&lines.join("\n"), is_staging.then_some("staging"))?;
    }

    /// Goal: the same for a good file with one piece cut out.
    #[test]
    fn good_file_with_a_hole(start in 0usize..1100, len in 0usize..40) {
        let example = include_str!("../reference/example.toml");
        let (before, rest) = example.split_at(example.floor_char_boundary(start));
        check(&format!("{before}{}", &rest[rest.ceil_char_boundary(len.min(rest.len()))..]), Some("laptop"))?;
    }
}

/// Goal: what would cost much memory or stack is refused, with one message.
#[test]
fn hostile_sizes() {
    let said = |text: &str| read(text, "prumo.toml", None, &|_| None).unwrap_err().to_string();
    assert!(said(&"#".repeat(1024 * 1024 + 1)).starts_with("error: the file has 1048577 bytes"));
    assert!(said(&format!("a{} = 1", ".a".repeat(500_000))).starts_with("error: a key with more than 16 parts"));
    assert!(said(&format!("a = {}", "[".repeat(500_000))).contains("brackets are nested too deep"));
    assert!(said(&format!("a = {}", "{ a = ".repeat(150_000))).contains("brackets are nested too deep"));
    let many = said(&"x = 1\n[[route]]\n".repeat(50_000));
    assert!(many.ends_with(" more") && many.matches("error: ").count() == 50, "{many}");
    assert!(said(&"\u{1}\n".repeat(300_000)).matches("error: ").count() == 50);
}
