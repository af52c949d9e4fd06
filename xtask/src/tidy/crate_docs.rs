//! Each crate says what it is for, what it does not do, and where to start reading.

use super::expect_none;
use super::tree::{self, Page};

/// Fewer lines than this have not said all three.
const LINES_MIN: usize = 5;

fn mistakes(pages: &[Page]) -> Vec<String> {
    let entrances = pages.iter().filter(|page| is_entrance(&page.path));
    let silent =
        entrances.filter(|page| page.text.lines().take_while(|line| line.starts_with("//!")).count() < LINES_MIN);
    silent.map(|page| format!("{} opens with fewer than {LINES_MIN} lines of `//!`", page.path)).collect()
}

fn is_entrance(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

/// Goal: a crate that does not introduce itself is refused.
#[test]
fn a_silent_crate_is_refused() {
    let pages = [
        Page::new("lib/clock/src/lib.rs", "//! Time.\nmod clock;\n"),
        Page::new("lib/clock/src/moment.rs", ""),
        Page::new("lib/drain/src/lib.rs", "//! a\n//! b\n//!\n//! c\n//! d\n"),
    ];
    assert_eq!(mistakes(&pages), ["lib/clock/src/lib.rs opens with fewer than 5 lines of `//!`"]);
}

/// Goal: every crate introduces itself.
#[test]
fn crates_introduce_themselves() {
    expect_none("what is it for, what does it not do, where does one start?", &mistakes(&tree::rust()));
}
