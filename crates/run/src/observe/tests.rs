use super::*;
use crate::desired::tests::spec;

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn replica() -> Replica {
    Replica::new("api-1".to_owned(), 1, Version { deploy: 1, release: 1 }, at(0))
}

/// Goal: so many good checks in a row make a replica healthy, so many bad ones unhealthy, and back again.
#[test]
fn checks_in_a_row_decide() {
    let mut health = spec("api").health;
    (health.healthy, health.unhealthy) = (2, 3);
    let mut replica = replica();
    replica.started(at(1));
    let check = |replica: &mut Replica, checks: &[bool], expected: &str| {
        for good in checks {
            replica.probed(*good, &health, at(2));
        }
        let state = format!("{:?}", replica.state);
        assert!(state.starts_with(expected), "{state} after {checks:?}");
    };
    check(&mut replica, &[true, false, true], "Starting");
    check(&mut replica, &[true], "Healthy");
    check(&mut replica, &[false, false, true, false, false], "Healthy");
    check(&mut replica, &[false], "Unhealthy");
    check(&mut replica, &[true, false, true], "Unhealthy");
    check(&mut replica, &[true], "Healthy");
}

/// Goal: waits grow while a replica ends again and again, more ends than the rate are a crash loop, and a good while
/// makes it begin anew.
#[test]
fn ends_are_counted() {
    let restart = spec("api").restart;
    let mut replica = replica();
    let end = |replica: &mut Replica, second: u64| {
        replica.started(at(second));
        replica.ended(&restart, at(second), |wait| wait);
        match replica.state {
            State::Waiting { until } => (until - at(second)).as_millis(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([1, 2, 3].map(|second| end(&mut replica, second)), [100, 200, 400]);
    assert!(!replica.crash_looping);
    assert_eq!(end(&mut replica, 4), 2000, "a crash loop waits the longest");
    assert!(replica.crash_looping);

    replica.state = State::Healthy { since: at(100) };
    replica.ended(&restart, at(200), |wait| wait);
    assert!(!replica.crash_looping);
    assert_eq!(replica.state, State::Waiting { until: at(200) + Duration::from_millis(100) });
    assert_eq!(replica.ends, 5);
}

/// Goal: what ends on its way out is gone; what was only to be started again waits.
#[test]
fn an_end_that_was_asked_for() {
    let restart = spec("api").restart;
    let check = |prepare: &dyn Fn(&mut Replica), gone: bool| {
        let mut replica = replica();
        replica.started(at(1));
        prepare(&mut replica);
        replica.ended(&restart, at(2), |wait| wait);
        assert_eq!(replica.state == State::Gone, gone, "{replica:?}");
    };
    check(&|replica| replica.drain(at(1)), true);
    check(&|replica| replica.stop(false, at(1)), true);
    check(&|replica| replica.stop(true, at(1)), false);
    check(&|replica| (replica.stop(true, at(1)), replica.killed(at(1))).0, false);
    check(&|_| {}, false);
}
