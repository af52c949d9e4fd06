//! Deploys in a row under load: nothing may fail.
//!
//! The load is an open loop, which goes on at its rate whatever the site does: GET, POST with a body, kept and new
//! connections, and web sockets beside them. Its latency counts from the moment a request was due.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use prumo_tests::load::{self, Load};

use super::report::{Table, median};
use super::site::Demo;
use super::{fresh_folder, release_binary};
use crate::failure::Failure;
use crate::program::Program;
use crate::stopwatch::{Stopwatch, wait};

/// The load ends by itself after this, should the deploys hang.
const LASTS_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Load before the first deploy and after the last, so that both ends of each deploy are under it.
const MARGIN: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many deploys in a row.
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Web sockets that are open all the time.
    #[arg(long, default_value_t = 50)]
    web_sockets: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (binary, folder) = (release_binary()?, fresh_folder("deploys")?);
    let demo = Demo::start(&binary, &folder)?;
    let edge = SocketAddr::from((Ipv4Addr::LOCALHOST, demo.http));
    let load = Load::on(edge).rate(arguments.rate).web_sockets(arguments.web_sockets).lasting(LASTS_MAX).start();
    wait(MARGIN);
    let deploys = deploy_in_a_row(&binary, &demo.state, arguments.count);
    wait(MARGIN);
    let report = load.stop();
    drop(demo);
    let seconds = deploys?;
    println!("{report}");
    print(arguments, &seconds, &report);
    if report.is_clean() { Ok(()) } else { Err(Failure::new("a deploy lost something")) }
}

/// The seconds that each deploy took.
fn deploy_in_a_row(binary: &Path, state: &Path, count: u32) -> Result<Vec<f64>, Failure> {
    let mut seconds = Vec::new();
    for number in 1..=count {
        let stopwatch = Stopwatch::start();
        Program::new(binary).arg("--state").arg(state).args(["--quiet", "deploy", "hello"]).output()?;
        seconds.push(stopwatch.elapsed().as_secs_f64());
        if number % 10 == 0 || number == count {
            println!("deploy {number} of {count}");
        }
    }
    Ok(seconds)
}

fn print(arguments: &Arguments, seconds: &[f64], report: &load::Report) {
    let title = format!(
        "{} deploys of the demo site in a row, {} requests/s in an open loop, {} web sockets",
        seconds.len(),
        arguments.rate,
        arguments.web_sockets
    );
    let head =
        &["requests", "failed", "95 % bound on the rate", "web sockets moved", "cut", "p50", "p99", "one deploy"];
    let latency = |of: fn(&load::Latency) -> Duration| {
        report.latency().map_or("–".to_owned(), |all| format!("{:.1?}", of(&all)))
    };
    let mut table = Table::new(&title, head);
    table.row(&[
        &report.sent.to_string(),
        &report.failed_in_all().to_string(),
        &bound(report.failed_in_all(), report.sent),
        &report.sockets.moved.to_string(),
        &report.sockets.cut.to_string(),
        &latency(|all| all.p50),
        &latency(|all| all.p99),
        &format!("{:.1} s", median(seconds)),
    ]);
    table.print();
}

/// What none of `sent` having failed says about the next one: with 95 % confidence the rate is below 3 / `sent`.
fn bound(failed: u64, sent: u64) -> String {
    if failed > 0 || sent == 0 { "–".to_owned() } else { format!("< {:.0e}", 3.0 / sent as f64) }
}

#[cfg(test)]
mod tests;
