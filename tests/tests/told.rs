//! What people are told while something takes its time, and when something that they rely on has gone.
#![allow(clippy::disallowed_methods, reason = "the reader and the slow request have threads of their own")]

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use prumo_tests::ask::{self, Answer};
use prumo_tests::process::{self, Signal, eventually};
use prumo_tests::site::{Said, Site, file, finish};

/// Beyond every wait of a test that goes well.
const WITHIN: Duration = Duration::from_secs(60);

/// Waits until a command has printed a line with this text.
fn await_line(child: &mut Child, text: &'static str) -> Option<String> {
    let (found, line) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().expect("the output is a pipe"));
    std::thread::spawn(move || {
        let mut lines = out.lines().map_while(Result::ok);
        if let Some(line) = lines.find(|line| line.contains(text)) {
            drop(found.send(line));
        }
        // Read to its end: a command whose output nobody reads would wait for ever.
        lines.for_each(drop);
    });
    line.recv_timeout(WITHIN).ok()
}

/// Longer than a deploy waits in silence before it says what it waits for.
const SILENCE: Duration = Duration::from_secs(7);

/// A site whose one replica has a request that is answered when the file `answer` is there, and that request.
fn busy_site() -> (Site, JoinHandle<std::io::Result<Answer>>) {
    let mut site =
        Site::new(&file("[ZOO] wait-for [SITE]/answer", 1, "").replace("drain = \"10s\"", "drain = \"10m\""));
    site.up();
    site.await_healthy("web");
    let edge = site.edge();
    let slow = std::thread::spawn(move || ask::get(edge, "/whoami"));
    assert!(eventually(WITHIN, || site.root().join("answer.asked").exists()), "the request is on its way");
    (site, slow)
}

/// Goal: a deploy that waits for the last request of what served before says so where no line can be drawn anew: for how
/// many requests to whom, since when and how long at most.
#[test]
fn a_deploy_says_what_it_waits_for() {
    let (site, slow) = busy_site();
    let mut deploy = site.spawn(&["deploy"]);
    let line = await_line(&mut deploy, "waiting for one request").expect("it says what it waits for");
    assert!(line.contains("web  release 2  waiting for one request to web-1, "), "{line}");
    assert!(line.ends_with("s of at most 600s"), "{line}");
    site.write("answer", "");
    assert_eq!(finish(deploy, "", WITHIN).code, Some(0), "{}", site.story());
    assert_eq!(slow.join().unwrap().unwrap().status, 200, "{}", site.story());
}

/// Goal: whoever asks for no remarks, or for JSON, is told nothing of waiting.
#[test]
fn a_quiet_deploy_waits_in_silence() {
    let deploys = ["--quiet", "--json"].map(|option| {
        let (site, slow) = busy_site();
        let deploy = site.spawn(&["deploy", option]);
        (site, slow, deploy)
    });
    std::thread::sleep(SILENCE);
    for (site, slow, deploy) in deploys {
        site.write("answer", "");
        let said = finish(deploy, "", WITHIN);
        assert_eq!(said.code, Some(0), "{}", site.story());
        assert!(!said.out.contains("waiting") && !said.err.contains("waiting"), "{said:?}");
        assert_eq!(slow.join().unwrap().unwrap().status, 200, "{}", site.story());
    }
}

/// Goal: who has scaled finds so many replicas healthy, and no other left.
#[test]
fn scaling_waits_for_its_end() {
    let mut site = Site::new(&file("[ZOO] well", 1, ""));
    site.up();
    site.await_healthy("web");
    site.must(&["scale", "web", "2"]);
    let settled = site.status("web").unwrap();
    assert!(settled.is_settled() && settled.pids().len() == 2, "{settled:?}");
    site.must(&["scale", "web", "1"]);
    let settled = site.status("web").unwrap();
    assert!(settled.is_settled() && settled.pids().len() == 1, "{settled:?}");
}

/// Goal: when the keeper is killed, prumo says once that nobody starts it again, status and health go on saying it, and an
/// upgrade, which would end the process that was started, is refused with the reason.
#[test]
fn a_lost_keeper_is_told() {
    let mut site = Site::new(&file("[ZOO] well", 1, ""));
    site.keep();
    site.await_healthy("web");
    site.kill();
    let notes = |said: &Said| said.out.contains("note: the keeper has gone");
    assert!(eventually(WITHIN, || notes(&site.must(&["status"]))), "{}", site.story());
    let health = site.must(&["health"]);
    assert!(health.out.lines().any(|line| line.starts_with("keeper") && line.contains("degraded")), "{health:?}");
    let upgrade = site.prumo(&["upgrade"]);
    assert_eq!(upgrade.code, Some(6), "{upgrade:?}");
    assert!(upgrade.err.contains("its keeper has gone"), "{upgrade:?}");
    assert_eq!(site.log().matches("the keeper has gone").count(), 1, "{}", site.story());
    assert!(site.get("/whoami").is_ok_and(|answer| answer.status == 200), "it serves on");
}

/// Goal: Ctrl-C ends the waiting for a deploy and not the deploy, and says so; whoever comes meanwhile with another change is
/// told which one is under way and how it can be given up, which works.
#[test]
fn an_interrupted_deploy_goes_on() {
    let mut site = Site::new(&file("[ZOO] well", 1, ""));
    site.up();
    site.await_healthy("web");
    site.write("prumo.toml", &file("[ZOO] 500", 1, "").replace("start_within = \"60s\"", "start_within = \"10m\""));
    let mut deploy = site.spawn(&["deploy", "web"]);
    await_line(&mut deploy, "starting 1 replica").expect("the deploy is under way");
    process::signal(deploy.id(), Signal::INT);
    let left = finish(deploy, "", WITHIN);
    assert_eq!(left.code, Some(130), "{left:?}");
    assert_eq!(left.err.trim_end(), "the deploy goes on; `prumo status` shows it");
    let refused = site.prumo(&["maintenance", "on"]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.err.contains("a deploy of `web` is under way for "), "{refused:?}");
    assert!(refused.err.contains("`prumo stop web` gives it up"), "{refused:?}");
    site.must(&["stop", "web"]);
    site.must(&["maintenance", "on"]);
}
