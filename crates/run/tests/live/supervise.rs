//! Replicas that end, hang, fork and refuse to stop.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use prumo_run::*;
use rustix::process::Signal;

use crate::site::{Folder, good, lives, processes_of, send, service, until, worker};

/// Goal: a killed replica is out of service at once and comes back as another process.
#[tokio::test]
async fn a_killed_replica_comes_back() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let victim = site.pids("api")[0];
    send(victim, Signal::KILL);
    let status = site.until("api", "whole again", |status| {
        status.healthy == 2 && status.replicas.iter().any(|replica| replica.restarts == 1)
    });
    let status = status.await;
    let replaced = status.replicas.iter().find(|replica| replica.restarts == 1).unwrap();
    assert_eq!(replaced.last_exit.as_deref(), Some("killed by SIGKILL"));
    assert_ne!(replaced.pid, Some(victim));
    until("published", || site.endpoints("api").len() == 2).await;
    site.end().await;
}

/// Goal: a replica that hangs is replaced by another before it is ended.
#[tokio::test]
async fn a_hung_replica_is_replaced() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = good("api");
    spec.health.timeout = Duration::from_secs(1);
    site.deploy(spec).await.unwrap();
    let hung = site.pids("api")[0];
    send(hung, Signal::STOP);
    site.until("api", "unhealthy", |status| status.healthy == 1 || !lives(hung)).await;
    until("gone", || !lives(hung)).await;
    site.until("api", "whole again", |status| status.healthy == 2 && status.replicas.len() == 2).await;
    site.end().await;
}

/// A script that waits for a file before it does this, and the file: a deploy has to see it live first.
fn after_go(folder: &Folder, command: &str) -> (String, std::path::PathBuf) {
    let go = folder.root.path().join("go");
    (format!("while [ ! -e {} ]; do sleep 0.02; done; {command}", go.display()), go)
}

/// Goal: a replica that ends again and again after it had served is in a crash loop, and that is said.
#[tokio::test]
async fn a_crash_loop_is_said() {
    let folder = Folder::new();
    let site = folder.start().await;
    let (script, go) = after_go(&folder, "exit 0");
    site.deploy(worker("job", &["sh", "-c", &script])).await.unwrap();
    std::fs::write(go, "").unwrap();
    let looping = |status: &ServiceStatus| status.replicas.iter().any(|one| one.state == ReplicaState::CrashLooping);
    let status = site.until("job", "crash-looping", looping).await;
    assert!(status.notes.iter().any(|note| note.contains("crash loop")), "{:?}", status.notes);
    let exit = status.replicas[0].last_exit.clone().unwrap_or_default();
    assert!(exit.starts_with("exited with code 0"), "{exit}");
    site.end().await;
}

/// Goal: what a program leaves behind is ended with it, in its session or out of it.
#[tokio::test]
async fn a_forking_program_leaves_no_orphan() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = "sleep 1000 & setsid sleep 1000 & wait";
    site.deploy(worker("job", &["sh", "-c", script])).await.unwrap();
    until("forked", || processes_of(&site.state).len() >= 3).await;
    site.run.stop("job").await.unwrap();
    assert_eq!(processes_of(&site.state), Vec::<u32>::new());
    site.end().await;
}

/// Goal: a replica whose process died gets no requests while something it left behind refuses to end.
#[tokio::test]
async fn the_dead_get_no_requests() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = "(trap '' TERM; while true; do sleep 0.1; done) & exec APP port $PORT";
    let mut spec = service("api", &["sh", "-c", script]);
    (spec.replicas, spec.stop.within) = (1, Duration::from_secs(1000));
    site.deploy(spec).await.unwrap();
    until("published", || site.endpoints("api").len() == 1).await;
    send(site.pids("api")[0], Signal::KILL);
    until("unpublished", || site.endpoints("api").is_empty()).await;
    assert!(!processes_of(&site.state).is_empty(), "what it left behind has all the time to stop");
    site.end_within(Duration::from_secs(2)).await;
}

/// Goal: a program that ignores the request to stop is killed after the time it had.
#[tokio::test]
async fn a_stubborn_program_is_killed() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = worker("job", &["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"]);
    spec.stop.within = Duration::from_millis(300);
    site.deploy(spec).await.unwrap();
    site.until_printed("job", "ready").await;
    let pid = site.pids("job")[0];
    site.run.stop("job").await.unwrap();
    assert!(!lives(pid));
    assert_eq!(site.service("job").unwrap().state, ServiceState::Stopped);
    site.end().await;
}

/// Goal: scaling starts and stops only the difference, and stopping is undone by a restart.
#[tokio::test]
async fn scale_stop_and_restart() {
    let folder = Folder::new();
    let site = folder.start().await;
    site.deploy(good("api")).await.unwrap();
    let before = site.pids("api");
    site.run.scale("api", 3).await.unwrap();
    site.until("api", "three", |status| status.healthy == 3).await;
    assert!(before.iter().all(|pid| site.pids("api").contains(pid)));
    site.run.scale("api", 1).await.unwrap();
    site.until("api", "one", |status| status.healthy == 1 && status.replicas.len() == 1).await;
    site.run.stop("api").await.unwrap();
    assert!(site.endpoints("api").is_empty());
    site.run.restart("api", tokio::sync::mpsc::channel(64).0).await.unwrap();
    assert_eq!(site.service("api").unwrap().state, ServiceState::Serving);
    site.end().await;
}

