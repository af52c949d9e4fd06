//! Prumo ends without a word, and another takes over.

use std::time::Duration;

use prumo_run::*;
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::site::{Folder, good, lives, processes_of, send, service, until};

/// Goal: after prumo's death with an unchanged file, the same processes serve on and nothing was restarted.
#[tokio::test]
async fn replicas_outlive_prumo() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let before = site.pids("api");
    site.crash().await;
    assert!(before.iter().all(|pid| lives(*pid)));
    let site = folder.start().await;
    assert_eq!(site.endpoints("api").len(), 2, "healthy replicas are published before anything else happens");
    let adopted = site.run.adopt(vec![good("api")]).await;
    assert_eq!(adopted[0].outcome, Adoption::Kept);
    assert_eq!(site.pids("api"), before);
    send(before[0], Signal::KILL);
    let status = site
        .until("api", "whole again", |status| {
            status.healthy == 2 && !status.replicas.iter().any(|one| one.pid == Some(before[0]))
        })
        .await;
    let exit = status.replicas.iter().find_map(|one| one.last_exit.clone()).unwrap();
    // Only in this test are they still our children, so that the code is known.
    assert_eq!(exit, "killed by SIGKILL");
    site.end().await;
}

/// Goal: the file decides what is deployed, scaled and stopped; a person's rollback and scale survive a restart.
#[tokio::test]
async fn adopt_follows_the_file() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.run.adopt(vec![good("api"), good("old")]).await;
    site.deploy(good("api")).await.unwrap();
    site.run.rollback("api", None, mpsc::channel(64).0).await.unwrap();
    site.run.scale("api", 1).await.unwrap();
    site.until("api", "one", |status| status.healthy == 1 && status.replicas.len() == 1).await;
    let before = site.pids("api");
    site.crash().await;

    let site = folder.start().await;
    let mut outcomes = site.run.adopt(vec![good("api")]).await;
    outcomes.sort_by(|one, other| one.service.cmp(&other.service));
    assert_eq!(outcomes[0].outcome, Adoption::Kept);
    assert_eq!(outcomes[1].outcome, Adoption::Leaving);
    assert_eq!(site.pids("api"), before);
    assert!(site.service("old").is_none());

    let mut changed = good("api");
    changed.replicas = 3;
    let outcomes = site.run.adopt(vec![changed.clone()]).await;
    assert_eq!(outcomes[0].outcome, Adoption::Scaled(3));
    changed.run.push("extra".to_owned());
    let outcomes = site.run.adopt(vec![changed, good("old")]).await;
    let deployed = |outcome: &Adoption| matches!(outcome, Adoption::Deployed(deployed) if deployed.release == 3);
    assert!(outcomes.iter().any(|adopted| deployed(&adopted.outcome)), "{outcomes:?}");
    assert!(outcomes.iter().any(|adopted| adopted.outcome == Adoption::Resumed), "{outcomes:?}");
    site.until("old", "back", |status| status.healthy == 2).await;
    site.end().await;
}

/// Goal: a replica that died while prumo was away is started again, and its orphans are ended.
#[tokio::test]
async fn what_died_meanwhile_is_started_again() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = format!("sleep 1000 & setsid sleep 1000 & exec {} port $PORT", crate::site::app());
    let mut spec = service("api", &["sh", "-c", &script]);
    spec.replicas = 1;
    site.deploy(spec).await.unwrap();
    let leader = site.pids("api")[0];
    until("forked", || processes_of(&site.state).len() == 3).await;
    let before = processes_of(&site.state);
    site.crash().await;
    send(leader, Signal::KILL);
    until("dead", || !lives(leader)).await;
    let site = folder.start().await;
    site.until("api", "serving", |status| status.healthy == 1).await;
    assert!(before.iter().all(|pid| !lives(*pid)), "orphans of the dead replica live on");
    site.end().await;
}

/// Goal: a deploy interrupted before its shift goes on by itself when its replicas live.
#[tokio::test]
async fn an_interrupted_deploy_goes_on() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let marker = folder.root.path().join("go");
    let wait =
        format!("while [ ! -e {} ]; do sleep 0.05; done; exec {} port $PORT", marker.display(), crate::site::app());
    let slow = service("api", &["sh", "-c", &wait]);
    let run = site.run.clone();
    let first = tokio::spawn(async move { run.deploy(vec![slow], mpsc::channel(64).0).await });
    site.until("api", "started", |status| status.replicas.iter().filter(|one| one.pid.is_some()).count() == 4).await;
    let pids = site.pids("api");
    site.crash().await;
    assert_eq!(first.await.unwrap().unwrap_err().fault, Fault::Interrupted);

    let site = folder.start().await;
    assert_eq!(site.pids("api"), pids);
    assert_eq!(site.endpoints("api").len(), 2);
    std::fs::write(&marker, "").unwrap();
    let done = |status: &ServiceStatus| status.release == Some(2) && status.deploy.is_none();
    let status = site.until("api", "release 2", done).await;
    assert_eq!((status.healthy, status.replicas.len()), (2, 2));
    site.end().await;
}

/// Goal: a deploy interrupted before its shift is given up when its replicas died, and nothing stays locked.
#[tokio::test]
async fn an_interrupted_deploy_is_given_up() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let old = site.pids("api");
    let run = site.run.clone();
    let slow = service("api", &["sleep", "1000"]);
    let first = tokio::spawn(async move { run.deploy(vec![slow], mpsc::channel(64).0).await });
    site.until("api", "started", |status| status.replicas.iter().filter(|one| one.pid.is_some()).count() == 4).await;
    let new: Vec<u32> = site.pids("api").into_iter().filter(|pid| !old.contains(pid)).collect();
    site.crash().await;
    drop(first.await);
    send(new[0], Signal::KILL);
    until("dead", || !lives(new[0])).await;

    let site = folder.start().await;
    site.until("api", "as before", |status| status.deploy.is_none() && status.replicas.len() == 2).await;
    assert_eq!(site.pids("api"), old);
    assert!(!lives(new[1]));
    let deployed = site.deploy(good("api")).await.unwrap();
    assert_eq!((deployed.release, deployed.before), (3, Some(1)));
    site.end().await;
}

/// Goal: ended at any moment of a deploy, prumo finds its way to exactly one release with every replica, no orphan and
/// no lock. The moments are spread over the whole deploy.
#[tokio::test]
async fn any_moment_of_a_deploy_can_be_the_last() {
    let folder = Folder::new();
    let mut site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    for round in 0..12 {
        let run = site.run.clone();
        let deploy = tokio::spawn(async move { run.deploy(vec![good("api")], mpsc::channel(64).0).await });
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        site.crash().await;
        drop(deploy.await);
        site = folder.start().await;
        let whole = |status: &ServiceStatus| {
            let serving = status.release;
            let of_serving = status.replicas.iter().filter(|one| Some(one.release) == serving).count();
            status.deploy.is_none() && status.healthy == 2 && of_serving == 2 && status.replicas.len() == 2
        };
        site.until("api", "whole again", whole).await;
        until("alone", || processes_of(&site.state).len() == 2).await;
    }
    site.end().await;
}
