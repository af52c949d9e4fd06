//! Words that do not belong in a finished text.

use super::expect_none;
use super::tree::{self, Page};

/// Written in two halves, so that this file does not contain what it looks for.
const WORDS: &[(&str, &str, &str)] = &[
    ("todo", "!", "finish it, or leave it out"),
    ("unimplemented", "!(", "finish it, or leave it out"),
    ("FIX", "ME", "mend it, or open an issue"),
    ("XX", "X", "mend it, or open an issue"),
    ("#[igno", "re", "a skipped test is a claim nobody checks"),
    ("/wor", "k/", "a path of somebody's machine"),
    ("/roo", "t/", "a path of somebody's machine"),
    ("/tmp/ba", "sh", "a path of somebody's machine"),
    ("/tmp/ho", "use", "a path of somebody's machine"),
    ("index.crates", ".io", "name packages, not the hosts that serve them"),
    ("static.crates", ".io", "name packages, not the hosts that serve them"),
    ("deb.debian", ".org", "name packages, not the hosts that serve them"),
    ("pypi", ".org", "name packages, not the hosts that serve them"),
    ("registry.npm", "js", "name packages, not the hosts that serve them"),
    ("Clau", "de", "write for the reader, not about who wrote"),
    ("Chat", "GPT", "write for the reader, not about who wrote"),
];

fn mistakes(pages: &[Page]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for page in pages.iter().filter(|page| !page.path.ends_with(".lock")) {
        for (number, line) in page.lines() {
            for (start, end, why) in WORDS.iter().filter(|(start, end, _)| contains(line, &[*start, *end].concat())) {
                mistakes.push(format!("{}:{number}: `{start}{end}`: {why}", page.path));
            }
        }
    }
    mistakes
}

/// A path is meant only where it starts: `src/work/` is a folder like any other.
fn contains(line: &str, word: &str) -> bool {
    let inside_a_name = |start: usize| {
        word.starts_with('/') && line[..start].ends_with(|c: char| c.is_alphanumeric() || "._-*}".contains(c))
    };
    line.match_indices(word).any(|(start, _)| !inside_a_name(start))
}

/// Goal: an unfinished mark and a path of one machine are refused, a folder of the same name is not.
#[test]
fn unfinished_marks_are_refused() {
    let (mark, folder) = (["todo", "!"].concat(), ["/wor", "k/"].concat());
    let text = format!("fn f() {{ {mark}() }}\ncd {folder}main\ncd src{folder}main\n");
    let found = mistakes(&[Page::new("a.rs", &text)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a.rs:1: ") && found[1].starts_with("a.rs:2: "), "{found:?}");
}

/// Goal: nothing in this repository is marked unfinished or speaks of one machine.
#[test]
fn texts_are_finished() {
    expect_none("these words do not belong here", &mistakes(&tree::pages()));
}
