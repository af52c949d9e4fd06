//! How long a clean release build takes.

use std::collections::BTreeSet;

use super::fresh_folder;
use super::report::{Table, mebibytes};
use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;
use crate::stopwatch::Stopwatch;

pub(super) fn run() -> Result<(), Failure> {
    let folder = fresh_folder("build")?;
    // What is downloaded depends on the network, so it happens before the clock starts.
    Program::cargo().arg("fetch").run()?;
    let stopwatch = Stopwatch::start();
    Program::cargo()
        .args(["build", "--quiet", "--release", "--package", "prumo", "--target-dir"])
        .arg(&folder)
        .run()?;
    let seconds = stopwatch.elapsed().as_secs();
    let mut table = Table::new("A clean release build", &["time", "crates", "of them ours", "binary"]);
    let (crates, ours) = crates()?;
    let size = checkout::size(&folder.join("release/prumo"))?;
    let time = format!("{} min {:02} s", seconds / 60, seconds % 60);
    table.row(&[&time, &crates.to_string(), &ours.to_string(), &mebibytes(size)]);
    table.print();
    Ok(())
}

/// How many crates are compiled for the binary, and how many of them are in this repository.
fn crates() -> Result<(usize, usize), Failure> {
    let tree = Program::cargo()
        .args(["tree", "--package", "prumo", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .output()?;
    let crates: BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    let root = checkout::root().to_string_lossy().into_owned();
    let ours = crates.iter().filter(|line| line.contains(&root)).count();
    Ok((crates.len(), ours))
}