/// Goal: a service on a Unix socket is probed and published there.
#[tokio::test]
async fn a_socket_serves() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = service("api", &["APP", "socket", "${SOCKET}"]);
    spec.listen = Listen::Socket;
    site.deploy(spec).await.unwrap();
    assert!(matches!(site.endpoints("api")[0].address, Address::Unix(_)));
    site.end().await;
}

/// Goal: a replica sees its own variables and a clean base, not prumo's environment; secrets arrive; nothing leaks.
#[tokio::test]
async fn the_environment_is_clean() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = worker("job", &["sh", "-c", "env; ls /proc/self/fd | wc -l | sed 's/^/files /'; umask; sleep 1000"]);
    spec.environment.insert("KEY".to_owned(), Value::Secret(SecretSource::Named("known".to_owned())));
    site.deploy(spec).await.unwrap();
    let lines = site.until_printed("job", "0027").await;
    let mut names: Vec<&str> = lines.iter().filter_map(|line| Some(line.text.split_once('=')?.0)).collect();
    names.sort_unstable();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD", "TZ"].contains(name));
    assert_eq!(names, ["HOME", "KEY", "LANG", "PATH", "PRUMO_REPLICA", "RELEASE", "REPLICA"]);
    assert!(lines.iter().any(|line| line.text == "KEY=s3cret"));
    // Standard input, output and error, and the folder that `ls` reads.
    assert!(lines.iter().any(|line| line.text == "files 4"), "{lines:?}");
    let execution = site.run.environment("job").await.unwrap();
    assert_eq!(execution.environment["KEY"], "s3cret");
    assert!(!format!("{execution:?}").contains("s3cret"));
    let ledger = std::fs::read(site.state.join("ledger.db")).unwrap();
    assert!(!ledger.windows(6).any(|bytes| bytes == b"s3cret"));
    site.end().await;
}

/// Goal: limits are set where the machine has the means, and the status says which of them hold.
#[tokio::test]
async fn limits_hold_or_are_said_not_to() {
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = worker("job", &["sh", "-c", "ulimit -n; sleep 1000"]);
    (spec.memory, spec.cpu, spec.processes, spec.files) = (Some(256 << 20), Some(0.5), Some(50), Some(77));
    site.deploy(spec).await.unwrap();
    site.until_printed("job", "77").await;
    let status = site.service("job").unwrap();
    let limits = status.replicas[0].limits.join("\n");
    for said in ["memory 256 MiB", "cpu 0.5 cores", "processes 50", "files 77 by rlimit"] {
        assert!(limits.contains(said), "{limits}");
    }
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", status.replicas[0].pid.unwrap())).unwrap();
    if limits.contains("memory 256 MiB by cgroup") {
        assert!(groups.contains("/prumo/"), "{groups}");
    }
    site.end().await;
}

/// Goal: a replica that the kernel killed because it reached its memory limit is said to have run out of memory.
#[tokio::test]
async fn running_out_of_memory_is_said() {
    let folder = Folder::new();
    let site = folder.start().await;
    let (script, go) = after_go(&folder, "exec tail /dev/zero");
    let mut spec = worker("job", &["sh", "-c", &script]);
    spec.memory = Some(32 << 20);
    site.deploy(spec).await.unwrap();
    std::fs::write(go, "").unwrap();
    let ended = |status: &ServiceStatus| status.replicas.iter().any(|one| one.last_exit.is_some());
    let status = site.until("job", "ended", ended).await;
    if status.replicas[0].limits[0].contains("by cgroup") {
        let exit = status.replicas[0].last_exit.clone().unwrap();
        assert_eq!(exit, "killed by SIGKILL (out of memory: it reached its limit)");
    }
    site.end().await;
}

/// Goal: a service runs as the user it names, without prumo's groups, and its output is its own.
#[tokio::test]
async fn another_user_runs_it() {
    assert!(rustix::process::geteuid().is_root(), "this test runs a program as another user: run it as root");
    let folder = Folder::new();
    let site = folder.start().await;
    let mut spec = worker("job", &["sh", "-c", "id -u; id -G; echo by name > /dev/stdout; sleep 1000"]);
    spec.user = Some("nobody".to_owned());
    site.deploy(spec).await.unwrap();
    let lines = site.until_printed("job", "by name").await;
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["65534", "65534", "by name"]);
    site.end().await;
}

/// Goal: a service of another user listens at a socket in prumo's folder, which that user can reach and not look into.
#[tokio::test]
async fn another_user_has_a_socket() {
    assert!(rustix::process::geteuid().is_root(), "this test runs a program as another user: run it as root");
    let folder = Folder::new();
    // The way through is open, as prumo makes it, and the program lies where its user can read it.
    std::fs::set_permissions(folder.root.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let app = folder.root.path().join("app");
    std::fs::copy(crate::site::app(), &app).unwrap();
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o755)).unwrap();
    let site = folder.start().await;
    let mut spec = service("api", &[app.to_str().unwrap(), "socket", "${SOCKET}"]);
    (spec.listen, spec.user) = (Listen::Socket, Some("nobody".to_owned()));
    site.deploy(spec).await.unwrap();
    let endpoints = site.endpoints("api");
    assert_eq!(endpoints.len(), 2);
    for endpoint in endpoints {
        let Address::Unix(path) = &endpoint.address else { panic!("{:?} is no socket", endpoint.address) };
        assert_eq!(path.metadata().unwrap().uid(), 65534, "{}", path.display());
    }
    site.end().await;
}
