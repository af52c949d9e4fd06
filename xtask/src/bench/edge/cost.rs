//! CPU time of a proxy for one unit of work, as the kernel accounts it.

use super::figure::{Figure, Goal, Measured};
use super::{Options, Stand};
use crate::bench::peer::{OTHER_CORE, Peer};
use crate::bench::wrk;
use crate::failure::Failure;
use crate::program::Program;

/// A load that says how much it did.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// wrk over keep-alive connections.
    Http1 { tls: bool, path: &'static str, connections: u32 },
    /// h2load: 64 streams on each of 8 connections.
    Http2,
    /// One full TLS 1.3 handshake after the other, each on a connection of its own.
    Handshakes,
}

/// What is counted, and who can do it.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) unit: &'static str,
    pub(super) load: Load,
    pub(super) goal: Goal,
    /// HAProxy has no files.
    pub(super) is_of_files: bool,
}

impl Cost {
    /// For each proxy its rounds, interleaved, so that a noisy neighbour of the machine meets all of them.
    pub(super) fn measure(&self, name: &str, about: &str, stand: &Stand, options: Options) -> Result<Figure, Failure> {
        let peers: Vec<&Peer> = stand.peers.iter().filter(|peer| peer.has_files || !self.is_of_files).collect();
        let rounds = self.rounds(name, &peers, options)?;
        let measured = peers.iter().zip(rounds).map(|(peer, values)| Measured { proxy: peer.kind, values });
        Ok(Figure { about: about.to_owned(), unit: self.unit, measured: measured.collect(), goal: self.goal })
    }

    /// CPU microseconds for each unit, by proxy and round.
    pub(super) fn rounds(&self, name: &str, peers: &[&Peer], options: Options) -> Result<Vec<Vec<f64>>, Failure> {
        let mut rounds = vec![Vec::new(); peers.len()];
        for peer in peers {
            // Connections to the upstream are opened and code is paged in before anything counts.
            self.load.run(peer, 1)?;
        }
        for round in 1..=options.rounds {
            for (peer, rounds) in peers.iter().zip(&mut rounds) {
                let before = peer.cpu_time()?;
                let units = self.load.run(peer, options.seconds)? as f64;
                let microseconds = peer.cpu_time()?.saturating_sub(before).as_secs_f64() * 1e6 / units;
                println!("{name}, round {round}: {} {microseconds:.2} {}", peer.name, self.unit);
                rounds.push(microseconds);
            }
        }
        Ok(rounds)
    }
}

impl Load {
    /// Loads a proxy for so many seconds, and says how much it did.
    fn run(&self, peer: &Peer, seconds: u32) -> Result<u64, Failure> {
        match *self {
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
    let output = Program::on_core(OTHER_CORE, "h2load").args(["-t1", "-c8", "-m64", &lasts, url]).output()?;
    // `status codes: 123 2xx, 0 3xx, 0 4xx, 0 5xx`
    let count = output.lines().find_map(|line| line.strip_prefix("status codes: ")?.split(' ').next()?.parse().ok());
    let is_h2 = output.contains("Application protocol: h2");
    count
        .filter(|count| *count > 0 && is_h2)
        .ok_or_else(|| Failure::new(format!("the load on {url} got no answer over HTTP/2; h2load printed:\n{output}")))
}

fn handshakes(port: u16, seconds: u32) -> Result<u64, Failure> {
    let output = Program::on_core(OTHER_CORE, "openssl")
        .args(["s_time", "-new", "-tls1_3", "-time", &seconds.to_string()])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .output()?;
    // `1234 connections in 5 real seconds, 0 bytes read per connection`
    let line = output.lines().find(|line| line.contains("connections in") && line.contains("real seconds"));
    let count = line.and_then(|line| line.split(' ').next()?.parse().ok()).filter(|count| *count > 0);
    count.ok_or_else(|| Failure::new(format!("no handshake with port {port}; openssl printed:\n{output}")))
}
