//! `[edge.access_log]` and `[edge.trace]`

use super::{kind, optional, table};
use crate::resolved::{LineFormat, TraceFrom};
use crate::value::{Percent, Size};

table! {
    /// How the access log is written and kept: `logs/access.log` in the state folder. `access_log = false` writes none.
    pub struct AccessLog as "edge.access_log", "[edge.access_log]" {
        /// How a line is written: "json" for an object with everything prumo knows, "combined" as Apache and nginx write it.
        format: LineFormat = "json",
            because "A program can read it without guessing; combined is for tools that know nothing else.",
            example "combined";
        /// Which share of the requests that went well is written. Errors and answers that were cut are always written.
        sample: Percent = "100%",
            because "A log that left out the request you look for is of no use; a very busy site may see it otherwise.",
            example "10%";
        /// How much of it is kept on disk, in two files.
        keep: Size = "256MB", from "1MB" to "10TB",
            because "About a million requests.",
            example "2GB";
    }
}

table! {
    /// How requests are traced. Each is told to its app in `traceparent` and written into the access log.
    pub struct Trace as "edge.trace", "[edge.trace]" {
        /// Whose traces go on: those of "trusted_proxies", or of "anybody". Others begin anew.
        from: TraceFrom = "trusted_proxies",
            because "Anybody can send these headers, and with them make your tracing record every request. With tracing in browsers, choose \"anybody\".",
            example "anybody";
        /// Which share of the traces that begin here is marked as sampled, which most apps follow.
        sample: Percent = "100%",
            because "What an app with OpenTelemetry does by itself; it can still choose to record less.",
            example "10%";
    }
}
