//! prumo told to read its file again, replaced by itself, and killed.

use super::Options;
use super::figure::{Figure, Goal, Measured, PRUMO};
use crate::bench::lives;
use crate::failure::Failure;

const WEB_SOCKETS: u32 = 200;

pub(super) fn reloads(options: Options) -> Result<Vec<Figure>, Failure> {
    without_loss("reloads", if options.is_short() { 100 } else { 1000 })
}

pub(super) fn upgrades(options: Options) -> Result<Vec<Figure>, Failure> {
    without_loss("upgrades", if options.is_short() { 5 } else { 50 })
}

/// From the kill to the next answer.
pub(super) fn restarts(options: Options) -> Result<Vec<Figure>, Failure> {
    let account = lives::measure("restarts", options.rounds, 0)?;
    let goal = Goal::AtMost { goal: 2.0, must: 2.0 };
    let about = "Killed (kill -9) under `up --keep`: until it answers again";
    Ok(vec![
        ours(about, "seconds", account.took, goal),
        ours(
            "Unanswered requests and replicas that were not found again after it",
            "",
            vec![account.troubles],
            Goal::AtMost { goal: 0.0, must: 0.0 },
        ),
    ])
}

fn without_loss(what: &str, count: u32) -> Result<Vec<Figure>, Failure> {
    let account = lives::measure(what, count, WEB_SOCKETS)?;
    let about = format!("{count} {what} under {} requests and {WEB_SOCKETS} web sockets", account.sent);
    let none = Goal::AtMost { goal: 0.0, must: 0.0 };
    Ok(vec![
        ours(&about, "failed requests", vec![account.failed + account.troubles], none),
        ours(&about, "cut web sockets", vec![account.cut], none),
    ])
}

fn ours(about: &str, unit: &'static str, values: Vec<f64>, goal: Goal) -> Figure {
    Figure { about: about.to_owned(), unit, measured: vec![Measured { proxy: PRUMO, values }], goal }
}
