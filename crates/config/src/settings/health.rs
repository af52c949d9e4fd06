//! `[service.NAME.health]`

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ROOT, kind, optional, table};
use crate::checked::{GrpcService, Reader, Scope, StatusCodes, Text, UrlPath, Words, rules};

table! {
    /// How prumo knows that a replica can serve. One of `path`, `grpc`, `web_socket`, `tcp` and `run` says what is asked; with none of them,
    /// a replica that listens must accept a connection, and a worker must run. Each address of a service with `at` is asked
    /// in the same way, over TLS where it is `https://`; `run` and `start_within` are not for these.
    pub(crate) struct HealthTable as "service.health", "[service.NAME.health]", check rules::health {
        /// Ask for this path with GET, over HTTP/1.1.
        path: Option<String> as Option<UrlPath>,
            because "The app knows best whether it can serve; an answer says more than an open port.",
            example "/health";
        /// Ask gRPC's health service (`grpc.health.v1`), over HTTP/2, about a service of the program; `true` asks
        /// about the whole program.
        grpc: Option<String> as Option<GrpcService>,
            because "A program that speaks gRPC has no path to ask for.",
            example "shop.Cart";
        /// Open a web socket at this path, send a ping and wait for the pong.
        web_socket: Option<String> as Option<UrlPath>,
            because "A server whose workers hang still accepts connections.",
            example "/ws";
        /// Only open a connection.
        tcp: bool = false,
            because "This is what happens anyway to a service that listens and names no check.",
            example true;
        /// Run this command, in the folder and with the environment of the replica; 0 is healthy.
        run: Option<Vec<String>> as Option<Words>,
            because "For workers, which cannot be asked over the network.",
            example ["bin/worker", "ping"];
        /// Which status codes of `path` are healthy: 204, "2xx", "200-399", or a list of these.
        status: Vec<RangeInclusive<u16>> as StatusCodes = "2xx",
            because "A redirect to a login page is not a healthy answer.",
            example ["2xx", 304];
        /// A text that the answer of `path` must contain, within its first 64 KiB.
        body: Option<String> as Option<Text>,
            because "Without it, the status alone decides.",
            example "ok";
        /// The time from one check to the next.
        every: Duration = "5s", from "100ms" to "1d",
            because "A hung replica is noticed within 15 seconds, at a cost nobody notices.",
            example "10s";
        /// How long an answer may take; the default is `every` where that is shorter.
        timeout: Duration = "2s", from "1ms" to "1h",
            because "A health check that takes longer says that the replica is not well.",
            example "500ms";
        /// How many good checks in a row make a replica healthy.
        healthy: u32 = 1, from 1 to 100,
            because "The first good answer is when a deploy may go on.",
            example 2;
        /// How many bad checks in a row make a replica unhealthy.
        unhealthy: u32 = 3, from 1 to 100,
            because "One late answer is a pause of the garbage collector, three are a fault.",
            example 5;
        /// How long a new replica may take until it is healthy; then its release has failed.
        start_within: Duration = "30s", from "100ms" to "1d",
            because "Longer than most apps take to start, short enough to wait for in front of a terminal.",
            example "2m";
    }
}

impl HealthTable {
    /// The table of a service that says nothing about its health.
    pub(crate) fn unstated() -> HealthTable {
        let mut reader = Reader::new("", &|_| None, Scope::Part);
        reader.constant::<HealthTable>(&ROOT, "{}").expect("every key of the table has a default or is optional")
    }
}
