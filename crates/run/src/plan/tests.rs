mod world;

use std::sync::Arc;

use super::*;
use crate::desired::tests::spec;

const NOW: Moment = Moment::from_nanos(1_000_000_000_000);
const OLD: Version = Version { deploy: 1, release: 1 };
const NEW: Version = Version { deploy: 2, release: 2 };

fn ago(seconds: u64) -> Moment {
    NOW - Duration::from_secs(seconds)
}

/// A service with two replicas wanted, release 1 serving.
fn wanted() -> Wanted {
    let specs = [(1, Arc::new(spec("api"))), (2, Arc::new(spec("api")))].into();
    Wanted { serving: Some(OLD), replicas: 2, specs, ..Wanted::default() }
}

fn deploying(give_up_at: Moment) -> Wanted {
    Wanted { candidate: Some(Candidate { version: NEW, replicas: 2, give_up_at }), ..wanted() }
}

/// Replica `number`: 1 to 9 are of the old version, 11 to 19 of the new one.
fn replica(number: u64, state: State) -> Replica {
    let version = if number < 10 { OLD } else { NEW };
    Replica { state, bad: 0, ..Replica::new(number.to_string(), number, version, NOW) }
}

fn healthy(number: u64) -> Replica {
    replica(number, State::Healthy { since: ago(100) })
}

fn starting(number: u64, seconds: u64) -> Replica {
    replica(number, State::Starting { since: ago(seconds) })
}

fn waiting(number: u64, seconds: u64) -> Replica {
    replica(number, State::Waiting { until: NOW + Duration::from_secs(seconds) })
}

fn hung(number: u64, seconds: u64) -> Replica {
    Replica { bad: 99, ..replica(number, State::Unhealthy { since: ago(seconds) }) }
}

fn draining(number: u64, seconds: u64, quiet: bool) -> Replica {
    replica(number, State::Draining { since: ago(seconds), quiet })
}

fn stopping(number: u64, seconds: u64) -> Replica {
    replica(number, State::Stopping { since: ago(seconds), killed: None, again: false })
}

/// Plans with these replicas published and compares, one word an action.
fn check(wanted: Wanted, replicas: Vec<Replica>, published: &[u64], expected: &str) {
    check_site(
        &Desired { services: [("api".to_owned(), wanted)].into(), halt_by: None },
        replicas,
        published,
        expected,
    );
}

fn check_site(desired: &Desired, replicas: Vec<Replica>, published: &[u64], expected: &str) {
    let ids = published.iter().map(u64::to_string).collect();
    let observed =
        Observed { services: [("api".to_owned(), replicas)].into(), published: [("api".to_owned(), ids)].into() };
    let actions: Vec<String> = plan(desired, &observed, NOW).iter().map(word).collect();
    assert_eq!(actions.join(" "), expected);
}

fn word(action: &Action) -> String {
    match action {
        Action::Create { version, .. } => format!("create:{}", version.release),
        Action::Start(id) => format!("start:{}", id.replica),
        Action::Drain(id) => format!("drain:{}", id.replica),
        Action::Stop { replica, again } => format!("{}:{}", if *again { "restart" } else { "stop" }, replica.replica),
        Action::Kill(id) => format!("kill:{}", id.replica),
        Action::Forget(id) => format!("forget:{}", id.replica),
        Action::Shift { .. } => "shift".to_owned(),
        Action::Abandon { because: Because::Late { .. }, .. } => "abandon:late".to_owned(),
        Action::Abandon { because: Because::Ended { .. }, .. } => "abandon:ended".to_owned(),
        Action::Finish { .. } => "finish".to_owned(),
        Action::Publish(published) => {
            let ids: Vec<&str> = published["api"].iter().map(String::as_str).collect();
            format!("publish:{}", ids.join(","))
        }
    }
}

/// Goal: the number of replicas is held, and what is as it should be is left alone.
#[test]
fn the_number_is_held() {
    check(wanted(), vec![healthy(1), healthy(2)], &[1, 2], "");
    check(wanted(), vec![], &[], "create:1 create:1");
    check(wanted(), vec![waiting(1, 0), waiting(2, 5)], &[], "start:1");
    check(wanted(), vec![healthy(1), starting(2, 3)], &[1], "");
    check(wanted(), vec![healthy(1), healthy(2), healthy(3)], &[1, 2, 3], "drain:3 publish:1,2");
    check(wanted(), vec![healthy(1), starting(2, 1), healthy(3)], &[1, 3], "stop:2");
    check(wanted(), vec![healthy(1), healthy(2), waiting(3, 5)], &[1, 2], "forget:3");
}

/// Goal: only healthy replicas are published, and unhealthy ones only when there is nothing better.
#[test]
fn what_is_published() {
    check(wanted(), vec![healthy(1), healthy(2)], &[], "publish:1,2");
    let unhealthy = |number| replica(number, State::Unhealthy { since: ago(1) });
    check(wanted(), vec![healthy(1), unhealthy(2)], &[1, 2], "publish:1");
    check(wanted(), vec![unhealthy(1), unhealthy(2)], &[2], "publish:1,2");
    check(wanted(), vec![waiting(1, 5), starting(2, 1)], &[1], "publish:");
}

