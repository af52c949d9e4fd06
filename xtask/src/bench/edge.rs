//! What one request, connection or byte costs the edge, beside the same in nginx, HAProxy and Caddy.
//!
//! All proxies run at once, each in turn under load: on the first core and with one thread for requests, while the load
//! and the upstream share the second. What counts is CPU time of the proxy as the kernel accounts it, per unit of work.
//! Access log and metrics are on for prumo, because nobody runs it without, and the access log is off for the others.

mod cases;

use std::path::Path;

use self::cases::{CASES, Case};
use super::peer::{OTHER_CORE, PROXY_CORE, Peer, make_certificate};
use super::report::{Table, median};
use super::site::Site;
use super::{fresh_folder, release_binary};
use crate::checkout;
use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which cases; all of them when none is named: h1, h1-tls, h2-tls, handshakes, 100k, 100k-tls, 10m, 10m-tls.
    cases: Vec<String>,
    /// How often each proxy is measured in each case.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long one measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cases = chosen(&arguments.cases)?;
    let folder = fresh_folder("edge")?;
    let peers = start(&release_binary()?, &folder)?;
    for case in cases {
        let rounds = measure(case, &peers, arguments)?;
        print(case, &peers, &rounds);
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>, Failure> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| {
        let known = CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
        let missing = || Failure::new(format!("there is no case `{name}`")).hint(format!("there are: {known}"));
        CASES.iter().find(|case| case.name == name).ok_or_else(missing)
    };
    names.iter().map(find).collect()
}

fn start(binary: &Path, folder: &Path) -> Result<Vec<Peer>, Failure> {
    make_certificate(folder)?;
    let site = Site::start(binary, &checkout::made(folder.join("prumo"))?, PROXY_CORE, OTHER_CORE)?;
    let upstream = site.upstream;
    Ok(vec![
        Peer::prumo("prumo", site),
        Peer::nginx(folder, upstream)?,
        Peer::newest_nginx(&checkout::made(folder.join("newest"))?, folder, upstream)?,
        Peer::haproxy(folder, upstream)?,
        Peer::caddy(folder, upstream)?,
    ])
}

/// One measurement of one proxy.
struct Round {
    cpu_microseconds: f64,
    per_second: f64,
}

/// For each proxy its rounds, interleaved, so that a noisy neighbour of the machine meets all of them.
fn measure(case: &Case, peers: &[Peer], arguments: &Arguments) -> Result<Vec<Vec<Round>>, Failure> {
    let mut rounds: Vec<Vec<Round>> = peers.iter().map(|_| Vec::new()).collect();
    for peer in peers {
        // Connections to the upstream are opened and code is paged in before anything counts.
        case.load(peer, 1)?;
    }
    for round in 1..=arguments.rounds {
        for (peer, rounds) in peers.iter().zip(&mut rounds) {
            let (before, stopwatch) = (peer.cpu_time()?, Stopwatch::start());
            let units = case.load(peer, arguments.seconds)? as f64;
            let (cpu, elapsed) = (peer.cpu_time()?.saturating_sub(before), stopwatch.elapsed());
            let cpu_microseconds = cpu.as_secs_f64() * 1e6 / units;
            println!("{} round {round}: {} {cpu_microseconds:.2} µs CPU per {}", case.name, peer.name, case.unit);
            rounds.push(Round { cpu_microseconds, per_second: units / elapsed.as_secs_f64() });
        }
    }
    Ok(rounds)
}

fn print(case: &Case, peers: &[Peer], rounds: &[Vec<Round>]) {
    let medians: Vec<f64> = rounds.iter().map(|rounds| median_of(rounds, |round| round.cpu_microseconds)).collect();
    // Of the two builds the better one is what we stand beside.
    let nginxes = peers.iter().zip(&medians).filter(|(peer, _)| peer.name.starts_with("nginx"));
    let nginx = nginxes.map(|(_, median)| *median).fold(f64::INFINITY, f64::min);
    let unit = format!("CPU µs per {}", case.unit);
    let speed = format!("{}s/s", case.unit);
    let head = ["proxy", &unit, "× nginx", "lowest–highest", &speed, "CPU, a bar for a tenth of nginx's"];
    let mut table = Table::new(case.about, &head);
    for ((peer, rounds), median) in peers.iter().zip(rounds).zip(&medians) {
        let lowest = rounds.iter().map(|round| round.cpu_microseconds).fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().map(|round| round.cpu_microseconds).fold(0.0, f64::max);
        table.row(&[
            &peer.name,
            &format!("{median:.2}"),
            &format!("{:.2}", median / nginx),
            &format!("{lowest:.2}–{highest:.2}"),
            &format!("{:.0}", median_of(rounds, |round| round.per_second)),
            &bar(median / nginx),
        ]);
    }
    table.print();
}

/// `████` for 0.4; what is longer than a line is cut.
fn bar(share: f64) -> String {
    "█".repeat(((share * 10.0).round() as usize).min(60))
}

fn median_of(rounds: &[Round], number: fn(&Round) -> f64) -> f64 {
    median(&rounds.iter().map(number).collect::<Vec<_>>())
}
