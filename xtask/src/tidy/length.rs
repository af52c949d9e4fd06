//! A file that one can hold in mind.

use super::expect_none;
use super::tree::{self, Page};

/// Past this a file usually hides a second noun. We aim for 500; the rest is room for a bad week.
const LINES_MAX: usize = 700;

fn mistakes(pages: &[Page]) -> Vec<String> {
    let written = pages.iter().filter(|page| !page.is_test());
    let long =
        written.filter_map(|page| Some((page, page.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX));
    long.map(|(page, lines)| format!("{} has {lines} lines, more than {LINES_MAX}", page.path)).collect()
}

/// Goal: a long file is refused, unless it is made of tests.
#[test]
fn a_long_file_is_refused() {
    let text = "\n".repeat(LINES_MAX + 1);
    let pages = [Page::new("crates/edge/src/route.rs", &text), Page::new("crates/edge/src/route/tests.rs", &text)];
    assert_eq!(mistakes(&pages), ["crates/edge/src/route.rs has 701 lines, more than 700"]);
}

/// Goal: no file of this repository is too long.
#[test]
fn files_are_short() {
    expect_none("which noun is missing in these files?", &mistakes(&tree::rust()));
}