/// Goal: a hung replica gets a replacement first and leaves when that is healthy, or when waiting for it is in vain.
#[test]
fn the_hung_are_replaced() {
    check(wanted(), vec![healthy(1), hung(2, 3)], &[1], "create:1");
    check(wanted(), vec![healthy(1), hung(2, 3), starting(3, 1)], &[1], "");
    check(wanted(), vec![healthy(1), hung(2, 3), healthy(3)], &[1, 3], "drain:2");
    check(wanted(), vec![hung(1, 3), hung(2, 3)], &[1, 2], "create:1");
    check(wanted(), vec![hung(1, 99), hung(2, 3), starting(3, 1)], &[1, 2], "drain:1 publish:2");
}

/// Goal: a replica that never becomes healthy is started again; one that is wanted no more is not.
#[test]
fn the_late_are_started_again() {
    check(wanted(), vec![healthy(1), starting(2, 10)], &[1], "restart:2");
    let again = replica(2, State::Stopping { since: ago(1), killed: None, again: true });
    check(wanted(), vec![healthy(1), again.clone()], &[1], "");
    check(Wanted { stopped: true, ..wanted() }, vec![again], &[], "stop:2");
}

/// Goal: a deploy starts beside what serves, shifts when all of the new are healthy, and then lets the old ones go.
#[test]
fn a_deploy_goes_its_way() {
    let later = NOW + Duration::from_secs(5);
    let old = [healthy(1), healthy(2)];
    let with = |new: Vec<Replica>| old.iter().cloned().chain(new).collect::<Vec<Replica>>();
    check(deploying(later), with(vec![]), &[1, 2], "create:2 create:2");
    check(deploying(later), with(vec![waiting(11, 0), waiting(12, 0)]), &[1, 2], "start:11 start:12");
    check(deploying(later), with(vec![healthy(11), starting(12, 1)]), &[1, 2], "");
    check(deploying(later), with(vec![healthy(11), healthy(12)]), &[1, 2], "shift");
    let shifted = Wanted { serving: Some(NEW), finishing: Some(NEW), ..wanted() };
    check(shifted.clone(), with(vec![healthy(11), healthy(12)]), &[1, 2], "drain:1 drain:2 publish:11,12");
    let left = |one: Replica, two: Replica| vec![one, two, healthy(11), healthy(12)];
    check(shifted.clone(), left(draining(1, 1, true), draining(2, 1, false)), &[11, 12], "stop:1");
    check(shifted.clone(), left(draining(1, 1, true), draining(2, 20, false)), &[11, 12], "stop:1 stop:2");
    check(shifted.clone(), left(stopping(1, 1), stopping(2, 5)), &[11, 12], "kill:2");
    check(shifted.clone(), left(replica(1, State::Gone), stopping(2, 1)), &[11, 12], "forget:1");
    check(shifted, vec![healthy(11), healthy(12)], &[11, 12], "finish");
}

/// Goal: nothing that is published is asked to stop, whatever else is due.
#[test]
fn the_published_are_not_stopped() {
    check(wanted(), vec![healthy(1), healthy(2), draining(3, 99, true)], &[1, 2, 3], "publish:1,2");
}

/// Goal: a candidate that is late or ends again and again is given up, and what serves is not touched.
#[test]
fn a_bad_candidate_is_given_up() {
    let old = [healthy(1), healthy(2)];
    let with = |new: Vec<Replica>| old.iter().cloned().chain(new).collect::<Vec<Replica>>();
    check(deploying(NOW), with(vec![starting(11, 9), healthy(12)]), &[1, 2], "abandon:late");
    let ended = |ends| Replica { ends, ..waiting(11, 5) };
    let later = NOW + Duration::from_secs(5);
    check(deploying(later), with(vec![ended(2), healthy(12)]), &[1, 2], "");
    check(deploying(later), with(vec![ended(3), healthy(12)]), &[1, 2], "abandon:ended");
    check(wanted(), with(vec![ended(3), healthy(12)]), &[1, 2], "forget:11 drain:12");
}

/// Goal: stopping drains what serves; halting does the same and kills at the deadline.
#[test]
fn the_end_of_everything() {
    let stopped = Wanted { stopped: true, ..wanted() };
    check(stopped.clone(), vec![healthy(1), starting(2, 1)], &[1], "drain:1 stop:2 publish:");
    check(stopped, vec![], &[], "");
    let halted = |halt_by| Desired { services: [("api".to_owned(), wanted())].into(), halt_by: Some(halt_by) };
    let later = NOW + Duration::from_secs(5);
    check_site(&halted(later), vec![healthy(1), draining(2, 1, false)], &[1], "drain:1 publish:");
    check_site(&halted(NOW), vec![stopping(1, 1), draining(2, 1, false)], &[], "kill:1 stop:2");
}

/// Goal: a deploy of a stopped service brings up the new release only.
#[test]
fn a_stopped_service_is_deployed() {
    let later = NOW + Duration::from_secs(5);
    let stopped = Wanted { stopped: true, ..deploying(later) };
    check(stopped.clone(), vec![], &[], "create:2 create:2");
    check(stopped, vec![healthy(11), healthy(12)], &[], "shift");
}

/// Goal: from any state that random events, deploys and crashes lead to, the plan reaches exactly one release with
/// every replica, and never takes a healthy replica from the serving release on the way.
#[test]
fn every_history_converges() {
    for seed in 0..400 {
        world::World::new(seed).live();
    }
}
