use super::*;

/// Reports a mistake from `«` to `»` and compares what is shown, without message and hint.
fn check(marked: &str, expected: &str) {
    let start = marked.find('«').unwrap();
    let text = marked.replace('«', "");
    let end = text.find('»').unwrap();
    let text = text.replace('»', "");
    let shown = Mistakes::from_drafts("f", &text, vec![Draft::new(start..end, "m", "h")]).to_string();
    assert_eq!(shown, format!("error: m\n{expected}\nhint: h"));
}

/// Goal: the caret stands under the characters that are wrong, at every edge of a file.
#[test]
fn places() {
    check("a = «1»\n", " --> f:1:5\n  |\n1 | a = 1\n  |     ^");
    check("«»", " --> f:1:1\n  |\n1 |\n  | ^");
    check("a\n«»", " --> f:2:1\n  |\n2 |\n  | ^");
    check("a =«»", " --> f:1:4\n  |\n1 | a =\n  |    ^");
    check("a = «[\n1,\n]»\n", " --> f:1:5\n  |\n1 | a = [\n  |     ^");
    check("é = «ü»\r\n", " --> f:1:5\n  |\n1 | é = ü\n  |     ^");
    check("\ta\t= «12»", " --> f:1:6\n  |\n1 |  a = 12\n  |      ^^");
    check("\n\n\n\n\n\n\n\n\n«x»", "  --> f:10:1\n   |\n10 | x\n   | ^");
}

/// Goal: a line cannot drive the terminal, and a long one is cut around the mistake.
#[test]
fn excerpts() {
    check("a\u{1b}[2J\u{202e} = «1»", " --> f:1:10\n  |\n1 | a\u{fffd}[2J\u{fffd} = 1\n  |          ^");
    let long = format!("{}«bad»{}", "x".repeat(500), "y".repeat(500));
    let shown = format!("{}bad{}", "x".repeat(40), "y".repeat(117));
    check(&long, &format!(" --> f:1:501\n  |\n1 | {shown}\n  | {}^^^", " ".repeat(40)));
}

/// Goal: a text beside the name of a secret is masked.
#[test]
fn secrets() {
    check(
        "environment = { DB_PASSWORD = \"hunter22\", «X» = [] }",
        " --> f:1:43\n  |\n1 | environment = { DB_PASSWORD = \"********\", X = [] }\n  |                                           ^",
    );
}

/// Goal: mistakes stand in the order of the file, each once, and at most fifty.
#[test]
fn many() {
    let draft = |at: usize| Draft::new(at..at + 1, format!("m{at}"), "h");
    let text = "x".repeat(100);
    let mistakes = Mistakes::from_drafts("f", &text, vec![draft(7), draft(3), draft(7)]);
    assert_eq!(mistakes.iter().map(|mistake| mistake.column).collect::<Vec<_>>(), [4, 8]);
    let mistakes = Mistakes::from_drafts("f", &text, (0..53).map(draft).collect());
    assert_eq!((mistakes.iter().count(), mistakes.count()), (50, 53));
    assert!(mistakes.to_string().ends_with("\n\nand 3 more"));
}

/// Goal: a wrong span of a parser is moved into the text.
#[test]
fn spans_stay_inside() {
    let backward = Range { start: 2, end: 1 };
    for span in [0..99, 99..100, 1..2, backward] {
        let mistakes = Mistakes::from_drafts("f", "é", vec![Draft::new(span, "m", "h")]);
        assert!(mistakes.iter().all(|mistake| "é".get(mistake.span.clone()).is_some()));
    }
}

/// Goal: tools get the same as JSON.
#[test]
fn json() {
    let mistakes = Mistakes::from_drafts("f", "a = 1", vec![Draft::new(4..5, "m", "h")]);
    let expected = serde_json::json!({ "file": "f", "more": 0, "mistakes": [{
        "message": "m", "hint": "h", "span": { "start": 4, "end": 5 }, "line": 1, "column": 5,
        "excerpt": { "line": "a = 1", "before": 4, "width": 1 },
    }] });
    assert_eq!(serde_json::to_value(&mistakes).unwrap(), expected);
}

/// Goal: of a file with mistakes, the services in which nothing is wrong are known, and no others.
#[test]
fn good_services_of_a_bad_file() {
    let text = "[service.api]\nrun = \"api\"\n[service.worker]\nrun = \"worker\"\nlisten = \"nothing\"\n\
                health = { tcp = true }\n[service.port]\nrun = \"port $PORT\"\nlisten = \"socket\"\n";
    let mistakes = crate::read(text, "f", None, &|_| None).unwrap_err();
    let names: Vec<&str> = mistakes.services().iter().map(|service| service.name.as_str()).collect();
    assert_eq!((mistakes.count(), names), (2, vec!["api"]));
}
