//! prumo is killed with -9 at random points of a deploy, again and again, and always finds its way back (DEP-06).
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    reason = "the killer chooses real moments in real time"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use prumo_tests::ask;
use prumo_tests::process::{self, eventually};
use prumo_tests::seed::{Chance, seed};
use prumo_tests::site::{Said, ServiceStatus, Site, file, finish};

/// Kills in all, and sites on which they happen side by side.
const KILLS: u32 = 200;
const WORKERS: u32 = 2;

/// The steps before users meet the new release, and those after: each group is met by at least this many kills.
const BEFORE_THE_SHIFT: [&str; 2] = ["start", "health"];
const FROM_THE_SHIFT_ON: [&str; 3] = ["shift", "drain", "stop"];
const KILLS_IN_EACH_GROUP: u32 = 10;

/// After a restart the edge answers within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// After a restart every replica runs with what the file says within this time.
const TRUE_WITHIN: Duration = Duration::from_secs(90);

/// A command whose prumo was killed ends within this time.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Goal: after each of 200 kills, and of some more while it recovers, exactly the old or the new release serves on all
/// replicas, and the new one where the file had changed; nothing is left over, nothing is stuck, no replica was
/// restarted that did not have to be, and the replicas answer while prumo is dead.
#[test]
fn two_hundred_kills_during_deploys() {
    let seed = seed();
    println!("seed {seed}: PRUMO_TEST_SEED={seed} repeats the moments of this run");
    let mut points = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || Victim::start(seed, worker).suffer(KILLS / WORKERS)))
            .collect();
        for worker in workers {
            let ended = worker.join();
            for (point, count) in ended.unwrap_or_else(|_| panic!("seed {seed} finds a fault; it is told above")) {
                *points.entry(point).or_insert(0) += count;
            }
        }
    });
    println!("kills by the last step that the deploy had told: {points:#?}");
    for group in [&BEFORE_THE_SHIFT[..], &FROM_THE_SHIFT_ON[..]] {
        let met: u32 = group.iter().filter_map(|step| points.get(*step)).sum();
        assert!(met >= KILLS_IN_EACH_GROUP, "only {met} kills met the steps {group:?}: {points:?}");
    }
}

/// Kills by the last step that the deploy had told.
type Points = BTreeMap<String, u32>;

/// The file of a kill. Every second kill leaves it as it was: a restart then ends a deploy either way. The others change
/// it: a restart then has to make the file true, whatever became of the deploy.
fn turn_of(kill: u32) -> u32 {
    kill / 2 + 1
}

/// The file of a turn.
fn file_of_turn(turn: u32) -> String {
    file("[ZOO] well", 2, &format!("restart = {{ backoff = \"50ms\" }}\nenvironment = {{ TURN = \"{turn}\" }}\n"))
}

/// A site that is killed again and again.
struct Victim {
    site: Site,
    chance: Chance,
    seed: u64,
    /// How long a deploy takes here.
    deploy_takes: Duration,
    /// The highest number of a release that was told or served so far.
    newest: u64,
}

impl Victim {
    fn start(seed: u64, worker: u32) -> Victim {
        let mut site = Site::new(&file_of_turn(0));
        site.up();
        site.await_healthy("web");
        let began = Instant::now();
        for _ in 0..2 {
            site.must(&["deploy", "web"]);
        }
        let chance = Chance::of(seed + u64::from(worker));
        Victim { site, chance, seed, deploy_takes: began.elapsed() / 2, newest: 3 }
    }

    fn suffer(mut self, kills: u32) -> Points {
        let mut points = Points::new();
        for number in 0..kills {
            let before = self.site.await_healthy("web");
            self.site.write("prumo.toml", &file_of_turn(turn_of(number)));
            let said = match number % 8 {
                3 => self.kill_at("start"),
                6 => self.kill_at("shift"),
                _ => self.kill_during_deploy(),
            };
            *points.entry(last_step(&said)).or_insert(0) += 1;
            Kill { site: &self.site, seed: self.seed, number, said: &said }.replicas_serve_without_prumo(&before);
            if number % 5 == 4 {
                self.kill_during_recovery();
            }
            self.site.up();
            let kill = Kill { site: &self.site, seed: self.seed, number, said: &said };
            kill.edge_is_back();
            let after = kill.file_is_true();
            kill.old_or_new_serves(&before, &after, self.newest);
            kill.nothing_was_restarted(&before, &after);
            kill.nothing_is_left_over(&after);
            if number % 10 == 9 {
                self.deploy_takes = kill.next_deploy_works();
            }
            let numbers = told_releases(&said).into_iter().chain(after.release);
            self.newest = numbers.chain([self.newest]).max().unwrap_or(0);
        }
        assert_eq!(self.site.stop(), Some(0), "after all that, prumo still stops in order");
        points
    }

    /// Kills prumo again while it finds its way back, somewhere in its first moments.
    fn kill_during_recovery(&mut self) {
        self.site.start();
        std::thread::sleep(self.chance.duration_below(Duration::from_millis(150)));
        self.site.kill();
    }

    /// Starts a deploy and kills prumo somewhere between its first and its last moment.
    fn kill_during_deploy(&mut self) -> Said {
        let deploy = self.site.spawn(&["deploy", "web", "--json"]);
        let moment = self.chance.duration_below(self.deploy_takes);
        std::thread::sleep(moment);
        self.site.kill();
        finish(deploy, "", COMMAND_WITHIN)
    }

