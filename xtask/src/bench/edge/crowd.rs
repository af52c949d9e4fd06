//! Our own crowd of clients, a program of `prumo-tests`, and what a thousand of them get from a proxy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::figure::{CADDY, Figure, Goal, HAPROXY, Measured, NGINX, PRUMO};
use super::{Options, Stand};
use crate::bench::peer::{OTHER_CORE, Peer};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// As many as the issue of a thousand users asks for.
const CLIENTS: u32 = 1000;
const CLIENTS_SECONDS: u32 = 60;
const TALK_SECONDS: u32 = 20;

/// All connections of a crowd are open within this.
const OPEN_WITHIN: Duration = Duration::from_secs(120);

/// Percentiles and errors of a run of wrk in one line.
const SCRIPT: &str = r#"done = function(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("in all %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(95), errors))
end
"#;

pub(super) fn binary() -> PathBuf {
    checkout::target().join("release/crowd")
}

/// Runs the crowd to its end, and reads what it says.
pub(super) fn ask(arguments: &[&str]) -> Result<Value, Failure> {
    let said = Program::on_core(OTHER_CORE, binary()).args(arguments).output()?;
    serde_json::from_str(said.trim()).map_err(|_| Failure::new(format!("the crowd said no account but: {said}")))
}

pub(super) fn number(value: &Value) -> Result<f64, Failure> {
    value.as_f64().ok_or_else(|| Failure::new(format!("{value} is no number of the crowd's account")))
}

/// Opens connections that stay until this value goes away.
pub(super) fn hold(what: &str, port: u16, count: u32, folder: &Path) -> Result<Running, Failure> {
    let address = format!("127.0.0.1:{port}");
    let program = Program::on_core(OTHER_CORE, binary()).args([what, &address, &count.to_string()]);
    let mut running = program.start(&folder.join("crowd.printed"))?;
    let log = folder.join("crowd.printed");
    running.ready(OPEN_WITHIN, || checkout::read(&log).is_ok_and(|said| said.contains("open")))?;
    Ok(running)
}

/// A thousand keep-alive clients, for a minute, as fast as they are answered.
pub(super) fn clients(stand: &Stand, options: Options) -> Result<Vec<Figure>, Failure> {
    let script = stand.folder.join("percentiles.lua");
    checkout::write(&script, SCRIPT)?;
    let seconds = if options.is_short() { options.seconds } else { CLIENTS_SECONDS };
    let mut by_peer = Vec::new();
    for peer in once(stand, &[PRUMO, NGINX, HAPROXY]) {
        let [requests, micros, p95, errors] = wrk(peer, seconds, &script)?;
        let [rate, p95] = [requests / micros * 1e6, p95 / 1e3];
        println!("clients: {} {rate:.0} requests/s, p95 {p95:.1} ms, {errors} errors", peer.name);
        by_peer.push((peer, [rate, p95, errors]));
    }
    let rows = [
        ("requests/s", Goal::AtLeast { goal: 1000.0 }),
        ("p95, ms", Goal::AtMost { goal: 100.0, must: 100.0 }),
        ("errors", Goal::AtMost { goal: 0.0, must: 0.0 }),
    ];
    Ok(figures(&format!("{CLIENTS} keep-alive clients, {seconds} s"), rows, &by_peer))
}

/// Web sockets that say something once a second.
pub(super) fn talk(stand: &Stand, options: Options) -> Result<Vec<Figure>, Failure> {
    let seconds = if options.is_short() { options.seconds.max(3) } else { TALK_SECONDS };
    let mut by_peer = Vec::new();
    for peer in once(stand, &[PRUMO, NGINX, HAPROXY, CADDY]) {
        let address = format!("127.0.0.1:{}", peer.http);
        let account = ask(&["talk", &address, &CLIENTS.to_string(), &seconds.to_string()])?;
        let [p95, gaps] = [number(&account["echoes"]["p95_us"])? / 1e3, number(&account["gaps"])?];
        println!("web-sockets: {} p95 {p95:.2} ms, {gaps} gaps", peer.name);
        by_peer.push((peer, [p95, gaps]));
    }
    let rows = [("p95, ms", Goal::AtMost { goal: 50.0, must: 50.0 }), ("gaps", Goal::AtMost { goal: 0.0, must: 0.0 })];
    Ok(figures(&format!("Web socket echo, {CLIENTS} clients, 1 message/s, {seconds} s"), rows, &by_peer))
}

/// One build of each of these proxies: the newest, which stands last.
fn once<'a>(stand: &'a Stand, kinds: &[&str]) -> Vec<&'a Peer> {
    kinds.iter().filter_map(|kind| stand.peers.iter().rev().find(|peer| peer.kind == *kind)).collect()
}

fn figures<const N: usize>(about: &str, rows: [(&'static str, Goal); N], by_peer: &[(&Peer, [f64; N])]) -> Vec<Figure> {
    let rows = rows.into_iter().enumerate().map(|(index, (unit, goal))| {
        let measured = by_peer.iter().map(|(peer, values)| Measured { proxy: peer.kind, values: vec![values[index]] });
        Figure { about: about.to_owned(), unit, measured: measured.collect(), goal }
    });
    rows.collect()
}

/// Requests, microseconds, microseconds of p95, errors.
fn wrk(peer: &Peer, seconds: u32, script: &Path) -> Result<[f64; 4], Failure> {
    let output = Program::on_core(OTHER_CORE, "wrk")
        .args(["-t1", &format!("-c{CLIENTS}"), &format!("-d{seconds}s"), "-s"])
        .arg(script)
        .arg(peer.url(false))
        .output()?;
    let line = output.lines().find_map(|line| line.strip_prefix("in all "));
    let numbers: Vec<f64> = line.unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| Failure::new(format!("wrk gave no account of {}; it printed:\n{output}", peer.name)))
}
