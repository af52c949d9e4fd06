//! Apps that misbehave, disks that fill, files that turn to garbage: what prumo does while users keep asking.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "faults happen in real time, to real processes")]

use std::time::{Duration, Instant};

use prumo_tests::disk::{SmallDisk, folder_bytes};
use prumo_tests::load::{Failure, Load, Report, Running};
use prumo_tests::process::{self, Signal, eventually};
use prumo_tests::site::{Said, ServiceStatus, Site, checked_often, file};
use prumo_tests::web_socket::{Heard, WebSocket};
use prumo_tests::{ask, site};

/// How long what must happen may take.
const WITHIN: Duration = Duration::from_secs(60);

/// A second service beside `web`, which misbehaves while `web` must not notice.
fn neighbour(run: &str, more: &str) -> String {
    format!(
        "\n[service.beast]\nrun = \"{run}\"\nhealth = {{ path = \"/health\", every = \"20s\", timeout = \"20s\", start_within = \"60s\" }}\n{more}"
    )
}

/// Light load on a site: enough to meet every replica several times a second.
fn users_of(site: &Site) -> Running {
    let load = Load { get: "/whoami".to_owned(), ..Load::on(site.edge()) };
    let running = load.rate(60).start();
    assert!(running.sees(|seen| seen.ok > 0), "{:?}\n{}", running.so_far(), site.story());
    running
}

fn nobody_noticed(site: &Site, report: &Report) {
    assert!(report.is_clean() && report.ok > 0, "users noticed\n{report}\n{}", site.story());
}

/// Nobody noticed but who was being served by a replica in the moment of its end, by a request that may not be asked twice.
fn nobody_else_noticed(site: &Site, report: &Report, ended_after: Duration) {
    // It may be a while until the users hear of it.
    let until = ended_after + WITHIN;
    let was_being_served = |failure: &&Failure| failure.detail.starts_with("POST") && failure.at <= until;
    let being_served = report.failures.iter().filter(was_being_served).count() as u64;
    let others = report.failed_in_all() - being_served;
    assert!(others == 0 && report.sockets.cut == 0 && report.ok > 0, "users noticed\n{report}\n{}", site.story());
}

/// Puts another program in place of `web` and deploys it.
fn deploy(site: &Site, run: &str) -> Said {
    site.write("prumo.toml", &file(run, 3, ""));
    site.prumo(&["deploy", "web"])
}

/// Puts a release that cannot become healthy in place of `web` and deploys it. It has a while for at least one check.
fn deploy_bad(site: &Site, run: &str, check_within: &str) -> Said {
    let given = format!("every = \"{check_within}\", timeout = \"{check_within}\", start_within = \"8s\"");
    let usual = "every = \"20s\", timeout = \"20s\", start_within = \"60s\"";
    site.write("prumo.toml", &file(run, 3, "").replace(usual, &given));
    site.prumo(&["deploy", "web"])
}

fn expect_failed_release(site: &Site, said: &Said, serving: &ServiceStatus, why: &str) {
    let text = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, Some(4), "{text}\n{}", site.story());
    assert!(text.contains("release 1 still serves"), "{text}");
    assert!(text.contains(why), "the error should say {why:?}: {text}");
    assert_eq!(site.await_healthy("web").pids(), serving.pids(), "the old replicas are untouched");
}

/// Goal: a replica that is killed under load costs no request that may be asked twice, and no other but one that it was
/// just serving; and it comes back (LB-01, RUN-15).
#[test]
fn a_killed_replica_is_not_noticed() {
    let site = Site::serving("[ZOO] well", "");
    let before = site.await_healthy("web");
    let began = Instant::now();
    let users = users_of(&site);
    process::signal(before.pids()[0], Signal::KILL);
    let killed_after = began.elapsed();
    let restarts = |status: &ServiceStatus| status.replicas.iter().map(|replica| replica.restarts).sum::<u64>();
    let back = eventually(WITHIN, || site.status("web").is_some_and(|status| restarts(&status) > 0));
    assert!(back, "nobody starts it again\n{}", site.story());
    let after = site.await_healthy("web");
    std::thread::sleep(Duration::from_millis(500));
    nobody_else_noticed(&site, &users.stop(), killed_after);
    assert_eq!(restarts(&after), 1);
    assert_eq!(
        after.pids().iter().filter(|pid| before.pids().contains(pid)).count(),
        2,
        "the other two were left alone"
    );
}

