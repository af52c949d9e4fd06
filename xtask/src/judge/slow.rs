//! Thousands of clients that take their time, in the four ways of slowhttptest, beside one that does not (EDGE, Slowloris).
//!
//! The honest one must be served every time, whatever the others do, and what these can make prumo hold is bounded.

use std::path::Path;
use std::time::Duration;

use crate::bench::process;
use crate::bench::site::{free_port, is_answered};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};
use crate::stopwatch::wait;

/// As many as one process of slowhttptest can hold; prumo's own limit is 10,000.
const CONNECTIONS: u32 = 4_000;

/// How long each kind of attack lasts: long enough for the timeouts of a head and of a body to pass.
const SECONDS: u32 = 40;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What one request of the honest client may take, on a machine that is busy with the attack as well.
const PATIENCE_SECONDS: f64 = 5.0;

/// Resident memory that an attack may add: 80 KiB for each connection, of which sockets' buffers are no part. The most by
/// far is what is held of a file for who does not take it: 55 KiB were measured.
const GROWTH_MAX: u64 = 80 * 1024 * CONNECTIONS as u64;

/// One of the four ways to be slow.
struct Mode {
    name: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
}

const MODES: [Mode; 4] = [
    Mode { name: "headers", arguments: &["-H", "-i", "3", "-x", "24"], path: "/" },
    Mode { name: "body", arguments: &["-B", "-i", "3", "-x", "10", "-s", "8192", "-t", "POST"], path: "/echo" },
    Mode {
        name: "read",
        arguments: &["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"],
        path: "/files/large",
    },
    Mode { name: "range", arguments: &["-R", "-t", "GET", "-a", "10", "-b", "3000"], path: "/files/large" },
];

/// What was seen during one attack.
struct Finding {
    /// Slow connections in all, most of which prumo closes in time.
    made: u32,
    /// The most of them at once.
    connected: u32,
    honest: u32,
    failed: u32,
    slowest: f64,
    growth: u64,
}

