//! Who the client is behind trusted proxies, and whether it is admitted. Pure.

use std::net::{IpAddr, SocketAddr};

use http::header::HeaderMap;

use crate::respond::Refusal;
use crate::settings::{Access, Network};

/// The client's own address. From a peer that is trusted it is the last address of `X-Forwarded-For` that no trusted
/// proxy has: what stands before that is a stranger's word. `None` where that is no address.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    if !is_trusted(peer) {
        return Some(client);
    }
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        for written in value.to_str().ok()?.rsplit(',') {
            client = read_address(written.trim())?;
            if !is_trusted(client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn read_address(written: &str) -> Option<IpAddr> {
    let bare = || written.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || written.parse::<SocketAddr>().ok().map(|address| address.ip());
    written.parse().ok().or_else(with_port).or_else(bare).map(|address: IpAddr| address.to_canonical())
}

/// Refuses a client that one of the rules does not admit, and one of whom nothing is known.
pub(crate) fn check_address(rules: &[Access], client: Option<IpAddr>) -> Result<(), Refusal> {
    let is_admitted = client.is_some_and(|client| rules.iter().all(|rule| rule.admits(client)));
    if rules.is_empty() || is_admitted { Ok(()) } else { Err(Refusal::ADDRESS) }
}

#[cfg(test)]
mod tests;
