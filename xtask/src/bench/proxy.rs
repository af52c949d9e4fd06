//! CPU time per proxied request, beside nginx and HAProxy.
//!
//! Each proxy has one core for itself and one thread for requests, the same upstream, the same load from wrk. Rounds
//! are interleaved, so that a noisy neighbour of the machine meets all of them, and the median of the rounds counts.
//! Access log and metrics are on for prumo, because nobody runs it without, and the access log is off for the others.

use std::path::Path;

use super::peer::{OTHER_CORE, PROXY_CORE, Peer, make_certificate};
use super::report::{Table, median};
use super::site::Site;
use super::{fresh_folder, release_binary, wrk};
use crate::checkout;
use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each proxy is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long one measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Speak TLS 1.3 with the client.
    #[arg(long)]
    tls: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let binary = release_binary()?;
    compare(arguments, &[("prumo", &binary)])
}

/// Measure these builds of prumo, and nginx and HAProxy beside them.
pub(super) fn compare(arguments: &Arguments, builds: &[(&str, &Path)]) -> Result<(), Failure> {
    let folder = fresh_folder("proxy")?;
    make_certificate(&folder)?;
    let (mut peers, mut upstream) = (Vec::new(), 0);
    for (name, binary) in builds {
        let site = Site::start(binary, &checkout::made(folder.join(name))?, PROXY_CORE, OTHER_CORE)?;
        upstream = site.upstream;
        peers.push(Peer::prumo(name, site));
    }
    peers.push(Peer::nginx(&folder, upstream)?);
    peers.push(Peer::haproxy(&folder, upstream)?);
    let rounds = measure(&peers, arguments)?;
    print(&peers, &rounds, arguments.tls);
    Ok(())
}

/// One measurement of one proxy.
struct Round {
    cpu_microseconds: f64,
    requests_per_second: f64,
}

/// For each proxy its rounds.
fn measure(peers: &[Peer], arguments: &Arguments) -> Result<Vec<Vec<Round>>, Failure> {
    let mut rounds: Vec<Vec<Round>> = peers.iter().map(|_| Vec::new()).collect();
    for peer in peers {
        // Connections to the upstream are opened and code is paged in before anything counts.
        wrk::run(&peer.url(arguments.tls), 1, OTHER_CORE)?;
    }
    for round in 1..=arguments.rounds {
        for (peer, rounds) in peers.iter().zip(&mut rounds) {
            let measured = measure_once(peer, arguments)?;
            println!("round {round}: {} {:.2} µs CPU per request", peer.name, measured.cpu_microseconds);
            rounds.push(measured);
        }
    }
    Ok(rounds)
}

fn measure_once(peer: &Peer, arguments: &Arguments) -> Result<Round, Failure> {
    let (before, stopwatch) = (peer.cpu_time()?, Stopwatch::start());
    let requests = wrk::run(&peer.url(arguments.tls), arguments.seconds, OTHER_CORE)? as f64;
    let (cpu, elapsed) = (peer.cpu_time()?.saturating_sub(before), stopwatch.elapsed());
    Ok(Round {
        cpu_microseconds: cpu.as_secs_f64() * 1e6 / requests,
        requests_per_second: requests / elapsed.as_secs_f64(),
    })
}

fn print(peers: &[Peer], rounds: &[Vec<Round>], tls: bool) {
    let medians: Vec<f64> = rounds.iter().map(|rounds| median_of(rounds, |round| round.cpu_microseconds)).collect();
    let nginx = peers.iter().position(|peer| peer.name.starts_with("nginx")).map_or(f64::NAN, |index| medians[index]);
    let title = format!(
        "CPU per proxied request, {}, {} keep-alive connections, 1 KiB answers",
        if tls { "HTTP/1.1 over TLS" } else { "HTTP/1.1" },
        wrk::CONNECTIONS
    );
    let mut table = Table::new(&title, &["proxy", "CPU µs per request", "× nginx", "lowest–highest", "requests/s"]);
    for ((peer, rounds), median) in peers.iter().zip(rounds).zip(&medians) {
        let lowest = rounds.iter().map(|round| round.cpu_microseconds).fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().map(|round| round.cpu_microseconds).fold(0.0, f64::max);
        let speed = median_of(rounds, |round| round.requests_per_second);
        table.row(&[
            &peer.name,
            &format!("{median:.2}"),
            &format!("{:.2}", median / nginx),
            &format!("{lowest:.2}–{highest:.2}"),
            &format!("{speed:.0}"),
        ]);
    }
    table.print();
}

fn median_of(rounds: &[Round], number: fn(&Round) -> f64) -> f64 {
    median(&rounds.iter().map(number).collect::<Vec<_>>())
}
