//! What a process costs, as the kernel counts it.

use std::fs;
use std::time::Duration;

use crate::failure::Failure;

/// CPU time of the process, all its threads, those that have ended included. The kernel counts in ticks of 10 ms.
pub(super) fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| gone(pid, &error))?;
    ticks(&text).map(duration).ok_or_else(|| Failure::new(format!("cannot read the CPU time of process {pid}")))
}

/// The process and its children, as nginx keeps its work in one.
pub(super) fn family(pid: u32) -> Result<Vec<u32>, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).map_err(|error| gone(pid, &error))?;
    Ok([pid].into_iter().chain(text.split_whitespace().filter_map(|child| child.parse().ok())).collect())
}

/// Resident memory in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmRSS:")
}

/// The most that was resident since the start, or since the peak was forgotten.
pub(super) fn peak(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmHWM:")
}

pub(super) fn forget_peak(pid: u32) -> Result<(), Failure> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(|error| gone(pid, &error))
}

fn memory(pid: u32, name: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| gone(pid, &error))?;
    let kib = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Failure::new(format!("cannot read the memory of process {pid}")))
}

/// How many threads the process has.
pub(super) fn threads(pid: u32) -> Result<usize, Failure> {
    Ok(fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| gone(pid, &error))?.count())
}

/// User and system time, fields 14 and 15 of `/proc/PID/stat`. The name before them may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(user + system)
}

fn duration(ticks: u64) -> Duration {
    // USER_HZ is part of the kernel's interface: 100 on every machine prumo runs on.
    Duration::from_millis(ticks * 1000 / 100)
}

fn gone(pid: u32, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot look at process {pid}: {error}"))
}

#[cfg(test)]
mod tests;
