//! Starting, adopting and waiting for processes.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prumo_probe::is_shortage;
use rustix::fs::Mode;
use rustix::process::{
    Gid, Pid, PidfdFlags, Resource, Rlimit, Signal, Uid, WaitId, WaitIdOptions, pidfd_open, setrlimit, setsid, umask,
    waitid,
};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use crate::desired::StopSignal;
use crate::driver::environment::Environment;
use crate::driver::limits::Held;
use crate::driver::proc;
use crate::driver::tree::{Marker, Member, Tree};
use crate::driver::user::{self, User};

/// Everything needed to start a program.
pub(crate) struct Launch<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) folder: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) user: Option<User>,
    /// Where the output goes; nowhere when absent.
    pub(crate) output: Option<(OwnedFd, OwnedFd)>,
    pub(crate) marker: Marker,
    pub(crate) held: Held,
}

/// Why a program was not started.
pub(crate) enum NotStarted {
    /// Prumo had not what it takes.
    Shortage(String),
    /// Anything else.
    Fault(String),
}

impl NotStarted {
    fn because(error: &io::Error, words: String) -> NotStarted {
        // There was no room for another process. Elsewhere the same code says that an app's queue is full.
        let has_no_room = error.raw_os_error() == Some(libc::EAGAIN);
        if has_no_room || is_shortage(error, None) { NotStarted::Shortage(words) } else { NotStarted::Fault(words) }
    }

    pub(crate) fn into_words(self) -> String {
        match self {
            NotStarted::Shortage(words) | NotStarted::Fault(words) => words,
        }
    }
}

impl From<String> for NotStarted {
    fn from(words: String) -> NotStarted {
        NotStarted::Fault(words)
    }
}

/// A process that runs, and everything below it.
pub(crate) struct Process {
    pub(crate) tree: Tree,
    descriptor: AsyncFd<OwnedFd>,
}

impl Process {
    /// Starts a program in a session of its own. It goes on when prumo ends.
    pub(crate) fn start(launch: Launch<'_>) -> Result<Process, NotStarted> {
        let program = program_of(launch.argv, launch.environment, launch.folder)?;
        let becoming = Becoming { user: launch.user, folder: folder_text(launch.folder)?, detached: Some(launch.held) };
        let environment = launch.environment.clone().with(crate::driver::tree::MARKER, launch.marker.text());
        let groups = becoming.detached.as_ref().map(|held| held.groups.clone()).unwrap_or_default();
        let mut command = command(&program, launch.argv, &environment, becoming);
        command.stdin(Stdio::null());
        match launch.output {
            Some((out, err)) => command.stdout(out).stderr(err),
            None => command.stdout(Stdio::null()).stderr(Stdio::null()),
        };
        let mut child = command
            .spawn()
            .map_err(|error| NotStarted::because(&error, format!("could not start {}: {error}", program.display())))?;
        let pid = child.id();
        // A child stays a zombie until it is waited for, so its number cannot have gone to another process.
        let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
        let tree = Tree { leader: Member { pid, start_ticks }, marker: launch.marker, groups };
        Process::watch(tree).map_err(|error| {
            // A process that nobody watches would run on unknown, beside the one that is started instead.
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                tracing::error!(pid, %error, "process cannot be ended");
            }
            NotStarted::because(&error, format!("could not watch process {pid}: {error}"))
        })
    }

    /// Takes over a process that an earlier prumo started. Fails when it ended meanwhile.
    pub(crate) fn adopt(tree: Tree) -> io::Result<Process> {
        let leader = tree.leader;
        let process = Process::watch(tree)?;
        match proc::stat(leader.pid) {
            Some(stat) if stat.start_ticks == leader.start_ticks && !stat.zombie => Ok(process),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn watch(tree: Tree) -> io::Result<Process> {
        let pid = i32::try_from(tree.leader.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let descriptor = register(pidfd_open(pid, PidfdFlags::empty())?)?;
        Ok(Process { tree, descriptor })
    }

    /// Completes as soon as the leader has ended. Others of its tree may still live.
    pub(crate) async fn ended(&self) -> Exit {
        // The only error would be a runtime that is shutting down, and then nobody listens to the answer.
        let _ = self.descriptor.readable().await;
        self.reap()
    }

    /// How it ended, when it did. A child that nobody asks stays in the process table.
    pub(crate) fn reap(&self) -> Exit {
        let descriptor = WaitId::PidFd(self.descriptor.get_ref().as_fd());
        match waitid(descriptor, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            // Not our child: an earlier prumo started it, and only a parent is told the code.
            Ok(None) | Err(_) => Exit::Unknown,
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Process").field("tree", &self.tree).finish_non_exhaustive()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(formatter, "exited with code {code}"),
            Exit::Signal(number) => write!(formatter, "killed by {}", signal_name(*number)),
            Exit::Unknown => {
                formatter.write_str("ended; only the prumo before, whose child it was, could learn its exit code")
            }
        }
    }
}

fn signal_name(number: i32) -> String {
    const NAMES: [(Signal, &str); 11] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    let name = NAMES.iter().find(|(signal, _)| signal.as_raw() == number);
    name.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_owned())
}

impl From<StopSignal> for Signal {
    fn from(signal: StopSignal) -> Signal {
        match signal {
            StopSignal::Term => Signal::TERM,
            StopSignal::Int => Signal::INT,
            StopSignal::Quit => Signal::QUIT,
            StopSignal::Hup => Signal::HUP,
            StopSignal::Usr1 => Signal::USR1,
            StopSignal::Usr2 => Signal::USR2,
            StopSignal::Kill => Signal::KILL,
        }
    }
}

/// What a command needs to run as a service would. Debug hides the values: secrets are among them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Every variable, secrets in clear.
    pub environment: BTreeMap<String, String>,
    /// The working folder.
    pub folder: PathBuf,
    /// The user to become.
    pub user: Option<String>,
    /// The group to become.
    pub group: Option<String>,
}

