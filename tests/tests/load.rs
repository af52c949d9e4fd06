//! The judge is judged: the load generator sees what is wrong, and nothing where nothing is.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test starts the apps that it looks at")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prumo_tests::load::{FailureKind, Load, Report, Running, Sockets};
use prumo_tests::process::eventually;
use prumo_tests::site::port;
use prumo_tests::{ask, binaries};

/// How long what must happen may take.
const WITHIN: Duration = Duration::from_secs(60);

/// An app without prumo around it.
struct App {
    child: Child,
    address: SocketAddr,
}

impl App {
    fn start(mut command: Command) -> App {
        let port = port::free();
        let child = command.env("PORT", port.to_string()).stdout(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(eventually(WITHIN, || ask::get(address, "/health").is_ok()));
        App { child, address }
    }

    fn zoo(arguments: &[&str]) -> App {
        let mut command = Command::new(binaries::zoo());
        command.args(arguments);
        App::start(command)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn second_on(address: SocketAddr) -> Load {
    Load::on(address).rate(100).lasting(Duration::from_secs(1))
}

fn check(report: &Report, expected: bool, what: &str) {
    assert!(expected, "{what}\n{report}");
}

/// Goal: a good app has a clean account, with every request of a second in it.
#[test]
fn a_good_app_is_clean() {
    let app = App::zoo(&["well"]);
    let report = second_on(app.address).start().wait();
    check(&report, report.is_clean() && report.ok == 100 && report.sent == 100, "100 requests and no failure");
    let latency = report.latency().unwrap();
    check(&report, latency.p50 <= latency.p99 && latency.p99 <= latency.max, "percentiles are in order");
}

/// Goal: latency counts from when a request was due, and slow answers do not slow the sending.
#[test]
fn slow_answers_do_not_slow_the_load() {
    let app = App::zoo(&["slow", "300"]);
    let report = second_on(app.address).start().wait();
    check(&report, report.ok == 100, "everything is answered");
    check(&report, report.latency().unwrap().p50 >= Duration::from_millis(300), "each answer takes 300 ms");
}

/// Goal: an error status, a missing server and a cut connection are each called by their name.
#[test]
fn failures_are_told_apart() {
    let app = App::zoo(&["500"]);
    let report = second_on(app.address).start().wait();
    check(&report, report.ok == 0 && report.failed(FailureKind::Status(500)) == 100, "all answers are errors");

    let nobody = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let report = second_on(nobody).web_sockets(1).start().wait();
    check(&report, report.failed(FailureKind::Connect) == 100, "nobody takes a connection");
    check(&report, report.failed(FailureKind::Handshake) > 0, "and no web socket opens");

    let folder = tempfile::tempdir().unwrap();
    let never = folder.path().join("never");
    let mut dying = App::zoo(&["wait-for", never.to_str().unwrap()]);
    let load = second_on(dying.address).lasting(2 * WITHIN).start();
    assert!(eventually(WITHIN, || never.with_extension("asked").exists()), "a request is under way");
    dying.child.kill().unwrap();
    eventually(WITHIN, || load.so_far().failed.contains_key(&FailureKind::Connect));
    let report = load.stop();
    check(&report, report.failed(FailureKind::Reset) > 0, "requests under way are cut");
    check(&report, report.failed(FailureKind::Connect) > 0, "and later ones find nobody");
}

/// Goal: web sockets are counted as moved when an app says goodbye, and as cut when it is killed.
#[test]
fn moved_and_cut_web_sockets_are_told_apart() {
    let demo_app = || {
        let mut command = Command::new(binaries::prumo());
        command.arg("demo-app");
        App::start(command)
    };
    let polite = demo_app();
    let load = second_on(polite.address).web_sockets(5).lasting(4 * WITHIN).start();
    let sees = |load: &Running, what: fn(&Sockets) -> bool| eventually(WITHIN, || what(&load.so_far().sockets));
    assert!(sees(&load, |sockets| sockets.opened == 5 && sockets.messages >= 5), "{:?}", load.so_far());
    prumo_tests::process::signal(polite.child.id(), prumo_tests::process::Signal::TERM);
    sees(&load, |sockets| sockets.moved + sockets.cut >= 5);
    let report = load.stop();
    check(
        &report,
        report.sockets.opened == 5 && report.sockets.moved == 5 && report.sockets.cut == 0,
        "all were told to move",
    );
    check(&report, report.sockets.messages >= 5, "and were answered before");

    let mut killed = demo_app();
    let load = second_on(killed.address).web_sockets(5).lasting(4 * WITHIN).start();
    assert!(sees(&load, |sockets| sockets.opened == 5), "{:?}", load.so_far());
    killed.child.kill().unwrap();
    sees(&load, |sockets| sockets.moved + sockets.cut >= 5);
    let report = load.stop();
    check(&report, report.sockets.moved == 0 && report.sockets.cut == 5, "all were cut");
}

/// Goal: a load is for this machine only.
#[test]
#[should_panic(expected = "loopback addresses only")]
fn other_machines_are_not_loaded() {
    Load::on("192.0.2.1:80".parse().unwrap()).start();
}
