//! What the edge has counted since it started: two of these, one later than the other, make rates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the edge has counted, and what is open now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeCounters {
    /// The name of the site.
    pub site: String,
    /// When this was read: microseconds since prumo started.
    pub at_us: u64,
    /// Client connections accepted.
    pub connections: u64,
    /// Client connections open now.
    pub connections_open: u64,
    /// Upgraded connections open now.
    pub tunnels_open: u64,
    /// Access log lines that were dropped.
    pub lines_lost: u64,
    /// By route; last those requests that no route took.
    pub routes: Vec<RouteCounters>,
    /// By replica.
    pub replicas: Vec<ReplicaCounters>,
}

/// What is known of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteCounters {
    /// The service that answers; empty when none does.
    pub service: String,
    /// The route's name; empty for requests that no route took.
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
    /// From a request's head to the end of its answer.
    pub duration: Vec<Bucket>,
}

/// What is known of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    pub first_byte: Vec<Bucket>,
}

/// So many took longer than one bound and no longer than the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Microseconds.
    pub over_us: u64,
    /// Microseconds; the same as `over_us` where there is no bound.
    pub to_us: u64,
    /// How many.
    pub count: u64,
}
