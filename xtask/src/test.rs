//! Run every test and count them.

use std::fmt;
use std::process::ExitCode;

use crate::checkout;
use crate::deps;
use crate::failure::Failure;
use crate::program::Program;

/// Where the counts are left for whoever reports them again, as `.ci/run` does.
const SUMMARY: &str = "test-summary.txt";

pub(crate) fn run(filters: &[String]) -> Result<ExitCode, Failure> {
    deps::install()?;
    // Scenarios run the real binaries, which `cargo test` alone would not build for another package.
    Program::cargo().args(["build", "--workspace", "--bins"]).run()?;
    let mut tally = Tally::default();
    let mut unmet = Unmet::of(filters);
    let tests = Program::cargo().args(["test", "--workspace", "--no-fail-fast", "--"]).args(filters);
    let succeeded = tests.each_line(|line| {
        println!("{line}");
        tally.add(line);
        unmet.meet(line);
    })?;
    if tally.skipped > 0 {
        eprintln!("error: a skipped test is a claim nobody checks\n\nhint: mend or remove the tests marked `ignored`");
    }
    checkout::write(&checkout::target().join(SUMMARY), &format!("{tally}\n"))?;
    println!("\n{tally}");
    // A suite that did not build names no test, and has said why.
    if succeeded && !unmet.0.is_empty() {
        let names: Vec<String> = unmet.0.iter().map(|name| format!("`{name}`")).collect();
        let hint = "a name is part of what stands between `test` and `...` in the lines above";
        return Err(Failure::new(format!("no test is named {}", names.join(" or "))).hint(hint));
    }
    let green = succeeded && tally.failed == 0 && tally.skipped == 0;
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Names that were asked for and that no test has borne so far.
struct Unmet<'a>(Vec<&'a str>);

impl<'a> Unmet<'a> {
    fn of(filters: &'a [String]) -> Unmet<'a> {
        Unmet(filters.iter().map(String::as_str).collect())
    }

    /// Look at a line such as `test tests::suites_are_summed ... ok`.
    fn meet(&mut self, line: &str) {
        let name = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "));
        if let Some((name, _)) = name {
            self.0.retain(|wanted| !name.contains(wanted));
        }
    }
}

/// How many tests did what, over all suites.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Add a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; …`, or such as
    /// `33 scenarios passed, 0 failed`, which is how the scenarios end that are run without the usual harness.
    fn add(&mut self, line: &str) {
        if let Some((passed, failed)) =
            line.strip_suffix(" failed").and_then(|line| line.split_once(" scenarios passed, "))
        {
            self.passed += passed.parse::<u64>().unwrap_or(0);
            self.failed += failed.parse::<u64>().unwrap_or(0);
        }
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests;
