//! `[service.NAME]` and the tables in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{HealthTable, OutsideTable, kind, optional, table};
use crate::checked::{At, Cores, Environment, FilePath, Text, Words, rules};
use crate::resolved::{Listen, Protocol, Signal, Value};
use crate::value::{Percent, Rate, Size};

table! {
    /// A program that prumo keeps running, in one or more replicas.
    pub(crate) struct ServiceTable as "service", "[service.NAME]", one of "run" | "at", check rules::service {
        /// The command of a replica: a list, or a text that is split into words by quotes and backslashes, without a
        /// shell. `$PORT`, `$SOCKET`, `$REPLICA` and `$RELEASE` are filled in for each replica.
        run: Option<Vec<String>> as Option<Words>,
            because "This or `at` is required: prumo cannot guess how the program starts.",
            example "bin/api --port $PORT";
        /// Where the service is, when somebody else runs it: a URL, a list of them, or a table with more about it.
        at: Option<OutsideTable> as Option<At>,
            because "Without it, prumo runs the service itself.",
            example "https://legacy.internal:8443";
        /// The working folder, relative to the folder of the file.
        folder: PathBuf as FilePath = ".",
            because "The file usually lies at the root of the app.",
            example "backend";
        /// Variables for the replicas. A value is a text, or where a secret comes from.
        environment: BTreeMap<String, Value> as Environment = {},
            because "Nothing of prumo's own environment is passed on except what a program cannot do without.",
            example { LOG_LEVEL = "info", DB_PASSWORD = { secret = "db-password" } };
        /// The user to run as. prumo must run as root for this.
        user: Option<String> as Option<Text>,
            because "Without it, replicas run as the user of prumo.",
            example "www-data";
        /// The group to run as.
        group: Option<String> as Option<Text>,
            because "Without it, replicas run in the first group of their user.",
            example "www-data";
        /// How a replica takes requests: on a private "port" (`$PORT`), on a Unix "socket" (`$SOCKET`), or on "nothing".
        listen: Listen = "port",
            because "Almost every web framework can be told a port; fewer can be told a socket.",
            example "socket";
        /// What the edge speaks to it: "h1" for HTTP/1.1, or "h2" for HTTP/2, as gRPC needs it. Where TLS is spoken, "h2"
        /// is offered and HTTP/1.1 accepted. Clients may speak either, whatever this is.
        protocol: Protocol = "h1",
            because "Every web framework speaks it; gRPC servers speak only the other.",
            example "h2";
        /// How many replicas run at once.
        replicas: u32 = 1, from 1 to 100,
            because "One is enough to deploy without losing a request, and most apps must be asked before they run twice.",
            example 3;
        /// How prumo knows that a replica can serve.
        health: Option<HealthTable>,
            because "Without it, a replica that listens is healthy when it accepts a connection, and a worker when it runs.",
            example { path = "/health" };
        /// The most memory a replica may use; one that uses more is killed and started again.
        memory: Option<Size>, from "1MiB" to "1024TiB",
            because "Without it, a replica may use what the machine has: a wrong limit kills healthy programs.",
            example "512MB";
        /// The most processor time a replica may use, in cores.
        cpu: Option<f64> as Option<Cores>, from 0.01 to 1024,
            because "Without it, replicas share the machine, which wastes nothing.",
            example 1.5;
        /// The most processes and threads a replica may have.
        processes: Option<u32>, from 1 to 4194304,
            because "Without it, the limit of the system applies.",
            example 200;
        /// The most files and connections a replica may have open.
        files: Option<u32>, from 16 to 1073741816,
            because "Without it, the limit of the system applies.",
            example 65536;
        /// How a replica is asked to stop.
        stop: Stop = {},
            because "SIGTERM and ten seconds are what most programs are written for.",
            example { signal = "INT", within = "30s" };
        /// How long a replica that left the routing may take to finish its requests before it is asked to stop.
        drain: Duration = "30s", from "0s" to "1d",
            because "Long enough for all but the longest downloads; a replica without requests stops at once.",
            example "2m";
        /// How the edge spares the replicas: what happens when they fail, are new, or have too much to do.
        traffic: Traffic = {},
            because "The defaults leave a failing replica alone for a while and refuse nothing that could be served.",
            example { in_flight_max = 200, slow_start = "30s" };
        /// What happens when a replica ends by itself.
        restart: Restart = {},
            because "A program that ended is started again, soon at first and then less often.",
            example { backoff_max = "1m" };
        /// How much of what the replicas print is kept on disk.
        log_keep: Size = "64MB", from "1MB" to "1TB",
            because "About half a million lines: days for most apps, and a bound that a mad loop cannot pass.",
            example "1GB";
    }
}

