//! `lives upgrades|reloads|restarts COUNT`: what users notice when prumo is replaced, told to read its file again, or
//! killed, many times in a row. Run by `cargo xtask bench`, which prints what this prints.
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
const WEB_SOCKETS: u32 = 50;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count: u32 = arguments.next().and_then(|text| text.parse().ok()).expect("a number after what to do");
    let is_clean = match what.as_str() {
        "upgrades" => upgrades(count),
        "reloads" => reloads(count),
        "restarts" => restarts(count),
        other => panic!("`{other}` is not upgrades, reloads or restarts"),
    };
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn upgrades(count: u32) -> bool {
    let outcome = Upgrades { count, replicas: 2, rate: RATE, web_sockets: WEB_SOCKETS }.run(|number| {
        if number.is_multiple_of(10) {
            println!("upgrade {number} of {count}");
        }
    });
    let mut took = outcome.took.clone();
    took.sort_unstable();
    println!("{count} upgrades under {RATE} requests/s and {WEB_SOCKETS} web sockets; one takes {}", spread(&took));
    outcome.troubles.iter().for_each(|trouble| println!("{trouble}"));
    account(&outcome.report);
    outcome.is_clean()
}

fn reloads(count: u32) -> bool {
    let mut site = Site::new(&file("[PRUMO] demo-app", 2, ""));
    site.up();
    site.await_healthy("web");
    let load = Load::on(site.edge()).rate(RATE).web_sockets(WEB_SOCKETS).lasting(Duration::from_secs(6 * 3600)).start();
    let applied = |site: &Site| site.log().matches("routes applied").count();
    let mut taken = true;
    for number in 1..=count {
        process::signal(site.pid(), Signal::HUP);
        taken &= eventually(Duration::from_secs(10), || applied(&site) >= number as usize);
        if number.is_multiple_of(100) {
            println!("reload {number} of {count}");
        }
    }
    let report = load.stop();
    println!("{count} reloads under {RATE} requests/s and {WEB_SOCKETS} web sockets; all applied: {taken}");
    account(&report);
    report.is_clean() && taken
}

/// How long nobody answers when a kept prumo is killed: from the kill to the first answer, on a connection that is
/// opened at once.
fn restarts(count: u32) -> bool {
    let mut site = Site::new(&file("[ZOO] well", 2, ""));
    site.keep();
    let before = site.await_healthy("web");
    let mut took = Vec::new();
    let mut is_clean = true;
    for _ in 0..count {
        let main = site.main_pid().expect("prumo runs");
        let began = Instant::now();
        process::signal(main, Signal::KILL);
        eventually(Duration::from_secs(5), || !process::lives(main));
        is_clean &= site.get("/whoami").is_ok_and(|answer| answer.status == 200);
        took.push(began.elapsed());
        // Killed less often than a crash loop would be, so that each start again is at once.
        std::thread::sleep(Duration::from_secs(61));
    }
    took.sort_unstable();
    let after = site.await_healthy("web");
    println!("{count} kills of a kept prumo; from the kill to the next answer {}", spread(&took));
    println!("replicas are the same: {}", before.pids() == after.pids());
    is_clean && before.pids() == after.pids()
}

fn spread(sorted: &[Duration]) -> String {
    let at = |part: usize| sorted.get((sorted.len() * part / 100).min(sorted.len() - 1)).copied().unwrap_or_default();
    format!("{:.2?} (median), {:.2?} (longest)", at(50), at(100))
}

fn account(report: &Report) {
    println!("{report}");
}
