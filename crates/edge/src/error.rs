//! Why the edge could not start, with what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::settings::Scheme;

/// Why the edge could not start or take new certificates.
#[derive(Debug)]
pub enum EdgeError {
    /// Something else listens there.
    AddressTaken {
        /// What was to be bound.
        address: SocketAddr,
        /// The process that has it, when we may know.
        owner: Option<Owner>,
    },
    /// The system refuses the address.
    AddressRefused {
        /// What was to be bound.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    Socket {
        /// Its path.
        path: PathBuf,
        /// What is in the way.
        source: io::Error,
    },
    /// A service manager opened a socket for something that is off.
    NotWanted {
        /// Where it listens.
        address: SocketAddr,
        /// What it is for.
        scheme: Scheme,
    },
    /// A certificate or key that cannot serve.
    Certificate {
        /// The file at fault.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do next.
        hint: &'static str,
    },
    /// The local authority could not be made or kept.
    Authority {
        /// Its folder.
        folder: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The access log could not be opened.
    AccessLog {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A route's regular expression is none, or too large.
    Pattern {
        /// The route.
        route: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system gave no thread, socket or runtime.
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// The process that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl EdgeError {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            EdgeError::AddressTaken { owner: Some(_), .. } => "stop that process, or choose another port under [edge]",
            EdgeError::AddressTaken { owner: None, .. } => {
                "`ss -ltnp` as root shows which; stop it, or choose another port under [edge]"
            }
            EdgeError::AddressRefused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another port under [edge]"
            }
            EdgeError::AddressRefused { .. } => "check that this machine has that address",
            EdgeError::Socket { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "stop that process, or choose another path under [edge.socket]"
            }
            EdgeError::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "prumo must be able to write its folder, and be root to give it to another user"
            }
            EdgeError::Socket { .. } => "check that its folder exists, and choose another path under [edge.socket]",
            EdgeError::NotWanted { scheme: Scheme::Http, .. } => {
                "take the socket away there, or turn it on with `[edge] http = \"auto\"`"
            }
            EdgeError::NotWanted { scheme: Scheme::Https, .. } => {
                "take the socket away there, or turn it on with `[edge] https = \"auto\"`"
            }
            EdgeError::Certificate { hint, .. } => hint,
            EdgeError::Authority { .. } => "remove its two files there to have a new one made",
            EdgeError::AccessLog { .. } => "check that its folder exists and may be written",
            EdgeError::Pattern { .. } => "`prumo check` shows the place in the file",
            EdgeError::System { .. } => "check the limits on open files and threads (`ulimit -a`)",
        }
    }
}

impl fmt::Display for EdgeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeError::AddressTaken { address, owner: Some(Owner { pid, name }) } => {
                write!(formatter, "{address} is taken by {name} (pid {pid})")
            }
            EdgeError::AddressTaken { address, owner: None } => {
                write!(formatter, "{address} is taken by another process")
            }
            EdgeError::AddressRefused { address, source } => write!(formatter, "{address} cannot be bound: {source}"),
            EdgeError::Socket { path, source } => write!(formatter, "socket {}: {source}", path.display()),
            EdgeError::NotWanted { address, scheme } => {
                let what = if *scheme == Scheme::Https { "HTTPS" } else { "HTTP" };
                write!(formatter, "the service manager has opened {address} for {what}, which is off in the file")
            }
            EdgeError::Certificate { file, why, .. } => write!(formatter, "certificate file {}: {why}", file.display()),
            EdgeError::Authority { folder, why } => {
                write!(formatter, "the local certificate authority in {}: {why}", folder.display())
            }
            EdgeError::AccessLog { file, source } => write!(formatter, "access log {}: {source}", file.display()),
            EdgeError::Pattern { route, why } => write!(formatter, "the expression of route `{route}`: {why}"),
            EdgeError::System { doing, source } => write!(formatter, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for EdgeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EdgeError::AddressRefused { source, .. }
            | EdgeError::Socket { source, .. }
            | EdgeError::AccessLog { source, .. }
            | EdgeError::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
