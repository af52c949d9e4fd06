//! Programs that do one thing and end: a vault's command, a tool of the system.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use prumo_clock::{Clock, Moment};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long a program may take: a vault across a slow network answers in seconds.
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
/// The largest output, and the largest secret: a key file with its chain.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Runs a program with these arguments and returns what it prints. May take its time: call it on a thread of its own.
///
/// # Errors
/// A sentence's end that says what went wrong, without any part of the output.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the driver: processes are started here, from an argument vector"
)]
pub fn output(argv: &[String], clock: &Clock) -> Result<String, String> {
    let (program, arguments) = argv.split_first().ok_or("its command is empty")?;
    // What the command says on its standard error belongs to whoever watches prumo's own log.
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.process_group(0).spawn().map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let output = child.stdout.take().expect("it was asked for");
    let deadline = clock.now() + COMMAND_WITHIN;
    let read = read_until(output, clock, deadline).and_then(|value| {
        await_end(&child, clock, deadline)?;
        Ok(value)
    });
    if read.is_err() {
        // With all it started: a shell does not pass on that it is killed. It may also have ended by itself.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let ended = child.wait().map_err(|error| error.to_string())?;
    let value = read?;
    if ended.success() { Ok(value) } else { Err(format!("`{program}` failed: {ended}")) }
}

/// Reads to the end, or until the deadline.
fn read_until(mut output: ChildStdout, clock: &Clock, deadline: Moment) -> Result<String, String> {
    let mut value = Vec::new();
    let mut part = [0; 4096];
    loop {
        await_ready(&output, clock, deadline)?;
        match output.read(&mut part).map_err(|error| error.to_string())? {
            0 => return String::from_utf8(value).map_err(|_| "it is not UTF-8 text".to_owned()),
            count => value.extend_from_slice(&part[..count]),
        }
        if value.len() > OUTPUT_BYTES_MAX {
            return Err(too_large());
        }
    }
}

/// Waits for a command whose output has ended: it may have closed its output and go on.
fn await_end(child: &Child, clock: &Clock, deadline: Moment) -> Result<(), String> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(|error| error.to_string())?;
    await_ready(&process, clock, deadline)
}

fn await_ready(descriptor: &impl AsFd, clock: &Clock, deadline: Moment) -> Result<(), String> {
    loop {
        let left = Timespec::try_from(deadline - clock.now()).unwrap_or_default();
        match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(format!("it took longer than {} seconds", COMMAND_WITHIN.as_secs())),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

pub(super) fn too_large() -> String {
    format!("it has more than {OUTPUT_BYTES_MAX} bytes")
}
