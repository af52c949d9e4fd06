//! `lives upgrades|reloads|restarts COUNT WEB_SOCKETS`: what users notice when prumo is replaced, told to read its file
//! again, or killed, many times. Run by `cargo xtask bench`; the last line says in JSON what the others say in words.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement drives real processes in real time"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use prumo_tests::load::{Load, Report};
use prumo_tests::process::{self, Signal, eventually};
use prumo_tests::site::{Site, file};
use prumo_tests::upgrades::Upgrades;

const RATE: u32 = 200;

/// What came of it.
struct Lives {
    took: Vec<Duration>,
    /// What went wrong beside requests.
    troubles: Vec<String>,
    report: Report,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count, web_sockets] = &arguments[..] else { panic!("what to do, how often, and how many web sockets") };
    let [count, web_sockets] = [count, web_sockets].map(|text| text.parse().expect("a number"));
    let mut lives = match what.as_str() {
        "upgrades" => upgrades(count, web_sockets),
        "reloads" => reloads(count, web_sockets),
        "restarts" => restarts(count),
        other => panic!("`{other}` is not upgrades, reloads or restarts"),
    };
    lives.took.sort_unstable();
    println!("{count} {what}; one takes {}", spread(&lives.took));
    if lives.report.sent > 0 {
        println!("under {RATE} requests/s and {web_sockets} web sockets: {}", lives.report);
    }
    lives.troubles.iter().for_each(|trouble| println!("{trouble}"));
    let seconds: Vec<f64> = lives.took.iter().map(Duration::as_secs_f64).collect();
    let failed = lives.report.failed_in_all() - lives.report.sockets.cut;
    let account = serde_json::json!({
        "took_s": seconds, "troubles": lives.troubles.len(), "sent": lives.report.sent, "failed": failed,
        "cut": lives.report.sockets.cut, "moved": lives.report.sockets.moved, "messages": lives.report.sockets.messages,
    });
    println!("{account}");
    let is_clean = lives.troubles.is_empty() && lives.report.is_clean();
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn upgrades(count: u32, web_sockets: u32) -> Lives {
    let outcome = Upgrades { count, replicas: 2, rate: RATE, web_sockets }.run(|number| {
        if number.is_multiple_of(10) {
            println!("upgrade {number} of {count}");
        }
    });
    Lives { took: outcome.took, troubles: outcome.troubles, report: outcome.report }
}

fn reloads(count: u32, web_sockets: u32) -> Lives {
    let mut site = Site::new(&file("[PRUMO] demo-app", 2, ""));
    site.up();
    site.await_healthy("web");
    let lasts_max = Duration::from_secs(6 * 3600);
    let load = Load::on(site.edge()).rate(RATE).web_sockets(web_sockets).lasting(lasts_max).start();
    // What was still under way when the service became healthy is no reload.
    std::thread::sleep(Duration::from_secs(1));
    let applied = |site: &Site| site.log().matches("routes applied").count();
    let (mut took, mut troubles) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let (before, began) = (applied(&site), Instant::now());
        process::signal(site.pid(), Signal::HUP);
        if !eventually(Duration::from_secs(10), || applied(&site) > before) {
            troubles.push(format!("reload {number} was not applied"));
        }
        took.push(began.elapsed());
        if number.is_multiple_of(100) {
            println!("reload {number} of {count}");
        }
    }
    Lives { took, troubles, report: load.stop() }
}

/// How long nobody answers when a kept prumo is killed: from the kill to the first answer, on a connection that is
/// opened at once. Each time on a new site, because one that dies every few seconds is started again ever later.
fn restarts(count: u32) -> Lives {
    let (mut took, mut troubles) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let mut site = Site::new(&file("[ZOO] well", 2, ""));
        site.keep();
        let before = site.await_healthy("web");
        let main = site.main_pid().expect("prumo runs");
        let began = Instant::now();
        process::signal(main, Signal::KILL);
        eventually(Duration::from_secs(5), || !process::lives(main));
        if !site.get("/whoami").is_ok_and(|answer| answer.status == 200) {
            troubles.push(format!("the request after kill {number} was not answered"));
        }
        took.push(began.elapsed());
        let after = site.await_healthy("web");
        if before.pids() != after.pids() {
            troubles.push(format!("replicas were touched by kill {number}: {before:?} {after:?}"));
        }
        println!("kill {number} of {count}: {:.2?}", took.last().copied().unwrap_or_default());
    }
    Lives { took, troubles, report: Report::default() }
}

fn spread(sorted: &[Duration]) -> String {
    let at = |part: usize| sorted.get((sorted.len() * part / 100).min(sorted.len() - 1)).copied().unwrap_or_default();
    format!("{:.2?} (median), {:.2?} (longest)", at(50), at(100))
}
