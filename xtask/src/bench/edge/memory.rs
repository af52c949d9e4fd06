//! What a proxy holds in memory: fresh, with 10,000 idle TLS connections, and with 10,000 idle web sockets.
//!
//! Each is started anew and gets none but this load. Resident memory of the proxy's own processes counts: `prumo up`
//! without its replicas, nginx's master and worker together, HAProxy's one process.

use std::path::Path;
use std::time::Duration;

use super::figure::{Figure, Goal, Measured};
use super::{Stand, crowd};
use crate::bench::peer::{Capacity, Peer};
use crate::bench::site::{Site, Style};
use crate::checkout;
use crate::failure::Failure;
use crate::program::descriptors;
use crate::stopwatch::wait;

const CONNECTIONS: u32 = 10_000;

/// What was needed only for starting, or for opening connections, is given back by then.
const SETTLE: Duration = Duration::from_secs(2);

/// Files, listening sockets, and connections that are just being opened or closed.
const OTHER_DESCRIPTORS: u64 = 1_000;

const MEGABYTE: f64 = 1e6;

/// For each proxy that is started anew.
#[derive(Clone, Copy)]
pub(super) enum Holding {
    Nothing,
    Tls,
    WebSockets,
}

impl Holding {
    pub(super) fn measure(self, name: &str, stand: &Stand) -> Result<Figure, Failure> {
        let mut measured = Vec::new();
        for starter in [Peer::fresh_prumo, Peer::fresh_nginx, Peer::fresh_haproxy] {
            let folder = checkout::made(stand.folder.join(format!("{name}-{}", measured.len())))?;
            let peer = starter(stand, &folder, self.capacity())?;
            let count = self.connections();
            let crowd = match self {
                Holding::Nothing => None,
                Holding::Tls => Some(crowd::hold("tls", peer.https, count, &folder)?),
                Holding::WebSockets => Some(crowd::hold("web-sockets", peer.http, count, &folder)?),
            };
            wait(SETTLE);
            let megabytes = peer.resident()? as f64 / MEGABYTE;
            println!("{name}: {} {megabytes:.1} MB", peer.name);
            measured.push(Measured { proxy: peer.kind, values: vec![megabytes] });
            drop(crowd);
        }
        let count = self.connections();
        // The goals are for 10,000; where the system allows fewer, they are in proportion.
        let share = f64::from(count) / f64::from(CONNECTIONS);
        let (about, goal) = match self {
            Holding::Nothing => ("Empty edge, one route".to_owned(), 30.0),
            Holding::Tls => (format!("{count} idle TLS connections"), 200.0 * share),
            Holding::WebSockets => (format!("{count} idle web sockets"), 170.0 * share),
        };
        Ok(Figure { about, unit: "resident MB", measured, goal: Goal::AtMost { goal, must: 1.5 * goal } })
    }

    /// A web socket through a proxy is two of its connections.
    fn connections(self) -> u32 {
        let each = if matches!(self, Holding::WebSockets) { 2 } else { 1 };
        let allowed = descriptors().saturating_sub(OTHER_DESCRIPTORS) / each;
        CONNECTIONS.min(u32::try_from(allowed).unwrap_or(CONNECTIONS))
    }

    /// nginx makes room for as many connections as it may have at its start, so it is told no more than it needs.
    fn capacity(self) -> Capacity {
        match self {
            Holding::Nothing => Capacity(1_000),
            Holding::Tls => Capacity(11_000),
            Holding::WebSockets => Capacity(21_000),
        }
    }
}

impl Peer {
    fn fresh_prumo(stand: &Stand, folder: &Path, capacity: Capacity) -> Result<Peer, Failure> {
        let style = if capacity.0 > 11_000 { Style::Full } else { Style::OneRoute };
        Ok(Peer::prumo(Site::start(&stand.binary, folder, style)?))
    }

    fn fresh_nginx(stand: &Stand, folder: &Path, capacity: Capacity) -> Result<Peer, Failure> {
        Peer::newest_nginx(folder, &stand.behind(), capacity)
    }

    fn fresh_haproxy(stand: &Stand, folder: &Path, capacity: Capacity) -> Result<Peer, Failure> {
        Peer::haproxy(folder, &stand.behind(), capacity)
    }
}
