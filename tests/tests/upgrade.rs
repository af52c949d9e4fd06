//! prumo is replaced by itself while it works, and by things that are no prumo; and it is killed while it is replaced.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    reason = "the killer chooses real moments in real time"
)]

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use prumo_tests::disk::SmallDisk;
use prumo_tests::process::{self, Signal, eventually};
use prumo_tests::seed::{Chance, seed};
use prumo_tests::site::{ServiceStatus, Site, file, finish};
use prumo_tests::upgrades::Upgrades;
use prumo_tests::web_socket::{Heard, WebSocket};

/// After a kill prumo answers again within this time; what it takes is told by `cargo xtask bench restarts`.
const BACK_WITHIN: Duration = Duration::from_secs(90);

fn kept(run: &str) -> (Site, ServiceStatus) {
    let mut site = Site::new(&file(run, 2, ""));
    site.keep();
    let status = site.await_healthy("web");
    (site, status)
}

/// What must be so whatever happened to an upgrade: one prumo runs the site, its replicas are those from before, none is
/// there twice, nothing else is left, and the edge answers.
fn is_whole(site: &Site, before: &ServiceStatus, what: &str) {
    let mut last = String::new();
    let whole = eventually(BACK_WITHIN, || {
        let Some(main) = site.main_pid() else {
            last = "prumo status does not answer".to_owned();
            return false;
        };
        let mut expected = before.pids();
        expected.extend([site.pid(), main]);
        expected.sort_unstable();
        let mut found: Vec<u32> = site.processes().iter().map(|process| process.pid).collect();
        found.sort_unstable();
        let status = site.status("web");
        let answers = site.get("/whoami").is_ok_and(|answer| answer.status == 200);
        last = format!("{expected:?} should run, and these do: {:#?}\n{status:?}", site.processes());
        found == expected
            && answers
            && status.is_some_and(|status| status.is_settled() && status.pids() == before.pids())
    });
    assert!(whole, "{what}: {last}\n{}", site.story());
}

/// Goal: five upgrades in a row under steady load with open web sockets fail no request, cut no socket and touch no replica.
#[test]
fn five_upgrades_lose_nothing() {
    let outcome = Upgrades { count: 5, replicas: 2, rate: 200, web_sockets: 20 }.run(|_| ());
    assert!(outcome.is_clean(), "{outcome}\n{}", outcome.story);
    assert!(outcome.report.sockets.messages >= 20, "the sockets were in use\n{outcome}");
    assert_eq!(outcome.report.sockets.moved, 0, "and none had to move\n{outcome}");
}

