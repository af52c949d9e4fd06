//! The files of the repository, as a rule sees them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout;

/// Folders that hold what was built or found, not what was written.
const NOT_OURS: &[&str] = &[".git", ".prumo", "target", "node_modules", "fuzz/corpus", "fuzz/artifacts"];

/// One text file: its path from the top of the repository, with `/`, and what is in it.
pub(super) struct Page {
    pub(super) path: String,
    pub(super) text: String,
}

impl Page {
    pub(super) fn new(path: &str, text: &str) -> Page {
        Page { path: path.to_owned(), text: text.to_owned() }
    }

    /// Tests may be long and blunt: `tests.rs`, what is below a `tests` folder, and the package of whole-binary tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.split('/').any(|part| part == "tests")
    }

    /// Lines with their numbers, as editors count them.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Every text file that somebody wrote.
pub(super) fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    collect(&checkout::root(), &mut pages);
    pages.sort_by(|left, right| left.path.cmp(&right.path));
    pages
}

/// Every file of Rust.
pub(super) fn rust() -> Vec<Page> {
    pages().into_iter().filter(|page| page.path.ends_with(".rs")).collect()
}

fn collect(folder: &Path, pages: &mut Vec<Page>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let path = entry.expect("an entry of a folder can be read").path();
        let name = relative(&path);
        if NOT_OURS.iter().any(|folder| name == *folder || name.ends_with(&format!("/{folder}"))) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, pages);
        } else if let Ok(text) = fs::read_to_string(&path) {
            // What is not UTF-8 is data, which no rule reads.
            pages.push(Page { path: name, text });
        }
    }
}

fn relative(path: &Path) -> String {
    let root: PathBuf = checkout::root();
    path.strip_prefix(root).expect("the walk started at the top").to_string_lossy().into_owned()
}
