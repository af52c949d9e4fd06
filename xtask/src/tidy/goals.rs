//! A test begins with its goal in one sentence.

use super::expect_none;
use super::tree::{self, Page};

/// Lines after the attribute in which the goal may stand: further attributes, the signature, the first line of the body.
const LINES_AFTER: usize = 4;

fn mistakes(pages: &[Page]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for page in pages {
        let lines: Vec<&str> = page.text.lines().map(str::trim_start).collect();
        if page.path.starts_with("tests/scenarios/") && page.path.ends_with(".txt") {
            if !lines.iter().take(3).any(|line| line.starts_with("# Goal: ")) {
                mistakes.push(format!("{}: the scenario does not begin with its goal", page.path));
            }
            continue;
        }
        let tests = (0..lines.len()).filter(|index| page.path.ends_with(".rs") && is_test(lines[*index]));
        mistakes.extend(tests.filter(|index| !has_goal(&lines, *index)).map(|index| {
            format!("{}:{}: `{}` does not begin with its goal", page.path, index + 1, name(&lines[index..]))
        }));
    }
    mistakes
}

fn is_test(line: &str) -> bool {
    line == "#[test]" || line.starts_with("#[tokio::test")
}

fn has_goal(lines: &[&str], test: usize) -> bool {
    let above = lines[..test].iter().rev().take_while(|line| line.starts_with("//") || line.starts_with("#["));
    let below = lines[test..].iter().take(LINES_AFTER);
    above.chain(below).any(|line| line.starts_with("/// Goal: ") || line.starts_with("// Goal: "))
}

fn name<'a>(lines: &[&'a str]) -> &'a str {
    let signature = lines.iter().find_map(|line| line.split_once("fn ")).map(|(_, rest)| rest);
    signature.and_then(|rest| rest.split_once('(')).map_or("?", |(name, _)| name)
}

/// Goal: a test without a goal is refused, wherever else a goal may stand.
#[test]
fn a_test_without_a_goal_is_refused() {
    let goal = "// Goal: a.";
    let text = format!("/{goal}\n#[test]\nfn a() {{\n}}\n#[test]\nfn b() {{\n{goal}\n}}\n\n#[test]\nfn c() {{\n}}\n");
    assert_eq!(mistakes(&[Page::new("tests.rs", &text)]), ["tests.rs:10: `c` does not begin with its goal"]);
    let scenario = Page::new("tests/scenarios/0001-up.txt", "$ prumo up\n");
    assert_eq!(mistakes(&[scenario]), ["tests/scenarios/0001-up.txt: the scenario does not begin with its goal"]);
}

/// Goal: every test and scenario of this repository begins with its goal.
#[test]
fn tests_begin_with_their_goal() {
    expect_none("what is this test for?", &mistakes(&tree::pages()));
}
