//! What the kernel says about processes, from `/proc`.

use std::fs;

/// The lines of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    /// Dead, but not yet waited for by its parent.
    pub(crate) zombie: bool,
    pub(crate) session: u32,
    /// When it started, in ticks since boot. With the pid it names a process for as long as the machine is up.
    pub(crate) start_ticks: u64,
    /// Processor time used, in ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) memory_bytes: u64,
}

/// Ticks in a second, as the kernel shows them. A constant of the Linux ABI since 2.6 (`USER_HZ`).
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// Reads one process; `None` when there is none with this pid.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The second field is the name in parentheses and may contain anything, so fields are counted from its end.
    let rest = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Numbers of proc(5), less the three fields before.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.trim().parse::<u64>().ok());
    Some(Stat {
        pid,
        zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        session: u32::try_from(number(6)?).ok()?,
        start_ticks: number(22)?,
        cpu_ticks: number(14)? + number(15)?,
        memory_bytes: number(24)? * page_bytes(),
    })
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// Every process there is.
pub(crate) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A variable of the environment a process was started with. `None` also for processes we may not look into.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

/// Names this boot of the machine: pids and start times mean nothing after the next.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
