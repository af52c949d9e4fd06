//! Fragments of the changelog can be put together without an editor.

use super::expect_none;
use super::tree::{self, Page};

const KINDS: &[&str] = &["added", "changed", "fixed", "removed", "security"];

fn mistakes(pages: &[Page]) -> Vec<String> {
    let fragments =
        pages.iter().filter(|page| page.path.starts_with("changelog.d/") && page.file_name() != "README.md");
    fragments.filter_map(|page| Some(format!("{}: {}", page.path, mistake(page)?))).collect()
}

fn mistake(fragment: &Page) -> Option<String> {
    let name: Vec<&str> = fragment.file_name().split('.').collect();
    let [subject, kind, "md"] = name[..] else { return Some("is not named SUBJECT.KIND.md".to_owned()) };
    if !KINDS.contains(&kind) {
        return Some(format!("`{kind}` is none of {}", KINDS.join(", ")));
    }
    if subject.is_empty() || subject.contains(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-') {
        return Some("the subject is lower case words with dashes".to_owned());
    }
    if fragment.text.contains("\n\n") || fragment.text.starts_with(['#', '-', '*', ' ']) {
        return Some("is not one paragraph of plain sentences".to_owned());
    }
    (!fragment.text.trim_end().ends_with('.')).then(|| "does not end with a full stop".to_owned())
}

/// Goal: a fragment that cannot be put in the changelog as it is, is refused.
#[test]
fn a_malformed_fragment_is_refused() {
    let check = |name: &str, text: &str| mistakes(&[Page::new(&format!("changelog.d/{name}"), text)]).len();
    assert_eq!(check("deploy.added.md", "`prumo deploy` starts the new release first.\n"), 0);
    assert_eq!(check("README.md", "- free form"), 0);
    assert_eq!(check("deploy.md", "A sentence.\n"), 1);
    assert_eq!(check("deploy.improved.md", "A sentence.\n"), 1);
    assert_eq!(check("Deploy.added.md", "A sentence.\n"), 1);
    assert_eq!(check("deploy.added.md", "- a list\n"), 1);
    assert_eq!(check("deploy.added.md", "no stop\n"), 1);
}

/// Goal: every fragment in `changelog.d` is well formed.
#[test]
fn fragments_are_well_formed() {
    expect_none("see changelog.d/README.md", &mistakes(&tree::pages()));
}