table! {
    /// How the edge spares the replicas of a service. Each core judges by the requests it has sent itself.
    pub struct Traffic as "service.traffic", "[service.NAME.traffic]", check rules::traffic {
        /// How long a replica takes from a tenth of its share of the requests to all of it, when it is new or back.
        slow_start: Duration = "10s", from "0s" to "1h",
            because "A program that has just started compiles, connects and fills caches; when all are new they share evenly.",
            example "1m";
        /// After how many failures in a row a replica gets no requests for a while; 0 for never. A failure is a 5xx other
        /// than 501, a connection that ends without an answer, or an answer that takes longer than the route's `timeout`.
        eject_after: u32 = 5, from 0 to 1000,
            because "A bug that fails one request in three does not reach five in a row soon; a replica that is broken does at once.",
            example 3;
        /// How long, the first time. It doubles each time that the replica fails again when it is back.
        eject_for: Duration = "10s", from "100ms" to "1h",
            because "Two health checks: long enough for those to decide, short enough when the fault has passed.",
            example "30s";
        /// How long, at most.
        eject_for_max: Duration = "5m", from "100ms" to "1d",
            because "A replica that is mended is found within minutes.",
            example "1m";
        /// How much of the replicas may be left alone at once.
        eject_share: Percent = "50%",
            because "When more than half fail, the fault is not theirs, and the others would drown.",
            example "34%";
        /// The most requests in flight, at all replicas together; more get a 503 at once.
        in_flight_max: Option<u32>, from 1 to 10000000,
            because "Without it, requests wait inside the replicas, which know best how many they can take.",
            example 200;
        /// The most requests that wait for a replica while there is none; more get a 503 at once.
        waiting_max: u32 = 512, from 0 to 1000000,
            because "They hold memory, and all of them come at once when the service is back.",
            example 50;
        /// How many requests may be asked a second time, by `retry` and `hedge`, as a share of the last ten seconds'. Ten
        /// more are always allowed on each core.
        retry_budget: Percent = "20%",
            because "When everything fails, retries must not double the load on what is left.",
            example "10%";
    }
}

table! {
    /// A variable whose value is a secret, and where that comes from. Exactly one key is given. The secret is fetched
    /// when a replica starts, and is never printed or stored.
    pub(crate) struct SecretTable as "service.environment", "[service.NAME.environment.VARIABLE]" {
        /// The name of a secret that prumo keeps: `prumo secret set NAME`.
        secret: Option<String> as Option<Text>,
            because "Kept in the state folder, for the user of prumo alone, so that the file can be shared.",
            example "db-password";
        /// A file whose content is the secret, without a line end at its end.
        file: Option<PathBuf> as Option<FilePath>,
            because "This is how systemd, Docker and Kubernetes hand over secrets.",
            example "/run/secrets/db";
        /// A variable in the environment of prumo itself.
        env: Option<String> as Option<Text>,
            because "Unlike `${NAME}`, the value does not become part of the configuration.",
            example "DB_PASSWORD";
        /// A command that prints the secret.
        command: Option<Vec<String>> as Option<Words>,
            because "Every vault has a command line.",
            example ["pass", "show", "db"];
    }
}

table! {
    /// How a replica is asked to stop.
    pub struct Stop as "service.stop", "[service.NAME.stop]" {
        /// The signal that asks: TERM, INT, QUIT, HUP, USR1, USR2 or KILL.
        signal: Signal = "TERM",
            because "It is the signal that systemd and Docker send.",
            example "INT";
        /// How long it may take; then all its processes are killed.
        within: Duration = "10s", from "0s" to "1h",
            because "What Docker waits; its requests were finished before, while it drained.",
            example "30s";
    }
}

table! {
    /// What happens when a replica ends by itself.
    pub struct Restart as "service.restart", "[service.NAME.restart]", check rules::restart {
        /// The wait before the first restart; it doubles each time.
        backoff: Duration = "500ms", from "10ms" to "1h",
            because "Short enough that one crash is hardly noticed, long enough that a loop does not burn a core.",
            example "1s";
        /// The longest wait.
        backoff_max: Duration = "30s", from "10ms" to "1h",
            because "A database that comes back is noticed within half a minute.",
            example "2m";
        /// More ends than this are called a crash loop: it is said aloud, and the waits stay long.
        crash_loop: Rate = "5/1m",
            because "A program that ended five times within a minute will not be saved by a sixth start.",
            example "10/5m";
    }
}
