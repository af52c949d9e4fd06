//! What the edge has counted becomes what the API tells.

use std::time::Duration;

use prumo_api::counters as api;
use prumo_edge as edge;

/// The counters of a site that has run for so long.
pub(crate) fn edge_counters(site: String, running_for: Duration, counters: edge::Counters) -> api::EdgeCounters {
    api::EdgeCounters {
        site,
        at_us: u64::try_from(running_for.as_micros()).unwrap_or(u64::MAX),
        connections: counters.connections,
        connections_open: counters.connections_open,
        tunnels_open: counters.tunnels_open,
        lines_lost: counters.lines_lost,
        routes: counters.routes.into_iter().map(route).collect(),
        replicas: counters.replicas.into_iter().map(replica).collect(),
    }
}

fn route(route: edge::RouteCounters) -> api::RouteCounters {
    api::RouteCounters {
        service: route.service,
        route: route.route,
        status: route.status,
        bytes_in: route.bytes_in,
        bytes_out: route.bytes_out,
        in_flight: route.in_flight,
        retries: route.retries,
        duration: buckets(&route.duration),
    }
}

fn replica(replica: edge::ReplicaCounters) -> api::ReplicaCounters {
    api::ReplicaCounters {
        service: replica.service,
        replica: replica.replica,
        status: replica.status,
        requests: replica.requests,
        tunnels: replica.tunnels,
        first_byte: buckets(&replica.first_byte),
    }
}

fn buckets(latency: &edge::Latency) -> Vec<api::Bucket> {
    let bucket = |bucket: &edge::Bucket| api::Bucket { over_us: bucket.over, to_us: bucket.to, count: bucket.count };
    latency.buckets.iter().map(bucket).collect()
}
