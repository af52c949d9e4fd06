//! The programs under test, found beside the running test.

use std::path::PathBuf;

/// The `prumo` of the same build as this test.
pub fn prumo() -> PathBuf {
    find("prumo")
}

/// The app that misbehaves on demand; see `bin/zoo.rs`.
pub fn zoo() -> PathBuf {
    find("zoo")
}

/// `target/<profile>/NAME`: test executables lie in `deps` below it, other programs in it.
fn find(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built\nhint: `cargo xtask test` builds everything that tests need",
        path.display()
    );
    path
}
