//! Unsafe code has one room.

use super::expect_none;
use super::tree::{self, Page};

/// Between fork and exec nothing safe exists; nowhere else do we need more than the safe wrappers of rustix.
const ROOM: &str = "crates/run/src/driver";

/// The compiler refuses `unsafe` without an exception, so the exceptions are what there is to find.
fn mistakes(pages: &[Page]) -> Vec<String> {
    let exceptions = ["allow", "expect", "warn"].map(|level| format!("{level}(unsafe_code"));
    let mut mistakes = Vec::new();
    for page in pages.iter().filter(|page| !page.path.starts_with(ROOM)) {
        for (number, line) in page.lines() {
            if exceptions.iter().any(|exception| line.contains(exception)) {
                mistakes.push(format!("{}:{number}: unsafe code outside {ROOM}", page.path));
            }
        }
    }
    mistakes
}

/// Goal: an exception is refused outside its room.
#[test]
fn an_exception_elsewhere_is_refused() {
    let text = ["#[expect(", "unsafe_code, reason = \"…\")]"].concat();
    let pages = [Page::new("crates/run/src/driver/process.rs", &text), Page::new("crates/edge/src/tls.rs", &text)];
    assert_eq!(mistakes(&pages), ["crates/edge/src/tls.rs:1: unsafe code outside crates/run/src/driver"]);
}

/// Goal: unsafe code stays in the driver of processes.
#[test]
fn unsafe_code_stays_in_its_room() {
    expect_none("unsafe code has one room", &mistakes(&tree::rust()));
}