impl fmt::Debug for Execution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.environment.keys().collect();
        formatter
            .debug_struct("Execution")
            .field("environment", &names)
            .field("folder", &self.folder)
            .field("user", &self.user)
            .field("group", &self.group)
            .finish()
    }
}

/// Becomes the command, as the service would run it. Returns only when that failed.
pub fn exec(execution: &Execution, argv: &[String]) -> io::Error {
    let attempt = || -> Result<Command, String> {
        let user = user_of(execution.user.as_deref(), execution.group.as_deref())?;
        let start = Environment::default();
        let environment = execution.environment.iter().fold(start, |all, (name, value)| all.with(name, value.as_str()));
        let program = program_of(argv, &environment, &execution.folder)?;
        let becoming = Becoming { user, folder: folder_text(&execution.folder)?, detached: None };
        Ok(command(&program, argv, &environment, becoming))
    };
    match attempt() {
        Ok(mut command) => command.exec(),
        Err(message) => io::Error::other(message),
    }
}

/// Whom a service's processes become; `None` when they stay what prumo is.
pub(crate) fn user_of(user: Option<&str>, group: Option<&str>) -> Result<Option<User>, String> {
    let own = user::own();
    let wanted = match (user, group) {
        (None, None) => return Ok(None),
        (Some(user), group) => user::find(user, group)?,
        (None, Some(group)) => User { gid: user::find_group(group)?, ..own.clone() },
    };
    if own.uid != 0 && (wanted.uid, wanted.gid) != (own.uid, own.gid) {
        return Err(format!(
            "prumo does not run as root, so it cannot become user {} group {}",
            wanted.uid, wanted.gid
        ));
    }
    Ok((own.uid == 0).then_some(wanted))
}

fn program_of(argv: &[String], environment: &Environment, folder: &Path) -> Result<PathBuf, String> {
    let program = argv.first().ok_or("the command is empty")?;
    environment.find_program(program, folder)
}

fn folder_text(folder: &Path) -> Result<CString, String> {
    CString::new(folder.as_os_str().as_bytes()).map_err(|_| "the folder's name contains a zero byte".to_owned())
}

/// What the new process does to itself between fork and exec.
struct Becoming {
    user: Option<User>,
    folder: CString,
    /// For a replica: a session, limits and groups of its own. A person's command stays on its terminal.
    detached: Option<Held>,
}

#[expect(clippy::disallowed_methods, reason = "this is the room that starts processes")]
#[expect(unsafe_code, reason = "pre_exec is unsafe by nature; what it may do is said at `become_it`")]
fn command(program: &Path, argv: &[String], environment: &Environment, becoming: Becoming) -> Command {
    let mut command = Command::new(program);
    if let Some((name, arguments)) = argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().envs(environment.variables());
    // SAFETY: `become_it` makes system calls only; it neither allocates nor takes a lock that another thread of
    // prumo may have held when this process was forked.
    unsafe { command.pre_exec(move || becoming.become_it()) };
    command
}

impl Becoming {
    /// Runs in the forked child, where only async-signal-safe calls are allowed: no allocation, no locks.
    fn become_it(&self) -> io::Result<()> {
        if let Some(held) = &self.detached {
            setsid()?;
            for group in &held.join {
                // "0" is whoever writes it. A replica without its limit beats none, and nothing can be said from here.
                let _ = rustix::io::write(group, b"0");
            }
            for (resource, limit) in &held.rlimits {
                lower(*resource, limit)?;
            }
            umask(Mode::from_raw_mode(0o027));
        }
        close_inherited();
        if let Some(user) = &self.user {
            set_thread_groups(&[])?;
            set_thread_gid(Gid::from_raw(user.gid))?;
            set_thread_uid(Uid::from_raw(user.uid))?;
        }
        rustix::process::chdir(self.folder.as_c_str())?;
        Ok(())
    }
}

/// Sets a limit; without root a hard limit can only be lowered, so the nearest that is allowed is taken.
fn lower(resource: Resource, limit: &Rlimit) -> io::Result<()> {
    if setrlimit(resource, *limit).is_ok() {
        return Ok(());
    }
    let most = rustix::process::getrlimit(resource).maximum;
    let allowed = match (limit.maximum, most) {
        (Some(wanted), Some(most)) => Some(wanted.min(most)),
        (wanted, None) => wanted,
        (None, most) => most,
    };
    Ok(setrlimit(resource, Rlimit { current: allowed, maximum: allowed })?)
}

#[expect(unsafe_code, reason = "tokio cannot know that an arbitrary type keeps its descriptor; this one does")]
fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps the same open descriptor for as long as it lives, and `AsyncFd` owns it.
    unsafe { Ok(AsyncFd::register(descriptor)?) }
}

/// Closes at exec what whoever started prumo left open, such as a shell's descriptors. Ours close themselves.
#[expect(unsafe_code, reason = "the system call has no safe wrapper; it touches no memory")]
fn close_inherited() {
    // SAFETY: three integers; the call only sets a flag on descriptors. Kernels before 5.11 refuse it, which leaves
    // things as they were.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

#[cfg(test)]
mod tests;
