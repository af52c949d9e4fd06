//! The counts as plain numbers, for whoever watches them change.

use std::sync::Arc;

use super::histogram::BOUNDS;
use super::{RouteCells, Sum, UpstreamCells};

/// Everything since the start, and what is open now. Two of them, one later than the other, make rates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Client connections accepted.
    pub connections: u64,
    /// Client connections open now.
    pub connections_open: u64,
    /// Upgraded connections open now.
    pub tunnels_open: u64,
    /// Access log lines that were dropped.
    pub lines_lost: u64,
    /// By route, and one without a name for requests that no route takes.
    pub routes: Vec<RouteCounters>,
    /// By replica.
    pub replicas: Vec<ReplicaCounters>,
}

/// What is known of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteCounters {
    /// The service that answers.
    pub service: String,
    /// The route's name.
    pub route: String,
    /// Requests answered, 1xx to 5xx.
    pub status: [u64; 5],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answer bodies.
    pub bytes_out: u64,
    /// Requests that are not over.
    pub in_flight: u64,
    /// Requests that were asked again.
    pub retries: u64,
    /// From the request's head to the end of its answer.
    pub duration: Latency,
}

/// What is known of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaCounters {
    /// Its service.
    pub service: String,
    /// Its id.
    pub replica: String,
    /// Requests answered with it as the last that was asked, 1xx to 5xx.
    pub status: [u64; 5],
    /// Requests in flight.
    pub requests: u64,
    /// Tunnels in flight.
    pub tunnels: u64,
    /// From asking it to the head of its answer.
    pub first_byte: Latency,
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From quick to slow; those that are empty are left out.
    pub buckets: Vec<Bucket>,
}

/// So many took longer than one bound and no longer than the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Microseconds.
    pub over: u64,
    /// Microseconds; the same as `over` where there is no bound.
    pub to: u64,
    /// How many.
    pub count: u64,
}

impl From<Sum> for Latency {
    fn from(sum: Sum) -> Latency {
        let micros = |nanos: u64| nanos / 1000;
        let last = BOUNDS[BOUNDS.len() - 1];
        let over = [0].into_iter().chain(BOUNDS).map(micros);
        let to = BOUNDS.into_iter().chain([last]).map(micros);
        let buckets = over.zip(to).zip(sum.buckets).map(|((over, to), count)| Bucket { over, to, count });
        Latency { buckets: buckets.filter(|bucket| bucket.count > 0).collect() }
    }
}

impl RouteCounters {
    pub(crate) fn of(cells: &RouteCells) -> RouteCounters {
        let cores = || cells.cores.iter().map(|core| &core.0);
        RouteCounters {
            service: cells.service.clone(),
            route: cells.route.clone(),
            status: std::array::from_fn(|class| cores().map(|count| count.status[class].get()).sum()),
            bytes_in: cores().map(|count| count.bytes_in.get()).sum(),
            bytes_out: cores().map(|count| count.bytes_out.get()).sum(),
            in_flight: cores().map(|count| count.in_flight.get()).sum(),
            retries: cores().map(|count| count.retries.get()).sum(),
            duration: Sum::of(cores().map(|count| &count.duration)).into(),
        }
    }
}

impl ReplicaCounters {
    pub(crate) fn of((service, id, cells): &(String, String, Arc<UpstreamCells>)) -> ReplicaCounters {
        ReplicaCounters {
            service: service.clone(),
            replica: id.clone(),
            status: std::array::from_fn(|class| cells.cores().map(|count| count.status[class].get()).sum()),
            requests: cells.total_requests(),
            tunnels: cells.total_tunnels(),
            first_byte: Sum::of(cells.cores().map(|count| &count.first_byte)).into(),
        }
    }
}
