//! The one room of xtask that starts other programs, always from an argument vector.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use crate::checkout;
use crate::failure::Failure;
use crate::stopwatch::wait_until;

/// How long a program may take to leave after it was asked to; nginx and prumo leave in well under a second when idle.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How many files and connections a program of ours may have: 10,000 web sockets through a proxy are two of its
/// connections each, and HAProxy wants room for twice as many. The system may allow fewer.
pub(crate) fn descriptors() -> u64 {
    const WANTED: u64 = 65_536;
    getrlimit(Resource::Nofile).maximum.unwrap_or(WANTED).min(WANTED)
}

/// A program that is about to run, in the top folder of the repository unless said otherwise.
pub(crate) struct Program {
    name: String,
    command: Command,
}

impl Program {
    #[expect(clippy::disallowed_methods, reason = "the room of xtask that starts programs")]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Program {
        let mut command = Command::new(&program);
        command.current_dir(checkout::root()).stdin(Stdio::null());
        Program { name: program.as_ref().to_string_lossy().into_owned(), command }
    }

    /// A program that stays on one core, and may open as many connections as a measurement needs.
    pub(crate) fn on_core(core: &str, program: impl AsRef<OsStr>) -> Program {
        let limit = format!("--nofile={}", descriptors());
        Program::new("prlimit").args([&limit, "taskset", "--cpu-list", core]).arg(program)
    }

    /// The cargo that runs this xtask, so that a chosen toolchain stays chosen.
    pub(crate) fn cargo() -> Program {
        Program::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Run it with our own output, and fail when it fails.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        self.succeeded(status)
    }

    /// Run it, hand over each line of its standard output as it comes, and say whether it succeeded.
    pub(crate) fn each_line(mut self, mut line: impl FnMut(&str)) -> Result<bool, Failure> {
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|error| self.not_started(&error))?;
        let output = child.stdout.take().expect("standard output was asked for");
        for bytes in BufReader::new(output).split(b'\n') {
            let bytes = bytes.map_err(|error| self.not_heard(&error))?;
            line(&String::from_utf8_lossy(&bytes));
        }
        Ok(child.wait().map_err(|error| self.not_heard(&error))?.success())
    }

    /// Run it quietly and return what it printed on standard output; fail, with what it said, when it fails.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = self.command.output().map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
        }
        self.succeeded(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it printed on standard output, whether it succeeded or not; nothing when it could not be started.
    pub(crate) fn answer(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Start it in the background, with everything it prints in `log`.
    pub(crate) fn start(mut self, log: &Path) -> Result<Running, Failure> {
        let not_written = |error| Failure::file("write", log, &error);
        let out = File::create(log).map_err(not_written)?;
        let err = out.try_clone().map_err(not_written)?;
        let child = self.command.stdout(out).stderr(err).spawn().map_err(|error| self.not_started(&error))?;
        Ok(Running { name: self.name, child, log: log.to_path_buf() })
    }

    fn succeeded(&self, status: ExitStatus) -> Result<(), Failure> {
        if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed: {status}", self.line()))) }
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("cannot start `{}`: {error}", self.name))
            .hint("`cargo xtask deps` installs what is needed")
    }

    fn not_heard(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("lost `{}` while it ran: {error}", self.name))
    }

    /// The command line, for people.
    fn line(&self) -> String {
        let arguments = self.command.get_args().map(|argument| argument.to_string_lossy());
        [self.name.as_str().into()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// A program in the background. It is stopped when this value goes away, also when the task fails half way.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    pub(crate) fn printed(&self) -> String {
        checkout::read(&self.log).unwrap_or_default()
    }

    /// Wait until `holds`; fail, with what the program printed, when it leaves or takes too long.
    pub(crate) fn ready(&mut self, within: Duration, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
        let mut left = false;
        let held = wait_until(within, || {
            left = matches!(self.child.try_wait(), Ok(Some(_)) | Err(_));
            left || holds()
        });
        if held && !left {
            return Ok(());
        }
        let what = if left { "left at once".to_owned() } else { format!("was not ready within {within:?}") };
        Err(Failure::new(format!("`{}` {what}; it printed:\n{}", self.name, self.printed())))
    }

    /// Wait for it to leave by itself.
    /// Whether it has left by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Failure> {
        let left = self.child.try_wait();
        left.map(|status| status.is_some())
            .map_err(|error| Failure::new(format!("lost `{}` while it ran: {error}", self.name)))
    }

    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Failure> {
        self.child.wait().map_err(|error| Failure::new(format!("lost `{}` while it ran: {error}", self.name)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        if !wait_until(STOP_WITHIN, || matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))) {
            eprintln!("warning: `{}` did not stop when asked to, so it was killed", self.name);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
