//! Every crate that somebody else wrote is there for a written reason.

use std::collections::BTreeSet;

use super::expect_none;
use super::manifests::{self, Package};
use crate::checkout;

const REASONS: &str = "docs/dependencies.md";

/// Rows of the table look like `` | `hyper` | MIT | … ``.
fn explained(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect()
}

fn mistakes(packages: &[Package], text: &str) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let used: BTreeSet<&str> =
        packages.iter().flat_map(|package| package.dependencies.iter().map(String::as_str)).collect();
    let theirs: BTreeSet<&str> = used.difference(&ours).copied().collect();
    let explained = explained(text);
    let silent = theirs.difference(&explained).map(|name| format!("`{name}` is used, and {REASONS} does not say why"));
    let gone =
        explained.difference(&theirs).map(|name| format!("`{name}` is explained in {REASONS}, and nothing uses it"));
    silent.chain(gone).collect()
}

/// Goal: a dependency without a reason, and a reason without its dependency, are refused.
#[test]
fn a_silent_dependency_is_refused() {
    let packages =
        [Package::new("prumo", "crates/prumo", &["hyper", "prumo-edge"]), Package::new("prumo-edge", "", &[])];
    let expected = [
        "`hyper` is used, and docs/dependencies.md does not say why",
        "`tower` is explained in docs/dependencies.md, and nothing uses it",
    ];
    assert_eq!(mistakes(&packages, "| Crate | Why |\n| `tower` | layers |\n"), expected);
}

/// Goal: every direct dependency of the workspace and of the fuzz targets has its reason written down.
#[test]
fn dependencies_are_explained() {
    let mut packages = manifests::packages();
    packages.extend(manifests::fuzz_packages());
    let text = checkout::read(&checkout::root().join(REASONS)).expect("the page exists");
    expect_none("a dependency is a promise to keep up with it", &mistakes(&packages, &text));
}
