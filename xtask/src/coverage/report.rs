//! The counts by crate, those of the decisions, and what is worst.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// The decisions, and `lib/`, are pure: what is not run there was not thought of.
const CAREFUL: f64 = 90.0;

/// Everything that is shipped.
const SHIPPED: f64 = 85.0;

/// Files named at the end.
const WORST: usize = 15;

/// Where decisions are made, by the beginning of the paths.
const DECISIONS: [&str; 5] = [
    "crates/config/src/checked",
    "crates/edge/src/admit",
    "crates/edge/src/balance",
    "crates/edge/src/route",
    "crates/run/src/plan",
];

pub(super) struct Report {
    files: BTreeMap<String, Lines>,
    /// Whether every test ran, so that the bounds mean something for all.
    is_whole: bool,
}

/// How many lines there are, and how many of them ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lines {
    ran: u64,
    all: u64,
}

impl Report {
    /// Reads what `llvm-cov export` says. Tests do not count: they run by themselves.
    pub(super) fn read(exported: &str, root: &Path, packages: &[String]) -> Result<Report, Failure> {
        let not_read = |why: &str| Failure::new(format!("cannot read what llvm-cov says: {why}"));
        let document: Value = serde_json::from_str(exported).map_err(|error| not_read(&error.to_string()))?;
        let files = document["data"][0]["files"].as_array().ok_or_else(|| not_read("it names no file"))?;
        let prefix = format!("{}/", root.display());
        let folders: Vec<String> = packages.iter().map(|package| folder_of(package)).collect();
        let mut counted = BTreeMap::new();
        for file in files {
            let Some(path) = file["filename"].as_str().and_then(|path| path.strip_prefix(&prefix)) else { continue };
            let is_wanted = folders.is_empty() || folders.iter().any(|folder| path.starts_with(folder.as_str()));
            if is_wanted && !is_test(path) {
                let lines = &file["summary"]["lines"];
                let number = |key: &str| lines[key].as_u64().ok_or_else(|| not_read("a file has no lines"));
                counted.insert(path.to_owned(), Lines { ran: number("covered")?, all: number("count")? });
            }
        }
        Ok(Report { files: counted, is_whole: packages.is_empty() })
    }

    /// Fails when a bound is not met.
    pub(super) fn judged(&self) -> Result<(), Failure> {
        let short = |what: &str, lines: Lines, bound: f64| {
            let is_short = lines.all > 0 && lines.percent() < bound;
            is_short.then(|| format!("{what} is at {:.1} %, and should be at {bound} %", lines.percent()))
        };
        let careful = self.parts().into_iter().filter(|(part, _)| is_careful(part));
        let mut missing: Vec<String> = careful.filter_map(|(part, lines)| short(&part, lines, CAREFUL)).collect();
        if self.is_whole {
            missing.extend(short("what is shipped", self.shipped(), SHIPPED));
        }
        if missing.is_empty() { Ok(()) } else { Err(Failure::new(missing.join("\n"))) }
    }

    /// The sums by crate, and by decision.
    fn parts(&self) -> BTreeMap<String, Lines> {
        let mut parts: BTreeMap<String, Lines> = BTreeMap::new();
        for (path, lines) in &self.files {
            let of_crate = path.split("/src/").next().unwrap_or(path);
            let of_decision = DECISIONS.iter().find(|decision| is_below(path, decision));
            for part in [Some(of_crate), of_decision.copied()].into_iter().flatten() {
                *parts.entry(part.to_owned()).or_default() += *lines;
            }
        }
        parts
    }

    fn shipped(&self) -> Lines {
        let mut sum = Lines::default();
        self.files.iter().filter(|(path, _)| is_shipped(path)).for_each(|(_, lines)| sum += *lines);
        sum
    }

    /// The files with the most lines that nobody ran.
    fn worst(&self) -> Vec<(&String, &Lines)> {
        let mut files: Vec<_> =
            self.files.iter().filter(|(path, lines)| is_shipped(path) && lines.left() > 0).collect();
        files.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.left()));
        files.truncate(WORST);
        files
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| part | lines | ran | |\n|---|---|---|---|")?;
        for (part, lines) in self.parts() {
            writeln!(out, "| {part} | {} | {} | {:.1} % |", lines.all, lines.ran, lines.percent())?;
        }
        let shipped = self.shipped();
        writeln!(out, "| all that is shipped | {} | {} | {:.1} % |", shipped.all, shipped.ran, shipped.percent())?;
        writeln!(out, "\nMost lines that no test ran:")?;
        for (path, lines) in self.worst() {
            writeln!(out, "  {:>4} of {:>4}  {path}", lines.left(), lines.all)?;
        }
        Ok(())
    }
}

impl Lines {
    fn left(self) -> u64 {
        self.all - self.ran
    }

    fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { self.ran as f64 * 100.0 / self.all as f64 }
    }
}

impl std::ops::AddAssign for Lines {
    fn add_assign(&mut self, more: Lines) {
        self.ran += more.ran;
        self.all += more.all;
    }
}

/// The folder of one of our packages.
fn folder_of(package: &str) -> String {
    let name = package.strip_prefix("prumo-").unwrap_or(package);
    let folder = ["lib", "crates"].into_iter().map(|above| format!("{above}/{name}"));
    let mut known = folder.filter(|folder| crate::checkout::root().join(folder).is_dir());
    known.next().unwrap_or_else(|| name.to_owned()) + "/"
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/examples/")
}

/// What only builds, tests or measures is not.
fn is_shipped(path: &str) -> bool {
    path.starts_with("crates/") || path.starts_with("lib/")
}

fn is_careful(part: &str) -> bool {
    part.starts_with("lib/") || DECISIONS.contains(&part)
}

/// The file itself, or one in its folder.
fn is_below(path: &str, decision: &str) -> bool {
    path.strip_prefix(decision).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
