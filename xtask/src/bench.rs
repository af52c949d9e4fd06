//! Measure, and print tables for `docs/benchmarks.md`.
//!
//! Every number is taken beside its peer, in the same run and on the same machine, because machines differ more than
//! proxies do. Load goes to the loopback address only and every run is bounded in time.

mod allocator;
mod build;
mod deploys;
mod edge;
mod idle;
mod lives;
mod peer;
pub(crate) mod process;
mod report;
pub(crate) mod site;
mod wrk;

use std::path::PathBuf;

use crate::checkout;
use crate::deps;
use crate::failure::Failure;
use crate::program::Program;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Every number the edge is judged by, beside nginx, HAProxy and Caddy: CPU time, latency, memory, crowds, restarts.
    Edge(edge::Arguments),
    /// Deploys in a row under open-loop load and web sockets: nothing may fail.
    Deploys(deploys::Arguments),
    /// prumo replaced by itself in a row under open-loop load and web sockets: nothing may fail.
    Upgrades(lives::Arguments),
    /// The file read again in a row under the same load: nothing may fail.
    Reloads(lives::Arguments),
    /// A kept prumo killed, each time on a new site: how long until it answers again.
    Restarts(lives::Arguments),
    /// Memory and CPU of a demo that nobody uses, without its replicas, and the size of the binary.
    Idle,
    /// How long a clean release build takes, and how many crates it builds.
    Build,
    /// The cost of a request for each allocator that the binary can be built with.
    Allocator(edge::Builds),
}

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    deps::install()?;
    match bench {
        Bench::Edge(arguments) => edge::run(arguments),
        Bench::Deploys(arguments) => deploys::run(arguments),
        Bench::Upgrades(arguments) => lives::run("upgrades", arguments),
        Bench::Reloads(arguments) => lives::run("reloads", arguments),
        Bench::Restarts(arguments) => lives::run("restarts", arguments),
        Bench::Idle => idle::run(),
        Bench::Build => build::run(),
        Bench::Allocator(arguments) => allocator::run(arguments),
    }
}

/// Build the binary that users get, and the programs that measure it, and say where it is.
fn release_binary() -> Result<PathBuf, Failure> {
    Program::cargo()
        .args(["build", "--quiet", "--release", "--bins", "--package", "prumo", "--package", "prumo-tests"])
        .run()?;
    Ok(checkout::target().join("release/prumo"))
}

/// A fresh folder for one run, with logs and state; it is left behind so that a surprise can be looked into.
fn fresh_folder(name: &str) -> Result<PathBuf, Failure> {
    let folder = checkout::target().join("bench").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| Failure::file("empty", &folder, &error))?;
    }
    checkout::made(folder)
}
