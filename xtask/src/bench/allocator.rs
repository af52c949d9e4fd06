//! Which allocator the binary should have: the cost of a request, once for each it can be built with.

use super::edge::Builds;
use super::{edge, release_binary};
use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

/// Features of the `prumo` package; without any of them it has the allocator of the system.
const ALLOCATORS: &[&str] = &["alloc-mimalloc", "alloc-jemalloc"];

pub(super) fn run(arguments: &Builds) -> Result<(), Failure> {
    let folder = checkout::made(checkout::target().join("bench-allocators"))?;
    let mut builds = Vec::new();
    for features in [&[""], ALLOCATORS].concat() {
        Program::cargo()
            .args(["build", "--quiet", "--release", "--package", "prumo", "--no-default-features"])
            .args(["--features", features])
            .run()?;
        let name =
            if features.is_empty() { "prumo, system allocator".to_owned() } else { format!("prumo, {features}") };
        let copy = folder.join(&name);
        let binary = checkout::target().join("release/prumo");
        std::fs::copy(&binary, &copy).map_err(|error| Failure::file("copy", &binary, &error))?;
        builds.push((name, copy));
    }
    // Leave the binary that users get where others look for it.
    release_binary()?;
    edge::compare_builds(arguments, &builds)
}
