//! Processes as the kernel shows them. Tests end processes by their id only, and only those of their own site.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// A process that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its argument vector in one line.
    pub command: String,
}

/// Every live process that belongs to this folder: works in it, or names it in its arguments or environment.
/// The caller itself is not one of them, nor is a zombie.
pub fn of_folder(folder: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id() && lives(*pid) && belongs(*pid, folder))
        .map(|pid| Process { pid, command: command(pid) })
        .collect()
}

/// Whether a process with this id runs; one that has ended and was not yet collected does not.
pub fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which is in parentheses and may contain anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to one process; one that is gone already is fine.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a process id is not zero");
    let _ = kill_process(pid, signal);
}

/// How many bytes of memory a process holds.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a live process has memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("the kernel writes a number");
    kibibytes * 1024
}

/// A variable of the environment that a process was started with.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    variables.find_map(|variable| Some(variable.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// Waits until something is so; looks every few milliseconds.
pub fn eventually(within: Duration, mut so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn belongs(pid: u32, folder: &Path) -> bool {
    let works_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    let name = folder.as_os_str().as_encoded_bytes();
    let names_it = |file: &str| fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|text| contains(&text, name));
    works_there || names_it("cmdline") || names_it("environ")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn command(pid: u32) -> String {
    let vector = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&vector).trim_end_matches('\0').replace('\0', " ")
}

/// How many file descriptors a process has open.
pub fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

/// Lets a running process have at most so many file descriptors, until this is called again.
pub fn limit_descriptors(pid: u32, most: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a process id is not zero");
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
}

/// The processor time that a process has used, in user and kernel mode.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").expect("the kernel writes a name in parentheses");
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|number| number.parse::<u64>().unwrap()).sum();
    // The kernel counts these in hundredths of a second, whatever its own clock does.
    Duration::from_millis(ticks * 10)
}
