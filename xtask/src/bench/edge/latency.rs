//! What a proxy adds to the time of a request, at half of what it can carry.
//!
//! Requests come at an exact rate and at random moments, whether or not the ones before were answered, and count from
//! the moment they were due. What the upstream takes without a proxy is measured in the same round and subtracted.
//!
//! Who asks shares its core with the upstream, and each may wait for the other for a slice of the scheduler. How late it saw
//! that requests were due is printed with each round, and where the upstream alone is slow, nothing is said of a proxy.

use super::figure::{CADDY, Figure, Goal, Measured};
use super::{Options, Stand, crowd};
use crate::bench::peer::OTHER_CORE;
use crate::bench::report::median;
use crate::bench::wrk;
use crate::failure::Failure;

/// Half a millisecond is within reach of a busy scheduler; fewer requests would leave p99 to chance.
const SECONDS_MIN: u32 = 2;

pub(super) fn measure(stand: &Stand, options: Options) -> Result<Vec<Figure>, Failure> {
    let seconds = options.seconds.max(SECONDS_MIN);
    let mut half_loads = Vec::new();
    for peer in &stand.peers {
        wrk::run(&peer.url(false), 1, OTHER_CORE)?;
        half_loads.push(wrk::run(&peer.url(false), 1, OTHER_CORE)? as f64 / 2.0);
    }
    // All at the same rate, but for Caddy, for whom it would be more than all.
    let others = stand.peers.iter().zip(&half_loads).filter(|(peer, _)| peer.kind != CADDY);
    let rate = others.map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min).floor();
    let mut added: Vec<[Vec<f64>; 2]> = stand.peers.iter().map(|_| Default::default()).collect();
    let mut without: [Vec<f64>; 2] = Default::default();
    for round in 1..=options.rounds {
        for ((peer, own), added) in stand.peers.iter().zip(&half_loads).zip(&mut added) {
            let rate = rate.min(own.floor());
            let direct = Percentiles::of(stand.upstream, rate, seconds)?;
            let through = Percentiles::of(peer.http, rate, seconds)?;
            let [p50, p99] = [through.p50 - direct.p50, through.p99 - direct.p99];
            println!(
                "latency, round {round}: {} adds {p50:.0} µs to p50 and {p99:.0} µs to p99 at {rate} requests/s \
                 (without it {:.0} and {:.0}; one in a hundred was seen {:.0} µs late, without it {:.0})",
                peer.name, direct.p50, direct.p99, through.late_p99, direct.late_p99
            );
            if peer.kind != CADDY {
                without[0].push(direct.p50);
                without[1].push(direct.p99);
            }
            added[0].push(p50);
            added[1].push(p99);
        }
    }
    let direct = without.map(|values| median(&values));
    let [p50, _] = direct;
    if p50 > DIRECT_P50_MAX {
        let sentence =
            format!("without a proxy half of all answers take more than {p50:.0} µs: this machine is too busy");
        return Err(Failure::new(sentence).hint("measure again when nothing else runs"));
    }
    let goals =
        [("p50", Goal::AtMost { goal: 100.0, must: 100.0 }), ("p99", Goal::AtMost { goal: 500.0, must: 1000.0 })];
    let figures = goals.into_iter().enumerate().map(|(index, (name, goal))| {
        let measured = stand.peers.iter().zip(&added);
        let measured = measured.map(|(peer, added)| Measured { proxy: peer.kind, values: added[index].clone() });
        let direct = direct[index];
        let about = format!("Added latency at half load ({rate} requests/s), {name}; without a proxy {direct:.0}");
        Figure { about, unit: "µs", measured: measured.collect(), goal }
    });
    Ok(figures.collect())
}

/// An upstream that takes longer than this without a proxy is overloaded, in microseconds.
const DIRECT_P50_MAX: f64 = 1_000.0;

/// In microseconds.
struct Percentiles {
    p50: f64,
    p99: f64,
    /// How late it was seen that requests were due.
    late_p99: f64,
}

impl Percentiles {
    fn of(port: u16, rate: f64, seconds: u32) -> Result<Percentiles, Failure> {
        let address = format!("127.0.0.1:{port}");
        let account = crowd::ask(&["pace", &address, "/", &rate.to_string(), &seconds.to_string()])?;
        let micros = |what: &str, share: &str| crowd::number(&account[what][share]);
        let (p50, p99) = (micros("answers", "p50_us")?, micros("answers", "p99_us")?);
        Ok(Percentiles { p50, p99, late_p99: micros("late", "p99_us")? })
    }
}
