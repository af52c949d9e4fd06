//! Whose requests a route takes, and when it takes none.

use std::net::IpAddr;
use std::time::Duration;

use super::Network;

/// Whose requests are admitted, by the address of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Only from these; empty for everywhere.
    pub allow: Vec<Network>,
    /// Never from these, also when they are allowed.
    pub deny: Vec<Network>,
}

impl Access {
    /// Whether a client at this address is admitted.
    pub fn admits(&self, address: IpAddr) -> bool {
        let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }
}

/// A route that takes no requests for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// How long a request waits for the end of it before it is answered with 503; zero for not at all.
    pub hold: Duration,
    /// When clients are told to come again.
    pub retry_after: Duration,
    /// The page for browsers, whole; `None` for ours.
    pub page: Option<String>,
    /// Clients that pass nevertheless, to see whether all is well.
    pub except: Vec<Network>,
}
