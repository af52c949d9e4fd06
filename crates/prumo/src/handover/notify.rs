//! Tells systemd how far we are, and gives it our sockets to keep: `sd_notify(3)`, one datagram each.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg_addr, socket_with,
};

/// Whether a service manager listens.
pub(crate) fn is_watched() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says it, if somebody listens. That a notice is lost costs a start that is thought too slow, and never traffic.
pub(crate) fn tell(state: &str) {
    say(state, None);
}

/// Gives a socket to keep for the process that comes after this one, should it end unasked. One that is kept already is
/// kept once.
pub(crate) fn keep(name: &str, descriptor: impl AsFd) {
    say(&format!("FDSTORE=1\nFDNAME={name}"), Some(descriptor.as_fd()));
}

/// Has a kept socket closed.
pub(crate) fn let_go(name: &str) {
    say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), None);
}

fn say(state: &str, descriptor: Option<BorrowedFd<'_>>) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&path, state, descriptor) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

fn send(path: &str, state: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: &[BorrowedFd<'_>] = descriptor.as_slice();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let slices = [IoSlice::new(state.as_bytes())];
    sendmsg_addr(&socket, &address(path)?, &slices, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A path, or with `@` a name in the abstract namespace.
fn address(path: &str) -> io::Result<SocketAddrUnix> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(path),
    };
    Ok(address?)
}