/// Goal: a replica that hangs is taken out after its checks fail; only requests that it had already taken suffer.
#[test]
fn a_stopped_replica_is_taken_out() {
    let mut site = Site::new(&checked_often(&file("[ZOO] well", 3, "")));
    site.up();
    let victim = site.await_healthy("web").pids()[0];
    // From before the load begins, so that what is said to be later is later.
    let began = Instant::now();
    let load = Load { get: "/whoami".to_owned(), patience: Duration::from_secs(10), ..Load::on(site.edge()) };
    let users = load.rate(60).start();
    assert!(users.sees(|seen| seen.ok > 0), "{:?}\n{}", users.so_far(), site.story());
    process::signal(victim, Signal::STOP);
    let serves = |status: &ServiceStatus| {
        status.replicas.iter().any(|replica| replica.pid == Some(victim) && replica.state == "healthy")
    };
    // Three checks, each with a second for the answer and a second before the next.
    let out = eventually(WITHIN, || site.status("web").is_some_and(|status| !serves(&status)));
    assert!(out, "the hung replica still counts as healthy\n{}", site.story());
    // The cores of the edge have heard of it a moment later, unless the machine stands still.
    let out_after = began.elapsed() + Duration::from_secs(5);
    std::thread::sleep(Duration::from_secs(7));
    let report = users.stop();
    let sent_later = report.failures.iter().filter(|failure| failure.sent_after > out_after).count();
    assert_eq!(sent_later, 0, "requests failed that were sent after it was taken out\n{report}");
    assert!(report.failed_in_all() * 2 < report.sent, "its share is a third\n{report}");
    process::signal(victim, Signal::CONT);
    site.await_healthy("web");
}

/// Goal: a release that is slow to start is waited for, and one that is too slow is given up (DEP-05).
#[test]
fn slow_starts_are_waited_for_within_reason() {
    let site = Site::serving("[ZOO] well", "");
    let users = users_of(&site);
    let serving = site.await_healthy("web");
    let too_slow = deploy_bad(&site, "[ZOO] slow-start 600", "1s");
    expect_failed_release(&site, &too_slow, &serving, "within 8s");
    let slow = deploy(&site, "[ZOO] slow-start 2");
    assert_eq!(slow.code, Some(0), "{}{}", slow.out, slow.err);
    nobody_noticed(&site, &users.stop());
}

/// Goal: a replica that leaves with exit code 0 is started again like any other (RUN-15).
#[test]
fn a_replica_that_exits_0_comes_back() {
    let site = Site::serving("[ZOO] well", "");
    let before = site.await_healthy("web");
    let began = Instant::now();
    let users = users_of(&site);
    let leaver = before.replicas[0].address.unwrap();
    ask::post(leaver, "/leave", "").unwrap();
    let left_after = began.elapsed();
    assert!(eventually(WITHIN, || site.status("web").is_some_and(|status| status.pids() != before.pids())));
    let after = site.await_healthy("web");
    nobody_else_noticed(&site, &users.stop(), left_after);
    assert_eq!(after.replicas.iter().map(|replica| replica.restarts).sum::<u64>(), 1);
    assert!(site.must(&["status", "web"]).out.contains("last ended: "), "the status tells how it ended");
}

/// Goal: releases that exit, answer errors, hang or listen elsewhere never get traffic, and each error says why (DEP-05).
#[test]
fn bad_releases_never_get_traffic() {
    let site = Site::serving("[ZOO] well", "");
    let users = users_of(&site);
    let serving = site.await_healthy("web");
    // Where an answer is expected it may take its time: on a busy machine a late one would be told as none.
    for (run, check_within, why) in [
        ("[ZOO] exit 0", "1s", "exited with code 0"),
        ("[ZOO] exit 3", "1s", "exited with code 3"),
        ("[ZOO] 500", "8s", "500"),
        ("[ZOO] hang", "1s", "did not answer within"),
        ("[ZOO] wrong-port", "8s", "the process listens on"),
    ] {
        let said = deploy_bad(&site, run, check_within);
        expect_failed_release(&site, &said, &serving, why);
    }
    nobody_noticed(&site, &users.stop());
    let mut expected = serving.pids();
    expected.push(site.pid());
    expected.sort_unstable();
    let tidy = eventually(WITHIN, || {
        let mut pids: Vec<u32> = site.processes().iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids == expected
    });
    assert!(tidy, "failed releases left processes behind: {:#?}", site.processes());
}

