//! The chores of this repository, as `cargo xtask TASK`.
//!
//! `deps` makes a fresh machine able to run the rest; `test` and `lint` are what a change must pass; `docs` writes the
//! generated reference; `coverage` counts the lines that tests run; `fuzz` feeds the parsers; `bench` measures prumo beside its peers and prints tables for
//! `docs/benchmarks.md`. The rules of the house that no compiler knows are tests of this package, in `tidy`.
//!
//! What is deliberately absent: no task changes the machine beyond installing Debian packages, no task talks to
//! anything but package registries and the loopback address, and nothing here is part of the `prumo` binary.
//! Start reading at `Task`, then the file that carries the task's name.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task speaks to the person who runs it")]

mod bench;
mod checkout;
mod coverage;
mod deps;
mod docs;
mod failure;
mod fuzz;
mod judge;
mod lint;
mod program;
mod stopwatch;
mod test;
#[cfg(test)]
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what tests and benchmarks need: only what is missing, and without starting any service.
    Deps {
        /// Only the Debian packages, not the tools that live in `target/tools`.
        #[arg(long)]
        packages_only: bool,
    },
    /// Install what is needed, build, and run every test; the last line counts them.
    Test {
        /// Only tests whose name contains one of these.
        filters: Vec<String>,
    },
    /// Format, clippy, rustdoc, tidy, licences and sources of dependencies, freshness of the generated docs.
    Lint,
    /// Write the generated reference in `docs/reference`.
    Docs {
        /// Change nothing; fail when a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Run the tests and say which lines they ran, by crate and by decision; fail where too few did. Half an hour.
    Coverage(coverage::Arguments),
    /// Feed the parsers with inputs that nobody would write, two targets at a time.
    Fuzz(fuzz::Arguments),
    /// Let outside judges look at a running prumo, beyond those that are quick enough to be tests.
    #[command(subcommand)]
    Judge(judge::Judge),
    /// Measure, and print a table for `docs/benchmarks.md`.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode, Failure> {
    match task {
        Task::Deps { packages_only: true } => deps::packages()?,
        Task::Deps { packages_only: false } => deps::install()?,
        Task::Test { filters } => return test::run(&filters),
        Task::Lint => lint::run()?,
        Task::Docs { check: true } => docs::check()?,
        Task::Docs { check: false } => docs::write()?,
        Task::Coverage(arguments) => coverage::run(&arguments)?,
        Task::Fuzz(arguments) => fuzz::run(&arguments)?,
        Task::Judge(judge) => judge::run(&judge)?,
        Task::Bench(bench) => bench::run(&bench)?,
    }
    Ok(ExitCode::SUCCESS)
}
