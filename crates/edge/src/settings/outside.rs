//! Services outside: somebody else runs them, and the edge finds out where they are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use prumo_probe::Check;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::Protocol;

/// A service that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its name, as routes call it.
    pub service: String,
    /// Where it is; each name may have several addresses.
    pub at: Vec<Place>,
    /// What it speaks. With TLS, HTTP/2 is offered and HTTP/1.1 accepted.
    pub protocol: Protocol,
    /// True when it is to see the host that the client asked for, and not its own.
    pub sees_clients_host: bool,
    /// Who signs its certificates; the authorities of the system when absent.
    pub authority: Option<PathBuf>,
    /// How often names are looked up.
    pub resolve_every: Duration,
    /// How it is known whether an address can serve.
    pub probe: Probe,
}

/// What is asked at each address of a service outside, and what follows from the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked; over TLS where requests go over TLS.
    pub check: Check,
    /// From one time to the next.
    pub every: Duration,
    /// How long connecting and an answer may take.
    pub timeout: Duration,
    /// How many good answers in a row make an address well.
    pub healthy: u32,
    /// How many bad answers in a row make it unwell.
    pub unhealthy: u32,
}

impl Default for Probe {
    fn default() -> Probe {
        let (every, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
        Probe { check: Check::Connection, every, timeout, healthy: 1, unhealthy: 3 }
    }
}

/// One place of a service outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or an address, and a port.
    Host {
        /// The name or the address, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken there.
        tls: bool,
    },
    /// A Unix socket on this machine.
    Unix(PathBuf),
}

impl Place {
    /// As the upstream's own `Host`: without the port where it is the usual one.
    pub(crate) fn authority(&self) -> Option<HeaderValue> {
        let Place::Host { host, port, tls } = self else { return Some(HeaderValue::from_static("localhost")) };
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let is_usual = *port == if *tls { 443 } else { 80 };
        HeaderValue::try_from(if is_usual { bracketed } else { format!("{bracketed}:{port}") }).ok()
    }
}

/// How TLS is spoken to an upstream.
#[derive(Clone, Debug)]
pub struct Secure {
    pub(crate) name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Secure) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Secure {}
