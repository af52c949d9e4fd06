//! Tells systemd how far we are: `sd_notify(3)`, one datagram.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whether a service manager listens.
pub(crate) fn is_watched() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says it, if somebody listens. That a notice is lost costs a start that is thought too slow, and never traffic.
pub(crate) fn tell(state: &str) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let told = address(&path)
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ()));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// A path, or with `@` a name in the abstract namespace.
fn address(path: &str) -> std::io::Result<SocketAddr> {
    match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}
