//! What prumo costs when nobody uses it: the process of a demo site, without its replicas.

use std::time::Duration;

use super::report::{Table, mebibytes};
use super::site::Demo;
use super::{fresh_folder, process, release_binary};
use crate::checkout;
use crate::failure::Failure;
use crate::stopwatch::{Stopwatch, wait};

/// Start-up work, first probes and first log lines are over after this.
const SETTLE: Duration = Duration::from_secs(5);
/// Long enough that ticks of 10 ms still show a hundredth of a percent.
const WATCHED: Duration = Duration::from_secs(30);

pub(super) fn run() -> Result<(), Failure> {
    let (binary, folder) = (release_binary()?, fresh_folder("idle")?);
    let demo = Demo::start(&binary, &folder)?;
    let pid = demo.prumo.pid();
    wait(SETTLE);
    let (before, stopwatch) = (process::cpu_time(pid)?, Stopwatch::start());
    wait(WATCHED);
    let cpu = process::cpu_time(pid)?.saturating_sub(before).as_secs_f64() / stopwatch.elapsed().as_secs_f64();
    let mut table = Table::new("An idle demo site, without its replicas", &["resident", "CPU", "threads", "binary"]);
    table.row(&[
        &mebibytes(process::resident(pid)?),
        &format!("{:.2} % of a core", cpu * 100.0),
        &process::threads(pid)?.to_string(),
        &mebibytes(checkout::size(&binary)?),
    ]);
    table.print();
    Ok(())
}