/// Goal: a successor that fails in any way changes nothing, and the command says why.
#[test]
fn failing_successors_change_nothing() {
    let (site, before) = kept("[ZOO] well");
    let main = site.main_pid();
    let script = |name: &str, text: &str| {
        site.write(name, text);
        std::fs::set_permissions(site.root().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("dies.sh", "#!/bin/sh\necho 'something is missing' >&2\nexit 3\n");
    script("sleeps.sh", "#!/bin/sh\nexec sleep 60\n");
    script("leaves.sh", "#!/bin/sh\nsleep 600\n");
    script("departs.sh", "#!/bin/sh\nsleep 600 &\nexit 3\n");
    script("killed.sh", "#!/bin/sh\nkill -9 $$\n");
    site.write("text", "no program");
    let check_code = |code: i32, arguments: &[&str], expected: &[&str]| {
        let said = site.prumo(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?} {said:?}");
        for text in expected {
            assert!(said.err.contains(text), "{text:?} is missing: {said:?}");
        }
        assert_eq!(site.main_pid(), main, "{arguments:?}");
        is_whole(&site, &before, &format!("{arguments:?}"));
    };
    let check = |arguments: &[&str], expected: &[&str]| check_code(1, arguments, expected);
    check(&["upgrade", "./nobody"], &["nothing has changed", "No such file"]);
    check(&["upgrade", "./text"], &["nothing has changed", "Permission denied"]);
    check(&["upgrade", "."], &["nothing has changed", "Permission denied"]);
    check(&["upgrade", "/bin/true"], &["nothing has changed", "ended before it was ready", "exit status: 0"]);
    check(&["upgrade", "./dies.sh"], &["nothing has changed", "exit status: 3", "something is missing"]);
    check(&["upgrade", "./killed.sh"], &["nothing has changed", "signal: 9"]);
    check(&["upgrade", "--within", "1", "./sleeps.sh"], &["nothing has changed", "not ready within 1s"]);
    check(&["upgrade", "--within", "1", "./leaves.sh"], &["nothing has changed", "not ready within 1s"]);
    check(&["upgrade", "./departs.sh"], &["nothing has changed", "exit status: 3"]);
    site.write("prumo.toml", "[service.web]\nrun = 7\n");
    check_code(3, &["upgrade"], &["nothing has changed", "`run`"]);
    site.write("prumo.toml", &file("[ZOO] well", 2, ""));
    site.must(&["upgrade"]);
    assert_ne!(site.main_pid(), main);
    is_whole(&site, &before, "and a good one works after all that");
}

/// Goal: a request that is on its way when prumo is replaced gets its answer, also when a deploy follows at once: its
/// replica is not stopped before.
#[test]
fn an_elder_keeps_its_replicas() {
    let mut site =
        Site::new(&file("[ZOO] wait-for [SITE]/answer", 1, "").replace("drain = \"10s\"", "drain = \"10m\""));
    site.keep();
    let before = site.await_healthy("web").pids();
    let edge = site.edge();
    let slow = std::thread::spawn(move || prumo_tests::ask::get(edge, "/whoami"));
    assert!(eventually(BACK_WITHIN, || site.root().join("answer.asked").exists()), "the request is on its way");
    site.must(&["upgrade"]);
    let deploy = site.spawn(&["deploy"]);
    let serves = |release| site.status("web").is_some_and(|status| status.release == Some(release));
    assert!(eventually(BACK_WITHIN, || serves(2)), "{}", site.story());
    assert!(before.iter().all(|pid| process::lives(*pid)), "its replica waits for it\n{}", site.story());
    site.write("answer", "");
    let deployed = finish(deploy, "", BACK_WITHIN);
    assert_eq!(deployed.code, Some(0), "{deployed:?}\n{}", site.story());
    let answer = slow.join().unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", site.story());
    assert!(answer.body.contains("\"release\":\"1\""), "the replica before answered it: {}", answer.body);
}

/// Goal: after kill -9 a kept prumo is started again; whoever connects meanwhile waits and is answered, replicas are
/// those from before, and the keeper ends with it in order.
#[test]
fn a_kept_prumo_comes_back() {
    let (mut site, before) = kept("[ZOO] well");
    for _ in 0..3 {
        let main = site.main_pid().unwrap();
        assert_ne!(main, site.pid());
        process::signal(main, Signal::KILL);
        assert!(eventually(BACK_WITHIN, || !process::lives(main)));
        assert!(TcpStream::connect(site.edge()).is_ok(), "nobody is refused while prumo is dead");
        let answer = site.get("/whoami");
        assert!(answer.is_ok_and(|answer| answer.status == 200), "{}", site.story());
        is_whole(&site, &before, "after kill -9");
        assert_ne!(site.main_pid(), Some(main));
    }
    assert_eq!(site.stop(), Some(0));
}

/// Goal: the keeper ends with the exit code of a prumo that cannot start, and does not try again.
#[test]
fn a_keeper_does_not_insist() {
    let site = Site::new("[service.web]\nrun = 7\n");
    let said = site.prumo(&["up", "--keep"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("`run`"), "{said:?}");
}

/// Goal: whoever is killed at whatever moment of an upgrade, one prumo runs the site afterwards, and its replicas are
/// those from before.
#[test]
fn kills_during_upgrades() {
    let seed = seed();
    println!("seed {seed}: PRUMO_TEST_SEED={seed} repeats the moments of this run");
    let mut chance = Chance::of(seed);
    let (site, before) = kept("[ZOO] well");
    for number in 0..12 {
        let main = site.main_pid().expect("prumo runs");
        let upgrade = site.spawn(&["upgrade"]);
        std::thread::sleep(chance.duration_below(Duration::from_millis(600)));
        let kills_successor = number % 2 == 1;
        let others = site.processes().into_iter().filter(|process| process.command.contains("--inherit"));
        let victim =
            if kills_successor { others.map(|process| process.pid).find(|pid| *pid != main) } else { Some(main) };
        if let Some(victim) = victim {
            process::signal(victim, Signal::KILL);
        }
        let said = finish(upgrade, "", Duration::from_secs(180));
        is_whole(&site, &before, &format!("kill {number} (seed {seed}) of {victim:?}, main was {main}; {said:?}"));
    }
}

/// Goal: who asks prumo to stop while a successor gets ready is heard: the successor is given up and everything stops.
#[test]
fn a_stop_is_heard_before_the_successor_is_ready() {
    let (mut site, _) = kept("[ZOO] well");
    site.write("sleeps.sh", "#!/bin/sh\nexec sleep 600\n");
    std::fs::set_permissions(site.root().join("sleeps.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let upgrade = site.spawn(&["upgrade", "--within", "600", "./sleeps.sh"]);
    let sleeps = || site.processes().iter().any(|process| process.command == "sleep 600");
    assert!(eventually(BACK_WITHIN, sleeps), "the successor has begun\n{}", site.story());
    assert_eq!(site.stop(), Some(0), "{}", site.story());
    assert_ne!(finish(upgrade, "", BACK_WITHIN).code, Some(0));
}

/// Goal: at whatever moment of an upgrade somebody asks prumo to stop, everything stops in order.
#[test]
fn a_stop_is_heard_at_any_moment() {
    let seed = seed();
    println!("seed {seed}: PRUMO_TEST_SEED={seed} repeats the moments of this run");
    let mut chance = Chance::of(seed);
    let (mut site, _) = kept("[ZOO] well");
    for number in 0..6 {
        let upgrade = site.spawn(&["upgrade"]);
        std::thread::sleep(chance.duration_below(Duration::from_millis(600)));
        assert_eq!(site.stop(), Some(0), "stop {number} (seed {seed})\n{}", site.story());
        let alone = eventually(BACK_WITHIN, || site.processes().iter().all(|process| process.pid == upgrade.id()));
        assert!(alone, "stop {number} (seed {seed}): {:#?}\n{}", site.processes(), site.story());
        finish(upgrade, "", BACK_WITHIN);
        site.keep();
        site.await_healthy("web");
    }
}

/// A kept site with web sockets.
fn kept_demo(more: &str) -> (Site, ServiceStatus) {
    let text = file("[PRUMO] demo-app", 2, "").replace("https = \"off\"\n", &format!("https = \"off\"\n{more}"));
    let mut site = Site::new(&text);
    site.keep();
    let status = site.await_healthy("web");
    (site, status)
}

/// Goal: a web socket in an elder goes on until the deadline and not less, and is told then that it may come again (1001);
/// so is one that is idle.
#[test]
fn web_sockets_end_at_the_deadline() {
    let (site, before) = kept_demo("upgrade_deadline = \"3s\"\n");
    let elder = site.main_pid().unwrap();
    let (mut busy, mut idle) = (WebSocket::open(site.edge()), WebSocket::open(site.edge()));
    assert!(busy.echoes("before"));
    let began = Instant::now();
    site.must(&["upgrade"]);
    let mut said = 0;
    let ending = loop {
        if busy.say("still here").is_err() {
            break busy.hear();
        }
        match busy.hear() {
            Ok(Heard::Text(_)) => said += 1,
            other => break other,
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}, before the deadline", began.elapsed());
    assert_eq!(ending.unwrap(), Heard::Close(1001), "after {said} messages\n{}", site.story());
    assert_eq!(idle.hear().unwrap(), Heard::Close(1001), "{}", site.story());
    // A client that answers ends it; one that does not is not waited for.
    idle.close(1001).unwrap();
    assert!(eventually(BACK_WITHIN, || !process::lives(elder)), "{}", site.story());
    assert!(WebSocket::open(site.edge()).echoes("again"), "it meets the successor");
    is_whole(&site, &before, "after the deadline");
}

/// Goal: a web socket in the first of a chain of elders goes on through upgrades that follow, and the elder ends with it; the
/// replicas live through all of it.
#[test]
fn elders_stand_in_a_row() {
    let (site, before) = kept_demo("");
    let mut elders = Vec::new();
    let mut sockets = Vec::new();
    for number in 0..3 {
        elders.push(site.main_pid().unwrap());
        sockets.push(WebSocket::open(site.edge()));
        site.must(&["upgrade"]);
        for socket in &mut sockets {
            assert!(socket.echoes("hello"), "after upgrade {number}\n{}", site.story());
        }
    }
    assert!(elders.iter().all(|elder| process::lives(*elder)), "each has a web socket: {elders:?}");
    let mut first = sockets.remove(0);
    first.close(1000).unwrap();
    assert_eq!(first.hear().unwrap(), Heard::Close(1000));
    drop(first);
    assert!(eventually(BACK_WITHIN, || !process::lives(elders[0])), "the first ends alone\n{}", site.story());
    for socket in &mut sockets {
        assert!(socket.echoes("still here"), "{}", site.story());
    }
    drop(sockets);
    is_whole(&site, &before, "when all elders have ended");
}

/// Goal: an elder that is killed takes its own web sockets with it and nothing else.
#[test]
fn a_killed_elder_is_not_missed() {
    let (site, before) = kept_demo("");
    let elder = site.main_pid().unwrap();
    let mut lost = WebSocket::open(site.edge());
    site.must(&["upgrade"]);
    let mut kept = WebSocket::open(site.edge());
    process::signal(elder, Signal::KILL);
    assert!(lost.hear().is_err(), "it ends with its elder");
    assert!(kept.echoes("still here"), "{}", site.story());
    is_whole(&site, &before, "after an elder was killed");
    site.must(&["deploy"]);
    assert!(site.get("/whoami").is_ok_and(|answer| answer.status == 200), "a dead elder holds up no deploy");
}

/// Goal: on a full disk an upgrade is refused with the reason before anything has changed, the site serves on, and with
/// room it works.
#[test]
fn upgrades_survive_a_full_disk() {
    let mut site = Site::new(&file("[ZOO] well", 2, ""));
    let disk = SmallDisk::mount(&site.state(), 24);
    site.keep();
    let before = site.await_healthy("web");
    let main = site.main_pid();
    disk.fill();
    let said = site.prumo(&["upgrade"]);
    assert_eq!(said.code, Some(6), "{said:?}\n{}", site.story());
    assert!(said.err.contains("is full") && said.err.contains("make space"), "{said:?}");
    assert_eq!(site.main_pid(), main, "{said:?}");
    is_whole(&site, &before, "on a full disk");
    disk.make_room();
    site.must(&["upgrade"]);
    assert_ne!(site.main_pid(), main);
    is_whole(&site, &before, "with room again");
    site.stop();
}
