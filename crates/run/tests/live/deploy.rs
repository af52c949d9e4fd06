//! Deploys, good and bad.

use std::time::Duration;

use prumo_run::*;
use tokio::sync::mpsc;

use crate::site::{Folder, good, service};

/// Goal: a first deploy starts every replica, sees it healthy and publishes it; a clean end leaves nothing behind.
#[tokio::test]
async fn a_first_deploy_serves() {
    let folder = Folder::new();
    let site = folder.start().await;
    let deployed = site.deploy(good("api")).await.unwrap();
    assert_eq!((deployed.release, deployed.before, deployed.replicas), (1, None, 2));
    let status = site.service("api").unwrap();
    assert_eq!((status.state, status.healthy, status.wanted), (ServiceState::Serving, 2, 2));
    assert_eq!(site.endpoints("api").len(), 2);
    let state = site.state.clone();
    site.end().await;
    assert_eq!(crate::site::processes_of(&state), Vec::<u32>::new());
}

/// Goal: a second release takes over without a moment of fewer endpoints, and its replicas are new ones.
#[tokio::test]
async fn a_deploy_replaces_every_replica() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let before = site.pids("api");
    site.edge.lock().unwrap().fewest.clear();
    let deployed = site.deploy(good("api")).await.unwrap();
    assert_eq!((deployed.release, deployed.before), (2, Some(1)));
    assert_eq!(site.edge.lock().unwrap().fewest["api"], 2);
    assert!(site.pids("api").iter().all(|pid| !before.contains(pid)));
    assert!(before.iter().all(|pid| !crate::site::lives(*pid)));
    let back = site.run.rollback("api", None, mpsc::channel(64).0).await.unwrap();
    assert_eq!((back.release, back.before), (1, Some(2)));
    let again = site.run.restart("api", mpsc::channel(64).0).await.unwrap();
    assert_eq!(again.release, 1);
    site.end().await;
}

/// Goal: a release that answers 500 leaves the old one serving, and the error says what it answered and printed.
#[tokio::test]
async fn a_bad_release_leaves_the_old_one_serving() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let before = site.pids("api");
    let mut bad = service("api", &["APP", "port", "$PORT", "status", "500", "print", "I am broken"]);
    // No check is given up before the release is, so that the last one is one that was answered.
    (bad.health.start_within, bad.health.timeout) = (Duration::from_secs(10), Duration::from_secs(60));
    let error = site.deploy(bad).await.unwrap_err();
    assert_eq!(error.message, "release 2 of `api` did not become healthy within 10s; release 1 still serves");
    assert!(error.because[0].ends_with("GET /health answered 500"), "{error}");
    assert!(error.lines.contains(&"I am broken".to_owned()), "{error}");
    site.until("api", "rid of the bad replicas", |status| status.replicas.len() == 2).await;
    assert_eq!(site.pids("api"), before);
    assert_eq!(site.endpoints("api").len(), 2);
    let good_again = site.deploy(good("api")).await.unwrap();
    assert_eq!(good_again.release, 3, "the number of a failed release is not used again");
    site.end().await;
}

/// Goal: a program that exits at once fails its deploy long before the deadline.
#[tokio::test]
async fn a_release_that_exits_fails_early() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut bad = service("api", &["APP", "print", "cannot find the database", "exit", "3"]);
    bad.health.start_within = Duration::from_secs(600);
    let error = site.deploy(bad).await.unwrap_err();
    assert_eq!(error.message, "release 1 of `api` ended again and again while it started; nothing serves");
    assert!(error.because.iter().any(|because| because.ends_with("exited with code 3")), "{error}");
    assert!(error.lines.contains(&"cannot find the database".to_owned()), "{error}");
    site.end().await;
}

/// Goal: a program that listens elsewhere is told so, with the port it listens on.
#[tokio::test]
async fn a_wrong_port_is_named() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut bad = service("api", &["APP", "port", "0"]);
    // No check is given up before the release is, so that the last one is one that was answered.
    (bad.health.start_within, bad.health.timeout) = (Duration::from_secs(10), Duration::from_secs(60));
    bad.replicas = 1;
    let error = site.deploy(bad).await.unwrap_err();
    assert!(error.because[0].contains("nothing listens on 127.0.0.1:"), "{error}");
    assert!(error.because[0].contains("; the process listens on "), "{error}");
    assert!(!error.because[0].contains("no port"), "{error}");
    site.end().await;
}

/// Goal: what cannot work is refused before anything is started.
#[tokio::test]
async fn preflight_refuses() {
    let folder = Folder::new();
    let site = folder.start().await;
    let check = async |change: &dyn Fn(&mut ServiceSpec), expected: &str| {
        let mut spec = good("api");
        change(&mut spec);
        let error = site.deploy(spec).await.unwrap_err();
        assert_eq!(error.fault, Fault::Preflight);
        assert!(error.message.contains(expected), "{error}");
    };
    check(&|spec| spec.run = vec!["no-such-program".to_owned()], "there is no program `no-such-program`").await;
    check(&|spec| spec.folder = "/no/such/folder".into(), "the folder /no/such/folder").await;
    check(&|spec| spec.user = Some("nobody-of-that-name".to_owned()), "there is no user").await;
    let unknown = Value::Secret(SecretSource::Named("unknown".to_owned()));
    check(
        &|spec| drop(spec.environment.insert("KEY".to_owned(), unknown.clone())),
        "secret `unknown` for KEY: it was never set",
    )
    .await;
    assert!(site.run.status().is_empty());
    site.end().await;
}

/// Goal: while one deploy of a service runs, a second one is refused and told why.
#[tokio::test]
async fn a_second_deploy_is_refused() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut slow = service("api", &["sleep", "1000"]);
    slow.health.start_within = Duration::from_secs(600);
    let run = site.run.clone();
    let first = tokio::spawn(async move { run.deploy(vec![slow], mpsc::channel(64).0).await });
    site.until("api", "deploying", |status| status.deploy.is_some()).await;
    let error = site.deploy(good("api")).await.unwrap_err();
    assert_eq!(error.fault, Fault::Refused);
    assert!(error.message.starts_with("a deploy of release 1 of `api` is under way"), "{error}");
    site.run.stop("api").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap_err().fault, Fault::Interrupted);
    site.end().await;
}

/// Goal: an old replica is not asked to stop before its requests are done, and then it is.
#[tokio::test]
async fn requests_are_finished_before_the_stop() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = good("api");
    spec.replicas = 1;
    spec.drain = Duration::from_secs(600);
    site.deploy(spec.clone()).await.unwrap();
    let old = site.pids("api")[0];
    let endpoint = site.endpoints("api").remove(0);
    site.edge.lock().unwrap().requests.insert(endpoint.id.clone(), 1);
    let run = site.run.clone();
    let second = tokio::spawn(async move { run.deploy(vec![spec], mpsc::channel(64).0).await });
    let draining = |status: &ServiceStatus| status.replicas.iter().any(|one| one.state == ReplicaState::Draining);
    site.until("api", "draining", draining).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(crate::site::lives(old));
    assert_ne!(site.endpoints("api")[0].id, endpoint.id);
    site.edge.lock().unwrap().requests.clear();
    second.await.unwrap().unwrap();
    assert!(!crate::site::lives(old));
    site.end().await;
}
