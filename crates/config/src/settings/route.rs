//! `[[route]]` and `[[certificate]]`

use std::path::PathBuf;
use std::time::Duration;

use super::{RouteHeaders, kind, optional, table};
use crate::checked::{FilePath, Host, PathPrefix, Targets, Text, rules};
use crate::resolved::{Balance, Target};
use crate::value::Size;

table! {
    /// Which requests go to which service. The most exact host wins, then the longest path.
    pub(crate) struct RouteTable as "route", "[[route]]", one of "to", check rules::route {
        /// A name for logs and metrics.
        name: Option<String> as Option<Text>,
            because "Without it, host and path name the route.",
            example "checkout";
        /// The host: a name, or `*.` and a name for everything one or more levels below it.
        host: Option<String> as Option<Host>,
            because "Without it, the route takes requests for any host.",
            example "shop.example.com";
        /// The beginning of the path, compared segment by segment: `/api` takes `/api/users`, not `/apiary`.
        path: String as PathPrefix = "/",
            because "Most hosts have one service for all their paths.",
            example "/api";
        /// The service that answers, or several with the share of requests that each gets.
        to: Option<Vec<Target>> as Option<Targets>,
            because "It is required: a route leads somewhere.",
            example "api";
        /// How a replica is chosen: "round_robin" for one after the other, "least_connections" for the least busy.
        balance: Balance = "round_robin",
            because "Fair and predictable; the other is better where requests differ much in length.",
            example "least_connections";
        /// How long the service may take until it begins to answer; then the client gets a 504.
        timeout: Duration = "60s", from "1ms" to "1d",
            because "What nginx does, and what programs behind a proxy are used to. It does not limit the answer itself.",
            example "5s";
        /// The largest request body; a larger one gets a 413.
        body_max: Size = "100MB", from 0 to "1024TiB",
            because "Large enough for photos and documents. Bodies are streamed, so this bounds time and disk of the app, not memory.",
            example "2GB";
        /// The headers of the route's answers, where they differ from `[edge.headers]`.
        headers: Option<RouteHeaders>,
            because "Without it, they are those of `[edge.headers]`.",
            example { csp = "off" };
    }
}

table! {
    /// A certificate that is kept as files. It is used for the hosts it names.
    pub struct Certificate as "certificate", "[[certificate]]", check rules::certificate {
        /// The certificate and those between it and the root, as PEM.
        cert: PathBuf as FilePath,
            because "It is required.",
            example "certs/shop.pem";
        /// Its private key, as PEM.
        key: PathBuf as FilePath,
            because "It is required. Only the user of prumo should be able to read it.",
            example "certs/shop.key";
    }
}
