//! Every number that the edge is judged by, beside the same of nginx, HAProxy and Caddy.
//!
//! All proxies run at once, each in turn under load: on the first core and with one thread for requests, while the load
//! and the upstream share the second. Access log and metrics are on for prumo, because nobody runs it without, and the
//! access log is off for the others. What a case does is in the file of its kind; `cases.rs` lists them.

mod cases;
mod chart;
mod cost;
mod crowd;
mod figure;
mod latency;
mod lives;
mod memory;
mod page;
mod upload;

use std::path::PathBuf;

use self::figure::Figure;
use super::peer::{Behind, Capacity, Peer, make_certificate};
use super::report::{Table, median};
use super::site::{Site, Style};
use super::{fresh_folder, release_binary};
use crate::checkout;
use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

const ROUNDS: u32 = 5;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which cases; all of them, in about twenty minutes, when none is named. A wrong name lists them.
    cases: Vec<String>,
    #[command(flatten)]
    options: Options,
    /// Write what came of it into `docs/benchmarks.md`, with its chart.
    #[arg(long, conflicts_with = "cases")]
    write: bool,
}

/// How long to measure.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// How often each proxy is measured in each case. Fewer than five also make the long cases short.
    #[arg(long, default_value_t = ROUNDS, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long one measurement takes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
}

impl Options {
    /// A first look, not the measurement.
    fn is_short(self) -> bool {
        self.rounds < ROUNDS
    }
}

/// What stands side by side.
struct Stand {
    binary: PathBuf,
    folder: PathBuf,
    site_folder: PathBuf,
    upstream: u16,
    echo: u16,
    sink: u16,
    /// Ours first.
    peers: Vec<Peer>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cases = cases::chosen(&arguments.cases)?;
    let stopwatch = Stopwatch::start();
    let stand = Stand::start()?;
    let (mut figures, mut failures) = (Vec::new(), Vec::new());
    for (number, case) in cases.iter().enumerate() {
        let minutes = stopwatch.elapsed().as_secs_f64() / 60.0;
        println!("\n{} of {}: {}, {} ({minutes:.1} min so far)", number + 1, cases.len(), case.name, case.about);
        match case.measure(&stand, arguments.options) {
            Ok(more) => {
                figure::table(&more).print();
                figures.extend(more);
            }
            Err(failure) => {
                println!("{failure}");
                failures.push(format!("`{}`", case.name));
            }
        }
    }
    let section = page::section(&figures, &stand.peers, arguments.options, stopwatch.elapsed());
    println!("\n{section}");
    page::keep(&stand.folder, &section, &figures)?;
    if !failures.is_empty() {
        return Err(Failure::new(format!("not measured: {}", failures.join(", "))));
    }
    if arguments.write { page::write(&section, &figures) } else { Ok(()) }
}

impl Stand {
    fn start() -> Result<Stand, Failure> {
        let (binary, folder) = (release_binary()?, fresh_folder("edge")?);
        make_certificate(&folder)?;
        let site_folder = checkout::made(folder.join("prumo"))?;
        let site = Site::start(&binary, &site_folder, Style::Full)?;
        let (upstream, echo, sink) = (site.upstream, site.echo, site.sink);
        let mut stand = Stand { binary, folder, site_folder, upstream, echo, sink, peers: vec![Peer::prumo(site)] };
        let (folder, behind, capacity) = (&stand.folder, stand.behind(), Capacity(4096));
        let others = [
            Peer::nginx(folder, &behind, capacity)?,
            Peer::newest_nginx(&checkout::made(folder.join("newest"))?, &behind, capacity)?,
            Peer::haproxy(folder, &behind, capacity)?,
            Peer::caddy(folder, &behind)?,
        ];
        stand.peers.extend(others);
        Ok(stand)
    }

    /// What the others stand in front of: the same as ours.
    fn behind(&self) -> Behind {
        let Stand { folder, site_folder, upstream, echo, sink, .. } = self;
        Behind {
            certificates: folder.clone(),
            files: site_folder.clone(),
            upstream: *upstream,
            echo: *echo,
            sink: *sink,
        }
    }
}

/// What is compared when builds of prumo stand side by side.
#[derive(clap::Args)]
pub(crate) struct Builds {
    #[command(flatten)]
    options: Options,
    /// Speak TLS 1.3 with the client.
    #[arg(long)]
    tls: bool,
}

/// The cost of a request in several builds of prumo.
pub(super) fn compare_builds(arguments: &Builds, builds: &[(String, PathBuf)]) -> Result<(), Failure> {
    let folder = fresh_folder("builds")?;
    let mut peers = Vec::new();
    for (name, binary) in builds {
        let site = Site::start(binary, &checkout::made(folder.join(name))?, Style::OneRoute)?;
        peers.push(Peer { name: name.clone(), ..Peer::prumo(site) });
    }
    let case = if arguments.tls { cases::H1_TLS } else { cases::H1 };
    let rounds = case.rounds("builds", &peers.iter().collect::<Vec<_>>(), arguments.options)?;
    let mut table = Table::new("A request of 1 KiB, by build", &["build", case.unit, "lowest–highest"]);
    for (peer, rounds) in peers.iter().zip(rounds) {
        let lowest = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().copied().fold(0.0, f64::max);
        table.row(&[&peer.name, &format!("{:.2}", median(&rounds)), &format!("{lowest:.2}–{highest:.2}")]);
    }
    table.print();
    Ok(())
}
