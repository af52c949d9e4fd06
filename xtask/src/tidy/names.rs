//! Names that hide a noun.

use super::expect_none;
use super::tree::{self, Page};

const TYPE_ENDINGS: &[&str] = &["Manager", "Helper", "Handler", "Util", "Utils"];
const FILE_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "handlers"];

fn mistakes(pages: &[Page]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for page in pages {
        let stem = page.file_name().trim_end_matches(".rs");
        if FILE_NAMES.contains(&stem) {
            mistakes.push(format!("{}: what is the noun of this file?", page.path));
        }
        for (number, line) in page.lines() {
            if let Some(name) = declared_type(line).filter(|name| TYPE_ENDINGS.iter().any(|end| name.ends_with(end))) {
                mistakes.push(format!("{}:{number}: `{name}`: there is usually a better noun waiting", page.path));
            }
        }
    }
    mistakes
}

/// The name of the type that a line declares.
fn declared_type(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    match words.next()? {
        "struct" | "enum" | "trait" | "type" | "union" => {}
        _ => return None,
    }
    words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Goal: types and files without a noun are refused.
#[test]
fn a_name_without_a_noun_is_refused() {
    let route = Page::new("route.rs", "pub(crate) struct RouteManager<T> {\nlet x = Handler;\nenum Route {}\n");
    let found = mistakes(&[route, Page::new("src/utils.rs", "")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("route.rs:1: `RouteManager`"), "{found:?}");
    assert!(found[1].starts_with("src/utils.rs: "), "{found:?}");
}

/// Goal: every type and file of this repository has a noun.
#[test]
fn names_are_nouns() {
    expect_none("find the noun", &mistakes(&tree::rust()));
}
