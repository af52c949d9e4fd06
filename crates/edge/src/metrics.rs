//! What the edge counts. Each core writes cells of its own; whoever scrapes adds them up.
//!
//! A cell has one writer, so it is written with a plain load and store: no locked instruction on a request's way.
//! Labels are bounded by the routes and replicas of the site and by lists in this crate.

use std::sync::atomic::{AtomicU64, Ordering};

use prumo_clock::Moment;
use rustls::HandshakeKind;

use crate::respond::Reason;

mod counters;
mod exposition;
mod histogram;
mod service;

pub use counters::{Bucket, Counters, Latency, ReplicaCounters, RouteCounters};
pub(crate) use exposition::Scrape;
pub(crate) use histogram::{Histogram, Sum};
pub(crate) use service::{SERVICE_COUNTERS, ServiceCells, ServiceCount};

/// A number with one writing thread and any readers.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
    }

    /// Released, so that who reads the lower number also sees what was done before.
    pub(crate) fn sub(&self, number: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(number), Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// On cache lines of its own (two, because the prefetcher fetches pairs), so that cores do not slow each other down.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Apart<T>(pub(crate) T);

/// One for each core.
pub(crate) type PerCore<T> = Box<[Apart<T>]>;

pub(crate) fn per_core<T: Default>(cores: usize) -> PerCore<T> {
    (0..cores).map(|_| Apart::default()).collect()
}

/// What one core counts for one route.
#[derive(Debug, Default)]
pub(crate) struct RouteCount {
    /// 1xx to 5xx.
    pub(crate) status: [Count; 5],
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) retries: Count,
    /// Requests that are not over.
    pub(crate) in_flight: Count,
    pub(crate) duration: Histogram,
    pub(crate) connect: Histogram,
    pub(crate) exchange: Histogram,
}

/// What is counted for one route.
#[derive(Debug)]
pub(crate) struct RouteCells {
    pub(crate) service: String,
    pub(crate) route: String,
    pub(crate) cores: PerCore<RouteCount>,
}

/// 1xx to 5xx as a place in a list of five.
pub(crate) fn class_of(status: http::StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, 5) - 1
}

impl RouteCells {
    pub(crate) fn new(service: &str, route: &str, cores: usize) -> RouteCells {
        RouteCells { service: service.to_owned(), route: route.to_owned(), cores: per_core(cores) }
    }
}

/// What one core does, and has done, with one upstream.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCount {
    requests: Count,
    tunnels: Count,
    /// 1xx to 5xx, of what was answered with this upstream as the last that was asked.
    pub(crate) status: [Count; 5],
    pub(crate) first_byte: Histogram,
    /// The moment, in nanoseconds, until which this core has ejected it.
    ejected_until: AtomicU64,
}

/// What is counted for one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamCells {
    cores: PerCore<UpstreamCount>,
}

impl UpstreamCells {
    pub(crate) fn new(cores: usize) -> UpstreamCells {
        UpstreamCells { cores: per_core(cores) }
    }

    pub(crate) fn core(&self, core: usize) -> &UpstreamCount {
        &self.cores[core].0
    }

    pub(crate) fn cores(&self) -> impl Iterator<Item = &UpstreamCount> {
        self.cores.iter().map(|core| &core.0)
    }

    pub(crate) fn requests(&self, core: usize) -> &Count {
        &self.cores[core].0.requests
    }

    pub(crate) fn tunnels(&self, core: usize) -> &Count {
        &self.cores[core].0.tunnels
    }

    /// Requests and tunnels over all cores.
    pub(crate) fn load(&self) -> u64 {
        self.total_requests() + self.total_tunnels()
    }

    pub(crate) fn total_requests(&self) -> u64 {
        self.cores.iter().map(|core| core.0.requests.get()).sum()
    }

    pub(crate) fn total_tunnels(&self) -> u64 {
        self.cores.iter().map(|core| core.0.tunnels.get()).sum()
    }

    pub(crate) fn eject(&self, core: usize, until: Moment) {
        self.cores[core].0.ejected_until.store(until.nanos(), Ordering::Relaxed);
    }

    /// On how many cores it is ejected.
    pub(crate) fn ejected(&self, now: Moment) -> usize {
        self.cores().filter(|count| count.ejected_until.load(Ordering::Relaxed) > now.nanos()).count()
    }
}

/// What one core counts beside routes and upstreams.
#[derive(Debug, Default)]
pub(crate) struct CoreCount {
    pub(crate) connections: Count,
    pub(crate) connections_open: Count,
    pub(crate) tunnels_open: Count,
    /// Client connections that carry nothing but tunnels.
    pub(crate) only_tunnels: Count,
    /// Listeners that still accept.
    pub(crate) listeners: Count,
    /// Requests whose answer has not begun.
    pub(crate) unanswered: Count,
    pub(crate) lines_lost: Count,
    handshakes_full: Count,
    handshakes_resumed: Count,
    refused: [Count; Reason::ALL.len()],
}

impl CoreCount {
    /// Counts a TLS handshake that succeeded; those that failed are refused.
    pub(crate) fn shook_hands(&self, kind: Option<HandshakeKind>) {
        let resumed = kind == Some(HandshakeKind::Resumed);
        if resumed { &self.handshakes_resumed } else { &self.handshakes_full }.add(1);
    }

    pub(crate) fn refused(&self, reason: Reason) -> &Count {
        &self.refused[reason as usize]
    }
}

#[cfg(test)]
mod tests;