pub(super) fn run() -> Result<(), Failure> {
    Program::cargo().args(["build", "--quiet", "--package", "prumo"]).run()?;
    let folder = checkout::target().join("judge/slow");
    drop(std::fs::remove_dir_all(&folder));
    let folder = checkout::made(folder)?;
    let (prumo, port) = start(&folder)?;
    println!("slowhttptest with {CONNECTIONS} connections for {SECONDS} s in each mode, beside one honest client:\n");
    println!("| mode | slow connections | at once | honest requests | failed | slowest (ms) | memory grew (MiB) |");
    println!("|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for mode in &MODES {
        let finding = attack(mode, &folder, &prumo, port)?;
        let Finding { made, connected, honest, failed, slowest, growth } = &finding;
        println!(
            "| {} | {made} | {connected} | {honest} | {failed} | {:.0} | {} |",
            mode.name,
            slowest * 1000.0,
            growth >> 20
        );
        wrong.extend(judge(&finding).into_iter().map(|why| format!("{}: {why}", mode.name)));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
}

/// What is not as it must be. Pure.
fn judge(finding: &Finding) -> Vec<String> {
    let mut wrong = Vec::new();
    if finding.failed > 0 || finding.honest == 0 {
        wrong.push(format!("{} of {} honest requests failed", finding.failed, finding.honest));
    }
    if finding.growth > GROWTH_MAX {
        wrong.push(format!("memory grew by {} bytes", finding.growth));
    }
    if finding.made < CONNECTIONS / 2 {
        wrong.push(format!("there was no attack worth the name: {} connections", finding.made));
    }
    wrong
}

/// A site with the defaults that everybody has, an app and a large file.
fn start(folder: &Path) -> Result<(Running, u16), Failure> {
    let (http, https, admin) = (free_port()?, free_port()?, free_port()?);
    let binary = checkout::target().join("debug/prumo");
    let files = checkout::made(folder.join("public"))?;
    checkout::write(&files.join("large"), &"0123456789abcdef".repeat(640 * 1024))?;
    let text = format!(
        "[service.web]\nrun = [{binary:?}, \"demo-app\"]\nhealth = {{ path = \"/health\" }}\n\n[[route]]\nto = \"web\"\n\n\
         [[route]]\npath = \"/files\"\nfiles = \"public\"\n\n\
         [edge]\nhttp = {http}\nhttps = {https}\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    let file = folder.join("prumo.toml");
    checkout::write(&file, &text)?;
    let program = Program::new(&binary).arg("--file").arg(&file).arg("--state").arg(folder.join("state"));
    let mut prumo = program.arg("up").start(&folder.join("prumo.log"))?;
    prumo.ready(READY_WITHIN, || is_answered(&format!("http://127.0.0.1:{http}/health")))?;
    prumo.ready(READY_WITHIN, || is_answered(&format!("http://127.0.0.1:{http}/files/large")))?;
    Ok((prumo, http))
}

fn attack(mode: &Mode, folder: &Path, prumo: &Running, port: u16) -> Result<Finding, Failure> {
    let before = process::resident(prumo.pid())?;
    let report = folder.join(mode.name);
    let (count, seconds) = (CONNECTIONS.to_string(), SECONDS.to_string());
    let mut slow = Program::new("slowhttptest")
        .args(mode.arguments)
        .args(["-c", &count, "-r", "400", "-l", &seconds, "-p", "5", "-g", "-o"])
        .arg(&report)
        .args(["-u", &format!("http://127.0.0.1:{port}{}", mode.path)])
        .start(&folder.join(format!("{}.log", mode.name)))?;
    let url = format!("http://127.0.0.1:{port}/health");
    let mut finding = Finding { made: 0, connected: 0, honest: 0, failed: 0, slowest: 0.0, growth: 0 };
    while !slow.has_ended()? {
        let took = ask(&url);
        finding.honest += 1;
        finding.failed += u32::from(took.is_none_or(|took| took > PATIENCE_SECONDS));
        finding.slowest = finding.slowest.max(took.unwrap_or(PATIENCE_SECONDS));
        finding.growth = finding.growth.max(process::resident(prumo.pid())?.saturating_sub(before));
        wait(Duration::from_millis(100));
    }
    (finding.made, finding.connected) = connections(&checkout::read(&report.with_extension("csv"))?);
    Ok(finding)
}

/// One request on a connection of its own: the seconds it took, if it was answered well.
fn ask(url: &str) -> Option<f64> {
    let most = format!("{}", PATIENCE_SECONDS * 2.0);
    let said = Program::new("curl")
        .args(["--silent", "--fail", "--max-time", &most, "--output", "/dev/null"])
        .args(["--write-out", "%{http_code} %{time_total}", url])
        .answer()?;
    let (status, took) = said.split_once(' ')?;
    (status == "200").then(|| took.parse().ok())?
}

/// Connections in all, and the most at once, of lines such as `5,100,0,2000,1000`: seconds, closed, pending, connected, and
/// whether the service was there. Pure.
fn connections(report: &str) -> (u32, u32) {
    let rows = report.lines().filter_map(|line| {
        let numbers: Vec<u32> = line.split(',').map_while(|number| number.trim().parse().ok()).collect();
        (numbers.len() == 5).then(|| (numbers[1] + numbers[3], numbers[3]))
    });
    rows.fold((0, 0), |(made, most), (all, now)| (made.max(all), most.max(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an attack that did not take place, a failed request and too much memory are each a reason to fail.
    #[test]
    fn judges_findings() {
        let good = || Finding { made: CONNECTIONS, connected: 9, honest: 10, failed: 0, slowest: 0.1, growth: 1 };
        assert_eq!(judge(&good()).len(), 0);
        assert_eq!(judge(&Finding { made: 3, ..good() }).len(), 1);
        assert_eq!(judge(&Finding { failed: 1, ..good() }).len(), 1);
        assert_eq!(judge(&Finding { honest: 0, ..good() }).len(), 1);
        assert_eq!(judge(&Finding { growth: GROWTH_MAX + 1, ..good() }).len(), 1);
    }

    /// Goal: what is open and what was closed is counted, and the header is not.
    #[test]
    fn reads_reports() {
        let report = "Seconds,Closed,Pending,Connected,Service Available\n0,0,1,9,1000\n5,3,0,7,1000\n";
        assert_eq!(connections(report), (10, 9));
        assert_eq!(connections(""), (0, 0));
    }
}
