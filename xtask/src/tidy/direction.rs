//! Which package may know which other. The tree is the explanation only as long as the arrows point one way.

use super::expect_none;
use super::manifests::{self, Package};

/// Packages of ours that a package may depend on; `None` when it may depend on all, as the binary that wires them does.
/// `lib/` knows nothing of prumo; those that act know neither one another nor the file; those that look go through `api`.
fn may_know(folder: &str) -> Option<&'static [&'static str]> {
    match folder {
        "crates/prumo" | "tests" | "xtask" => None,
        "crates/prove" | "crates/console" => Some(&["lib/", "crates/api", "tests"]),
        _ => Some(&["lib/", "tests"]),
    }
}

fn mistakes(packages: &[Package]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for package in packages {
        let Some(allowed) = may_know(&package.folder) else { continue };
        for other in packages.iter().filter(|other| package.dependencies.contains(&other.name)) {
            if !allowed.iter().any(|folder| other.folder.starts_with(folder)) {
                mistakes.push(format!("{} must not depend on {}", package.folder, other.folder));
            }
        }
    }
    mistakes
}

/// Goal: an arrow between two crates that act is refused.
#[test]
fn an_arrow_across_is_refused() {
    let packages = [
        Package::new("prumo", "crates/prumo", &["prumo-edge", "prumo-run"]),
        Package::new("prumo-edge", "crates/edge", &["prumo-run", "prumo-clock"]),
        Package::new("prumo-run", "crates/run", &[]),
        Package::new("prumo-clock", "lib/clock", &["prumo-run"]),
    ];
    let expected = ["crates/edge must not depend on crates/run", "lib/clock must not depend on crates/run"];
    assert_eq!(mistakes(&packages), expected);
}

/// Goal: the arrows of this workspace point one way.
#[test]
fn dependencies_point_one_way() {
    expect_none("arrows between subsystems belong in crates/prumo/src/wire.rs", &mistakes(&manifests::packages()));
}
