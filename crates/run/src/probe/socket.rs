//! Connecting to the socket of a replica.
//!
//! The folder of the socket belongs to the user of the replica, who may put anything there. Prumo, perhaps root, must
//! not be led by a symbolic link to a socket that is not the replica's.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use tokio::net::UnixStream;

/// Connects to exactly the socket at this path.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = open_socket(path)?;
    // The name of the descriptor leads to what was looked at, whatever is at the path by now.
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

/// Names the socket at this path without following a link at its end.
fn open_socket(path: &Path) -> io::Result<OwnedFd> {
    let found = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&found)?.st_mode) {
        FileType::Socket => Ok(found),
        _ => Err(io::Error::other("this is not a socket")),
    }
}

#[cfg(test)]
mod tests;
