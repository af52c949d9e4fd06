//! The cases, one line each, and the loads they are made of.

use crate::bench::peer::{OTHER_CORE, Peer};
use crate::bench::wrk;
use crate::failure::Failure;
use crate::program::Program;

/// One thing that proxies do, and how it is counted.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: &'static str,
    load: Load,
}

enum Load {
    /// wrk over keep-alive connections.
    Http1 { tls: bool, path: &'static str, connections: u32 },
    /// h2load: 64 streams on each of 8 connections.
    Http2,
    /// One full TLS 1.3 handshake after the other, each on a connection of its own.
    Handshakes,
}

const fn http1(name: &'static str, about: &'static str, tls: bool, path: &'static str) -> Case {
    Case { name, about, unit: "request", load: Load::Http1 { tls, path, connections: wrk::CONNECTIONS } }
}

/// Over few connections: an answer that takes long must still come within the time of a measurement.
const fn large(name: &'static str, about: &'static str, tls: bool) -> Case {
    Case { name, about, unit: "request", load: Load::Http1 { tls, path: "10m", connections: 4 } }
}

pub(super) const CASES: &[Case] = &[
    http1("h1", "HTTP/1.1, 64 keep-alive connections, 1 KiB answers", false, ""),
    http1("h1-tls", "HTTP/1.1 over TLS 1.3, 64 keep-alive connections, 1 KiB answers", true, ""),
    Case {
        name: "h2-tls",
        about: "HTTP/2 over TLS 1.3, 64 streams on each of 8 connections, 1 KiB answers",
        unit: "request",
        load: Load::Http2,
    },
    Case {
        name: "handshakes",
        about: "Full TLS 1.3 handshakes, ECDSA on P-256",
        unit: "handshake",
        load: Load::Handshakes,
    },
    http1("100k", "HTTP/1.1, answers of 100 KiB", false, "100k"),
    http1("100k-tls", "HTTP/1.1 over TLS 1.3, answers of 100 KiB", true, "100k"),
    large("10m", "HTTP/1.1, answers of 10 MiB", false),
    large("10m-tls", "HTTP/1.1 over TLS 1.3, answers of 10 MiB", true),
];

impl Case {
    /// Loads a proxy for so many seconds, and says how much it did.
    pub(super) fn load(&self, peer: &Peer, seconds: u32) -> Result<u64, Failure> {
        match self.load {
            Load::Http1 { tls, path, connections } => {
                wrk::run_over(connections, &format!("{}{path}", peer.url(tls)), seconds, OTHER_CORE)
            }
            Load::Http2 => h2load(&peer.url(true), seconds),
            Load::Handshakes => handshakes(peer.https, seconds),
        }
    }
}

fn h2load(url: &str, seconds: u32) -> Result<u64, Failure> {
    let lasts = format!("-D{seconds}");
    let output = Program::new("taskset")
        .args(["--cpu-list", OTHER_CORE, "h2load", "-t1", "-c8", "-m64", &lasts, url])
        .output()?;
    // `status codes: 123 2xx, 0 3xx, 0 4xx, 0 5xx`
    let count = output.lines().find_map(|line| line.strip_prefix("status codes: ")?.split(' ').next()?.parse().ok());
    let is_h2 = output.contains("Application protocol: h2");
    count
        .filter(|count| *count > 0 && is_h2)
        .ok_or_else(|| Failure::new(format!("the load on {url} got no answer over HTTP/2; h2load printed:\n{output}")))
}

fn handshakes(port: u16, seconds: u32) -> Result<u64, Failure> {
    let output = Program::new("taskset")
        .args(["--cpu-list", OTHER_CORE, "openssl", "s_time", "-new", "-tls1_3", "-time", &seconds.to_string()])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .output()?;
    // `1234 connections in 5 real seconds, 0 bytes read per connection`
    let line = output.lines().find(|line| line.contains("connections in") && line.contains("real seconds"));
    let count = line.and_then(|line| line.split(' ').next()?.parse().ok()).filter(|count| *count > 0);
    count.ok_or_else(|| Failure::new(format!("no handshake with port {port}; openssl printed:\n{output}")))
}
