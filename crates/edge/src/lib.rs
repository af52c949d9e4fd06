//! The front door: TLS, routing, limits, balancing, proxying, access log.
//!
//! A request's way is the order of these files:
//!
//! ```text
//! listen → tls → route → admit → balance → forward → respond → record
//! ```
//!
//! A route may also answer with files, in place of the last steps before `respond`: `files`.
//!
//! There is one thread for each core, with its own sockets (`SO_REUSEPORT`), runtime, upstream connections and counters.
//! A proxied request crosses no thread, starts no task and waits for nobody but its upstream. On HTTP/1 it takes no lock.
//! The control plane builds an immutable table of routes and upstreams; each core takes it between two requests and
//! says which generation it uses, so that whoever stops a replica can know that nothing is on its way to it.
//!
//! What is deliberately not here: the file `prumo.toml`, replicas and their health (they arrive as upstreams), cache,
//! compression, rate limits, ACME, HTTP/3. Nothing here reads a body as a whole.
//!
//! Start reading at [`Edge`], then `forward.rs`.

mod listen;
mod tls;

mod route;

mod admit;
mod balance;
mod fast;
mod forward;
mod respond;
mod secure;

mod record;

mod access_log;
mod authority;
mod body;
mod client;
mod contain;
mod core;
mod deadline;
mod edge;
mod error;
mod files;
mod forwarded;
mod framing;
mod head;
mod held;
mod host;
mod http2;
mod interim;
mod json;
mod linger;
mod link;
mod metrics;
mod named_file;
mod outside;
mod serve;
mod settings;
mod stream;
mod table;
mod trace;
mod tunnel;
mod upstream;
mod web_socket;

pub mod fuzz;
pub use prumo_probe::Check;

pub use crate::edge::{Edge, Health};
pub use crate::error::{EdgeError, Owner};
pub use crate::listen::owner_of_port;
pub use crate::metrics::{Bucket, Counters, Latency, ReplicaCounters, RouteCounters};
pub use crate::outside::OutsideReport;
pub use crate::route::{Asker, Explanation, Findings, Look, NoFindings, Peer, Verdict, inquire};
pub use crate::settings::{
    Access, AccessLog, Action, Address, Answer, Balance, Bound, CertificateFiles, ClientCertificates, Condition, Files,
    Forward, Frame, HashBy, Headers, Hedge, InFlight, LineFormat, ListeningSocket, Maintenance, Mirror, Network,
    Outside, Part, PathMatch, Place, Port, Probe, Protocol, Redirect, RedirectHttps, Retry, Rewrite, Route, Scheme,
    Secure, Settings, Share, ShowCertificate, Target, Template, TraceFrom, Tracing, Traffic, UnixSocket, Upstream,
    Wanted,
};
pub use crate::tls::{CertificateState, certificate_for, examine, examine_client_certificates};