    /// Starts a deploy and kills prumo a moment after it has told this step, so that each part of a deploy is met however
    /// its time is split on this machine.
    fn kill_at(&mut self, step: &str) -> Said {
        let mut deploy = self.site.spawn(&["deploy", "web", "--json"]);
        let mut told = BufReader::new(deploy.stdout.take().expect("its output is a pipe"));
        let (mut out, wanted) = (String::new(), format!("\"step\":\"{step}\""));
        while !out.contains(&wanted) && told.read_line(&mut out).expect("prumo prints text") > 0 {}
        std::thread::sleep(self.chance.duration_below(Duration::from_millis(20)));
        self.site.kill();
        told.read_to_string(&mut out).expect("prumo prints text");
        let said = finish(deploy, "", COMMAND_WITHIN);
        Said { out, ..said }
    }
}

/// One kill, after prumo is up again.
struct Kill<'a> {
    site: &'a Site,
    seed: u64,
    number: u32,
    /// What the interrupted deploy said.
    said: &'a Said,
}

impl Kill<'_> {
    /// Until the ledger says that users meet the new release, nobody has told the replicas of the old one to leave. The
    /// ledger is asked and not the deploy: what that had still to say died with prumo.
    fn replicas_serve_without_prumo(&self, before: &ServiceStatus) {
        if self.site.serving_release("web") != before.release {
            return;
        }
        let addresses: Vec<SocketAddr> = before.replicas.iter().filter_map(|replica| replica.address).collect();
        self.check(
            addresses.len() as u64 == before.wanted,
            &format!("the addresses of all replicas are known: {before:?}"),
        );
        for address in addresses {
            let answer =
                ask::get(address, "/health").map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
            self.check(answer == "200", &format!("prumo is dead, and its replica on {address} says: {answer}"));
        }
    }

    fn edge_is_back(&self) {
        let answers = || self.site.get("/health").is_ok_and(|answer| answer.status == 200);
        self.check(eventually(BACK_WITHIN, answers), "the edge does not answer after the restart");
    }

    /// Waits until all replicas are healthy and run with what the file says.
    fn file_is_true(&self) -> ServiceStatus {
        let turn = turn_of(self.number).to_string();
        let mut last = None;
        let is_true = eventually(TRUE_WITHIN, || {
            last = self.site.status("web");
            let follows = |pid: &u32| process::variable(*pid, "TURN").as_ref() == Some(&turn);
            last.as_ref().is_some_and(|status| status.is_settled() && status.pids().iter().all(follows))
        });
        self.check(is_true, &format!("turn {turn} of the file should serve: {last:?}"));
        last.expect("it is true of a status")
    }

    /// A deploy that was given up keeps its number, so the new release may be more than one further than the old.
    fn old_or_new_serves(&self, before: &ServiceStatus, after: &ServiceStatus, newest: u64) {
        let (old, new) = (before.release.unwrap_or(0), after.release.unwrap_or(0));
        let told = told_releases(self.said);
        // Where the file had changed, a release of the restart may follow one that was given up.
        let changed = self.number == 0 || turn_of(self.number) != turn_of(self.number - 1);
        let is_told = |release: &u64| *release == new || changed && *release < new;
        let is_new = new > newest && told.iter().all(is_told);
        self.check(new == old || is_new, &format!("release {old} became {new}, and the deploy told of {told:?}"));
        self.check(self.said.code != Some(0) || is_new, "the deploy said that it was done, and the old release serves");
        for _ in 0..4 {
            let answer = self.site.get("/whoami").map_or_else(|error| error.to_string(), |answer| answer.body);
            let right = answer.contains(&format!("\"release\":\"{new}\""));
            self.check(right, &format!("release {new} should answer, and the answer is {answer}"));
        }
    }

    fn nothing_was_restarted(&self, before: &ServiceStatus, after: &ServiceStatus) {
        let same = before.release != after.release || before.pids() == after.pids();
        self.check(same, &format!("replicas of the old release were replaced: {before:?} {after:?}"));
        let restarted = after.replicas.iter().any(|replica| replica.restarts > 0);
        self.check(!restarted, &format!("a replica was restarted: {after:?}"));
    }

    /// Exactly prumo and its replicas run.
    fn nothing_is_left_over(&self, after: &ServiceStatus) {
        let mut expected = after.pids();
        expected.push(self.site.pid());
        expected.sort_unstable();
        let exact = eventually(BACK_WITHIN, || {
            let mut found: Vec<u32> = self.site.processes().iter().map(|process| process.pid).collect();
            found.sort_unstable();
            found == expected
        });
        self.check(exact, &format!("{expected:?} should run, and these do: {:#?}", self.site.processes()));
    }

    /// Says how long it took.
    fn next_deploy_works(&self) -> Duration {
        let began = Instant::now();
        let next = self.site.prumo(&["deploy", "web"]);
        self.check(next.code == Some(0), &format!("the next deploy does not succeed: {}{}", next.out, next.err));
        began.elapsed()
    }

    fn check(&self, holds: bool, what: &str) {
        let Kill { site, seed, number, said } = self;
        if !holds {
            panic!("kill {number} (seed {seed}): {what}\nthe deploy said:\n{}{}\n{}", said.out, said.err, site.story());
        }
    }
}

/// The last step that a deploy told.
fn last_step(said: &Said) -> String {
    let mut steps = events(said).into_iter().filter_map(|event| event["step"].as_str().map(str::to_owned));
    steps.next_back().unwrap_or_else(|| "nothing yet".to_owned())
}

/// The release that a deploy told of; empty when it was killed before.
fn told_releases(said: &Said) -> Vec<u64> {
    events(said).iter().filter_map(|event| event["release"].as_u64()).collect()
}

fn events(said: &Said) -> Vec<serde_json::Value> {
    said.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