/// Goal: a replica that prints 1 GB is neither slowed to death nor allowed to fill the disk or the memory.
#[test]
fn a_gigabyte_of_output_is_bounded() {
    let beast = neighbour("[ZOO] print 1000000000", "log_keep = \"2MB\"\n");
    let mut site = Site::new(&file("[ZOO] well", 3, &beast));
    site.up();
    site.await_healthy("web");
    let users = users_of(&site);
    // A gigabyte takes a busy machine its time. Asking costs some of that too, so it is done seldom.
    let printed = eventually(Duration::from_secs(600), || {
        std::thread::sleep(Duration::from_secs(1));
        // Its two threads may end their lines in either order.
        site.prumo(&["logs", "beast", "-n", "2"]).out.contains("printed 1000000000 bytes")
    });
    assert!(printed, "the last line never came\n{}", site.story());
    nobody_noticed(&site, &users.stop());
    let kept = folder_bytes(&site.state().join("logs"));
    assert!(kept < 16_000_000, "{kept} bytes of logs are kept where 2 MB were allowed for the one that prints");
    let memory = process::resident_bytes(site.pid());
    assert!(memory < 200_000_000, "prumo holds {memory} bytes");
}

/// Goal: children that a replica forked, with sessions of their own and deaf to SIGTERM, are gone with it.
#[test]
fn forked_children_go_with_their_replica() {
    let site = Site::serving("[ZOO] fork", "stop = { within = \"1s\" }\n");
    let children = || site.processes().iter().filter(|process| process.command.ends_with("zoo child")).count();
    assert!(eventually(WITHIN, || children() == 6), "two for each of three replicas: {:#?}", site.processes());
    let users = users_of(&site);
    site.must(&["restart", "web"]);
    assert!(eventually(WITHIN, || children() == 6), "the old children are gone: {:#?}", site.processes());
    nobody_noticed(&site, &users.stop());
    site.must(&["stop", "web"]);
    assert!(eventually(WITHIN, || site.processes().len() == 1), "only prumo is left: {:#?}", site.processes());
}

/// Goal: a replica that ignores SIGTERM holds up a deploy for no longer than it is given.
#[test]
fn deaf_replicas_are_killed_in_the_end() {
    let site = Site::serving("[ZOO] ignore-term", "stop = { within = \"1s\" }\n");
    let before = site.await_healthy("web");
    let users = users_of(&site);
    let began = Instant::now();
    site.must(&["restart", "web"]);
    let gone = eventually(WITHIN, || before.pids().iter().all(|pid| !process::lives(*pid)));
    assert!(gone, "old replicas still live after {:?}\n{}", began.elapsed(), site.story());
    nobody_noticed(&site, &users.stop());
}

/// Goal: an app that closes kept connections without a word costs no request that may be asked twice: the edge notices.
#[test]
fn early_hang_ups_are_not_noticed() {
    // A request that is on its way while the app hangs up cannot be saved by anybody, unless it may be asked twice.
    // How many meet it depends on the machine, so that what is asked again may be all.
    let site = Site::serving("[ZOO] hang-up 0", "traffic = { retry_budget = \"100%\" }\n");
    let users = users_of(&site);
    assert!(users.sees(|seen| seen.ok > 180), "{:?}\n{}", users.so_far(), site.story());
    let whenever = Duration::from_secs(3600);
    nobody_else_noticed(&site, &users.stop(), whenever);
}

/// Goal: a replica that eats more memory than it may is ended, its neighbours are not.
#[test]
fn memory_eaters_are_ended() {
    let mut site =
        Site::new(&file("[ZOO] well", 3, &neighbour("[ZOO] eat-memory 2000", "memory = \"128MB\"\nreplicas = 1\n")));
    site.up();
    site.await_healthy("web");
    let users = users_of(&site);
    let ended = eventually(WITHIN, || {
        site.status("beast").is_some_and(|status| status.replicas.iter().any(|replica| replica.restarts > 0))
    });
    assert!(ended, "it eats and eats: {:#?}\n{}", site.status("beast"), site.story());
    nobody_noticed(&site, &users.stop());
}

