use super::*;
use crate::status::{DeployStatus, ServiceState};

fn replica(name: &str, state: ReplicaState, since_ms: i64, last_check: Option<&str>) -> ReplicaStatus {
    ReplicaStatus {
        replica: name.to_owned(),
        release: 2,
        pid: Some(7),
        address: None,
        state,
        since_ms,
        restarts: 0,
        last_exit: None,
        last_check: last_check.map(str::to_owned),
        memory_bytes: None,
        cpu_ticks: None,
        limits: Vec::new(),
    }
}

fn service(replicas: Vec<ReplicaStatus>, deploy_since_ms: Option<i64>) -> ServiceStatus {
    let deploy = deploy_since_ms.map(|since_ms| DeployStatus {
        release: 2,
        kind: "deploy".to_owned(),
        step: "health".to_owned(),
        since_ms,
    });
    let healthy = replicas.iter().filter(|replica| replica.state == ReplicaState::Healthy).count();
    ServiceStatus {
        service: "web".to_owned(),
        state: ServiceState::Deploying,
        release: Some(1),
        previous: None,
        deploy,
        wanted: 2,
        healthy: u32::try_from(healthy).unwrap(),
        notes: Vec::new(),
        replicas,
    }
}

fn check(replicas: Vec<ReplicaStatus>, deploy_since_ms: Option<i64>, requests: u64, expected: Option<&str>) {
    let status = service(replicas, deploy_since_ms);
    let bounds = |_| Bounds {
        start_within: Duration::from_secs(30),
        drain: Duration::from_secs(60),
        stop: Duration::from_secs(10),
    };
    let said = in_words(&status, &bounds, 20_000, &|_| InFlight { requests, ..InFlight::default() });
    assert_eq!(said.as_deref(), expected, "{:?}", status.replicas);
}

/// Goal: who waits for a change is told for what, why it is not there yet, how long it has taken and how long it may.
#[test]
fn what_is_awaited_is_named() {
    use ReplicaState::{Draining, Healthy, Starting, Stopping};
    check(vec![], None, 0, None);
    check(vec![replica("web-1", Healthy, 0, None)], None, 3, None);
    check(
        vec![replica("web-1", Healthy, 0, None), replica("web-3", Starting, 18_000, Some("GET /health answered 500"))],
        Some(8_000),
        0,
        Some("waiting for web-3 to become healthy (GET /health answered 500), 12s of at most 30s"),
    );
    check(
        vec![replica("web-3", Starting, 18_500, None), replica("web-4", Starting, 19_000, None)],
        None,
        0,
        Some("waiting for web-3 and web-4 to become healthy, 1s of at most 30s"),
    );
    let crashing = ReplicaStatus {
        restarts: 3,
        last_exit: Some("exited with code 1".to_owned()),
        ..replica("web-3", ReplicaState::Backoff, 18_000, Some("nothing listens"))
    };
    check(vec![crashing], None, 0, Some("waiting for web-3 to become healthy (exited with code 1), 2s of at most 30s"));
    let old = |state| ["web-1", "web-2", "web-3", "web-4"].map(|name| replica(name, state, 5_000, None)).to_vec();
    check(old(Draining), None, 2, Some("waiting for 8 requests to web-1, web-2 and 2 more, 15s of at most 60s"));
    check(old(Draining)[..1].to_vec(), None, 1, Some("waiting for one request to web-1, 15s of at most 60s"));
    check(old(Draining)[..1].to_vec(), None, 0, Some("waiting for the last requests to web-1, 15s of at most 60s"));
    check(old(Stopping)[..2].to_vec(), None, 0, Some("waiting for web-1 and web-2 to stop, 15s of at most 10s"));
}

/// Goal: a service has so many replicas when so many are healthy and no other is left, and who waits hears of a change of
/// mind instead of waiting for what does not come.
#[test]
fn scaling_has_an_end() {
    use ReplicaState::{Draining, Healthy, Starting};
    let check = |replicas: &[(ReplicaState, Option<&str>)], deploys: bool, stopped, wanted, expected| {
        let named = |(number, (state, why)): (usize, &(ReplicaState, Option<&str>))| {
            replica(&format!("web-{number}"), *state, 0, *why)
        };
        let status = service(replicas.iter().enumerate().map(named).collect(), deploys.then_some(0));
        assert_eq!(scaled(&status, stopped, wanted), expected, "{replicas:?} {deploys} {stopped:?} {wanted}");
    };
    let not_yet =
        |healthy, why: &[&str]| Scaled::NotYet { healthy, why: why.iter().map(ToString::to_string).collect() };
    let healthy = (Healthy, None);
    check(&[healthy, healthy], false, Stopped::No, 2, Scaled::Reached);
    check(&[healthy, (Starting, None)], false, Stopped::No, 2, not_yet(1, &[]));
    check(&[healthy, (Starting, Some("refused"))], false, Stopped::No, 2, not_yet(1, &["web-1: refused"]));
    check(&[healthy, healthy, (Draining, None)], false, Stopped::No, 2, not_yet(2, &[]));
    check(&[healthy, healthy], true, Stopped::No, 2, not_yet(2, &[]));
    check(&[healthy, healthy], false, Stopped::No, 3, Scaled::Changed);
    check(&[healthy, healthy], true, Stopped::No, 3, not_yet(2, &[]));
    check(&[], false, Stopped::ByPerson, 2, Scaled::Stopped);
    check(&[], false, Stopped::NotInFile, 2, Scaled::Changed);
}
