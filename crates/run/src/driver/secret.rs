//! Secrets that come from outside of prumo: a file, a variable of its own environment, the output of a command.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use prumo_clock::{Clock, Moment};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::desired::{Secret, SecretSource};

/// How long a command may take: a vault across a slow network answers in seconds.
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
/// The largest secret: a key file with its chain.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Fetches a secret that prumo does not keep itself. May take its time: call it on a thread of its own.
///
/// # Errors
/// A sentence's end that says what went wrong, without any part of the secret.
pub fn fetch(source: &SecretSource, clock: &Clock) -> Result<Secret, String> {
    let value = match source {
        SecretSource::Named(name) => return Err(format!("`{name}` is kept elsewhere")),
        SecretSource::File(path) => read_file(path)?,
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| "it is not set in prumo's own environment".to_owned())?
        }
        SecretSource::Command(argv) => output_of(argv, clock)?,
    };
    let kept = value.trim_end_matches(['\n', '\r']).len();
    if kept == 0 {
        return Err("it is empty".to_owned());
    }
    Ok(Secret::new(value[..kept].to_owned()))
}

fn read_file(path: &Path) -> Result<String, String> {
    // Without waiting, and only a file that has an end: a pipe or a device could hold up a deploy for ever.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|data| data.is_file()) {
        return Err("it is not a regular file".to_owned());
    }
    let mut value = String::new();
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_string(&mut value).map_err(|error| error.to_string())?;
    if value.len() > SECRET_BYTES_MAX { Err(too_large()) } else { Ok(value) }
}

fn too_large() -> String {
    format!("it has more than {SECRET_BYTES_MAX} bytes")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the driver: processes are started here, from an argument vector"
)]
fn output_of(argv: &[String], clock: &Clock) -> Result<String, String> {
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
        if value.len() > SECRET_BYTES_MAX {
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

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn check(source: &SecretSource, expected: Result<&str, &str>) {
        let fetched = fetch(source, &Clock::system());
        let fetched = fetched.as_ref().map(Secret::expose).map_err(String::as_str);
        match (fetched, expected) {
            (Err(message), Err(part)) => assert!(message.contains(part), "{source:?}: {message}"),
            (fetched, expected) => assert_eq!(fetched, expected, "{source:?}"),
        }
    }

    /// Goal: every source gives its value without the line break at its end, or says what is wrong.
    #[test]
    fn sources_give_values() {
        let command = |words: &[&str]| SecretSource::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hunter2\n").unwrap();
        check(&SecretSource::File(folder.path().join("key")), Ok("hunter2"));
        check(&SecretSource::File(folder.path().join("none")), Err("No such file"));
        check(&SecretSource::File("/dev/zero".into()), Err("not a regular file"));
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
        check(&SecretSource::File(pipe), Err("not a regular file"));
        check(&SecretSource::Env("PRUMO_TEST_IS_NOT_SET".into()), Err("is not set"));
        check(&command(&["printf", "a b\\r\\n"]), Ok("a b"));
        check(&command(&["false"]), Err("`false` failed: exit status: 1"));
        check(&command(&["/nonexistent/vault"]), Err("cannot be run"));
        check(&command(&["true"]), Err("it is empty"));
        check(&command(&["head", "-c", "70000", "/dev/zero"]), Err("more than 65536 bytes"));
        check(&command(&[]), Err("empty"));
    }
}
