//! Everything a change must pass besides its tests. All of it runs, so that all mistakes are reported at once.

use crate::checkout;
use crate::deps;
use crate::docs;
use crate::failure::Failure;
use crate::program::Program;

type Check = (&'static str, fn() -> Result<(), Failure>);

const CHECKS: &[Check] = &[
    ("format", format),
    ("format of fuzz targets", format_fuzz),
    ("clippy", clippy),
    ("rustdoc", rustdoc),
    ("tidy", tidy),
    ("licences, duplicates and sources of dependencies", deny),
    ("freshness of the generated docs", docs::check),
];

pub(crate) fn run() -> Result<(), Failure> {
    deps::install()?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("lint: {name}");
        if let Err(failure) = check() {
            eprintln!("{failure}");
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("lint found mistakes in: {}", failed.join(", ")))) }
}

fn format() -> Result<(), Failure> {
    Program::cargo().args(["fmt", "--all", "--check"]).run().map_err(|failure| failure.hint("`cargo fmt --all`"))
}

fn format_fuzz() -> Result<(), Failure> {
    Program::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]).run()
}

fn clippy() -> Result<(), Failure> {
    Program::cargo()
        .args(["clippy", "--quiet", "--keep-going", "--workspace", "--all-targets", "--", "--deny", "warnings"])
        .run()
}

fn rustdoc() -> Result<(), Failure> {
    Program::cargo().args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings").run()
}

fn tidy() -> Result<(), Failure> {
    Program::cargo().args(["test", "--quiet", "--package", "xtask", "--", "tidy"]).run()
}

/// Our own workspace and the fuzz targets, which have a lock file of their own.
fn deny() -> Result<(), Failure> {
    let settings = checkout::root().join("deny.toml");
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        Program::new(deps::cargo_deny())
            .args(["--log-level", "error", "--manifest-path", manifest, "--config"])
            .arg(&settings)
            .args(["check", "licenses", "bans", "sources"])
            .run()?;
    }
    Ok(())
}
