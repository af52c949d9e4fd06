//! prumo itself, started by prumo: a successor, or the process that a keeper keeps.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The program that runs here, as it lies on disk now: after a new one was moved into its place, that one.
///
/// # Errors
/// When `/proc` does not say.
pub fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    if path.exists() {
        return Ok(path);
    }
    // The kernel adds this to the name of a file that was replaced.
    let text = path.to_string_lossy();
    Ok(PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text)))
}

/// Starts a prumo with a line to us as its standard input. It leads a process group of its own, so that Ctrl-C on the
/// terminal reaches it once, through whoever started it. `is_watched` says whether it speaks to our service manager.
///
/// # Errors
/// When the program cannot be started.
#[expect(clippy::disallowed_methods, reason = "this is the room that starts processes")]
pub fn start(
    program: &Path,
    arguments: &[OsString],
    line: OwnedFd,
    errors: Option<File>,
    is_watched: bool,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::from(line)).process_group(0);
    // They are meant for one process, which is not this child.
    command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS").env_remove("LISTEN_FDNAMES");
    // Without a name it is for whoever is the main process.
    command.env_remove("WATCHDOG_PID");
    if !is_watched {
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    }
    if let Some(errors) = errors {
        command.stderr(errors);
    }
    command.spawn()
}

/// Whether it has ended. It is not collected: as long as it is not, its number and its group are its own.
pub fn has_ended(child: &Child) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(Pid::from_child(child)), look), Ok(Some(_)))
}

/// Ends one that `start` began and was not collected, with everything it started in its group: what a script left behind
/// would go on holding our sockets and our lock. Replicas have sessions of their own and are not touched.
///
/// # Errors
/// When the system does not say how it ended.
pub fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // It may have ended by itself and left nothing.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}

/// A descriptor that was open when this process began, such as systemd leaves it, as ours: closed for those we start.
///
/// # Errors
/// When the number is not open.
#[expect(unsafe_code, reason = "who started us says which descriptors it left open for us; nothing else can know")]
pub fn adopt_descriptor(raw: RawFd) -> io::Result<OwnedFd> {
    drop(File::open(format!("/proc/self/fdinfo/{raw}"))?);
    // SAFETY: the descriptor is open, as the line above has seen, and it is only copied here.
    let ours = unsafe { BorrowedFd::borrow_raw(raw) }.try_clone_to_owned()?;
    // SAFETY: nothing in this process has opened it, so that nobody else closes it or reads from it: it was there when
    // the process began, and it is taken once.
    drop(unsafe { OwnedFd::from_raw_fd(raw) });
    Ok(ours)
}