/// Goal: a service that turns unhealthy is told as such, and the others serve on (HEALTH-12).
#[test]
fn unhealthy_services_are_told() {
    let mut site = Site::new(&file("[ZOO] well", 3, &checked_often(&neighbour("[ZOO] unhealthy [SITE]/sick", ""))));
    site.up();
    site.await_healthy("web");
    site.await_healthy("beast");
    let users = users_of(&site);
    site.write("sick", "");
    let told = eventually(WITHIN, || site.prumo(&["health"]).code == Some(4));
    assert!(told, "health never says that beast is down\n{}", site.story());
    nobody_noticed(&site, &users.stop());
}

/// Goal: a full disk stops deploys with a clear error and nothing else, and deploys work again when there is space.
#[test]
fn a_full_disk_stops_deploys_only() {
    let mut site = Site::new(&file("[ZOO] well", 3, ""));
    let disk = SmallDisk::mount(&site.state(), 24);
    site.up();
    let before = site.await_healthy("web");
    let users = users_of(&site);
    disk.fill();
    let refused = site.prumo(&["deploy", "web"]);
    let text = format!("{}{}", refused.out, refused.err);
    assert_eq!(refused.code, Some(6), "{text}\n{}", site.story());
    assert!(text.contains("disk") || text.contains("space"), "the error should name the disk: {text}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.await_healthy("web").pids(), before.pids(), "the site serves as before");
    disk.make_room();
    let deployed = site.prumo(&["deploy", "web"]);
    assert_eq!(deployed.code, Some(0), "{}{}\n{}", deployed.out, deployed.err, site.story());
    nobody_noticed(&site, &users.stop());
    let verified = site.prumo(&["audit-log", "verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    site.stop();
}

/// Goal: a file that turns to garbage changes nothing that runs, through a reload, a kill and a restart.
#[test]
fn garbage_in_the_file_changes_nothing() {
    let mut site = Site::serving("[ZOO] well", "");
    let before = site.await_healthy("web");
    let users = users_of(&site);
    site.write("prumo.toml", "\u{0}\u{1}not a file for prumo [[[");
    process::signal(site.pid(), Signal::HUP);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.prumo(&["deploy"]).code, Some(3));
    nobody_noticed(&site, &users.stop());
    site.kill();
    site.up();
    assert_eq!(site.await_healthy("web").pids(), before.pids(), "replicas are adopted, not restarted");
    assert_eq!(site.get("/health").unwrap().status, 200);
    site.write("prumo.toml", &site::file("[ZOO] well", 3, ""));
    site.must(&["deploy", "web"]);
}

/// Goal: a second `prumo up` on one state folder refuses at once and disturbs nobody.
#[test]
fn a_second_prumo_refuses() {
    let site = Site::serving("[ZOO] well", "");
    let before = site.await_healthy("web");
    let users = users_of(&site);
    for _ in 0..5 {
        let second = site.prumo(&["up"]);
        assert_eq!(second.code, Some(6), "{}{}", second.out, second.err);
        assert!(second.err.contains(&site.pid().to_string()), "the error names the pid of the first: {}", second.err);
    }
    assert_eq!(site.await_healthy("web").pids(), before.pids());
    nobody_noticed(&site, &users.stop());
}

/// Goal: an orderly stop says goodbye to a web socket through its replica, which alone can do so (WS-01).
#[test]
fn a_stop_says_goodbye_to_web_sockets() {
    let mut site = Site::serving("[PRUMO] demo-app", "");
    site.await_healthy("web");
    let mut socket = WebSocket::open(site.edge());
    assert_eq!(site.stop(), Some(0), "{}", site.story());
    assert_eq!(socket.hear().unwrap(), Heard::Close(1001), "{}", site.story());
}

/// Goal: a replica that its probe finds well and people do not is left alone, and the status says so.
#[test]
fn the_status_tells_who_is_left_alone() {
    let text = r#"[edge]
address = "127.0.0.1"
http = [EDGE]
https = "off"
cores = 1

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.web]
run = "[ZOO] 500"
replicas = 2
traffic = { eject_for = "5m" }

[[route]]
to = "web"
"#;
    let mut site = Site::new(text);
    site.up();
    site.await_healthy("web");
    assert!(!site.must(&["status"]).out.contains("keeps failing"));
    let told = eventually(WITHIN, || {
        drop(site.get("/"));
        site.must(&["status"])
            .out
            .contains("keeps failing requests and gets none for now: `prumo explain service.traffic`")
    });
    assert!(told, "{}\n{}", site.must(&["status"]).out, site.story());
}
