//! A site in a temporary folder: a real ledger, real processes, and a pretended edge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prumo_clock::Clock;
use prumo_drain::Drain;
use prumo_ledger::Ledger;
use prumo_run::*;
use tokio::sync::mpsc;

/// How long a test waits for what must happen. Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// The state folder, which outlives every prumo on it.
pub(crate) struct Folder {
    pub(crate) root: tempfile::TempDir,
}

/// A test that failed ended in the middle: what it had started must not outlive it.
impl Drop for Folder {
    fn drop(&mut self) {
        for pid in processes_of(self.root.path()) {
            send(pid, rustix::process::Signal::KILL);
        }
    }
}

/// What the pretended edge knows.
#[derive(Default)]
pub(crate) struct Edge {
    pub(crate) endpoints: BTreeMap<String, Vec<Endpoint>>,
    pub(crate) generation: u64,
    /// Requests under way, by endpoint.
    pub(crate) requests: BTreeMap<String, u64>,
    /// The fewest endpoints of each service since it had any.
    pub(crate) fewest: BTreeMap<String, usize>,
}

/// A prumo on the folder.
pub(crate) struct Site {
    pub(crate) run: Run,
    pub(crate) edge: Arc<Mutex<Edge>>,
    pub(crate) state: PathBuf,
    drain: Drain,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn start(&self) -> Site {
        let clock = Clock::system();
        let drain = Drain::new(clock.clone());
        let ledger_stage = drain.stage("ledger");
        let stage = drain.stage("run");
        let state = self.root.path().to_owned();
        let ledger = open_ledger(&state, &clock, &ledger_stage).await;
        let edge = Arc::new(Mutex::new(Edge::default()));
        let settings =
            Settings { state: state.clone(), site: "test".to_owned(), disk_free_min_percent: 0.0, files_soft: None };
        let run = Run::start(settings, ledger, clock, &stage, wiring(&edge)).await.unwrap();
        Site { run, edge, state, drain }
    }
}

/// A ledger may still be held by the prumo that was just ended.
async fn open_ledger(state: &Path, clock: &Clock, stage: &prumo_drain::Stage) -> Ledger {
    let started = Instant::now();
    loop {
        match Ledger::open(&state.join("ledger.db"), clock.clone(), stage, &[&TABLE]) {
            Ok(ledger) => return ledger,
            Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn wiring(edge: &Arc<Mutex<Edge>>) -> Wiring {
    let (publishing, asking) = (Arc::clone(edge), Arc::clone(edge));
    Wiring {
        publish: Arc::new(move |endpoints| {
            let mut edge = publishing.lock().unwrap();
            edge.endpoints = endpoints.clone();
            edge.generation += 1;
            for (service, endpoints) in endpoints {
                let fewest = edge.fewest.get(service).copied();
                if fewest.is_some() || !endpoints.is_empty() {
                    let fewest = fewest.unwrap_or(usize::MAX).min(endpoints.len());
                    edge.fewest.insert(service.clone(), fewest);
                }
            }
            edge.generation
        }),
        traffic: Arc::new(move |id, generation| {
            let edge = asking.lock().unwrap();
            let requests = edge.requests.get(id).copied().unwrap_or(0);
            InFlight { settled: edge.generation >= generation, requests, tunnels: 0 }
        }),
        secrets: Arc::new(|source| match source {
            SecretSource::Named(name) if name == "known" => Ok(Secret::new("s3cret".to_owned())),
            _ => Err("it was never set".to_owned()),
        }),
    }
}

impl Site {
    /// Ends prumo as a crash would: replicas are told nothing.
    pub(crate) async fn crash(self) {
        drop(self.run);
        self.drain.stop(PATIENCE).await;
    }

    /// Ends prumo and everything it runs.
    pub(crate) async fn end(self) {
        self.end_within(PATIENCE).await;
    }

    /// The same when something of it would take too long to stop.
    pub(crate) async fn end_within(self, within: Duration) {
        self.run.halt(within).await;
        self.drain.stop(PATIENCE).await;
    }

    pub(crate) async fn deploy(&self, spec: ServiceSpec) -> Result<Deployed, DeployError> {
        let (steps, mut told) = mpsc::channel(64);
        let deployed = self.run.deploy(vec![spec], steps).await;
        while told.recv().await.is_some() {}
        deployed.map(|mut deployed| deployed.remove(0))
    }

    pub(crate) fn service(&self, name: &str) -> Option<ServiceStatus> {
        self.run.status().into_iter().find(|status| status.service == name)
    }

    pub(crate) fn pids(&self, service: &str) -> Vec<u32> {
        let status = self.service(service);
        let mut pids: Vec<u32> = status.iter().flat_map(|status| &status.replicas).filter_map(|one| one.pid).collect();
        pids.sort_unstable();
        pids
    }

    pub(crate) fn endpoints(&self, service: &str) -> Vec<Endpoint> {
        self.edge.lock().unwrap().endpoints.get(service).cloned().unwrap_or_default()
    }

    /// Waits until the status of a service is as wanted.
    pub(crate) async fn until(
        &self,
        service: &str,
        what: &str,
        fits: impl Fn(&ServiceStatus) -> bool,
    ) -> ServiceStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.service(service).filter(|status| fits(status)) {
                return status;
            }
            if started.elapsed() > PATIENCE {
                panic!("never {what}: {:#?}", self.service(service));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many lines of the service contain a text, and returns all lines.
    pub(crate) async fn until_printed(&self, service: &str, text: &str) -> Vec<Line> {
        let started = Instant::now();
        loop {
            let lines = self.run.logs(service, 100_000, false).map(|lines| lines.past).unwrap_or_default();
            if lines.iter().any(|line| line.text.contains(text)) {
                return lines;
            }
            assert!(started.elapsed() < PATIENCE, "`{text}` was never printed: {lines:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The app of `examples/app.rs`.
pub(crate) fn app() -> String {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    target.join("examples").join("app").display().to_string()
}

/// A service that runs this command and is checked every 50 ms.
pub(crate) fn service(name: &str, run: &[&str]) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        run: run.iter().map(|argument| argument.replace("APP", &app())).collect(),
        folder: PathBuf::from("/"),
        environment: BTreeMap::new(),
        user: None,
        group: None,
        listen: Listen::Port,
        protocol: prumo_run::Protocol::H1,
        replicas: 2,
        health: Health {
            check: Check::Http { path: "/health".to_owned(), status: vec![(200, 299)], body: None },
            every: Duration::from_millis(50),
            // No machine stands still for as long.
            timeout: Duration::from_secs(20),
            healthy: 1,
            unhealthy: 2,
            start_within: Duration::from_secs(60),
        },
        memory: None,
        cpu: None,
        processes: None,
        files: None,
        stop: Stop { signal: StopSignal::Term, within: Duration::from_secs(1) },
        drain: Duration::from_secs(20),
        restart: Restart {
            backoff: Duration::from_millis(20),
            backoff_max: Duration::from_millis(200),
            crash_loop: Rate { count: 3, per: Duration::from_secs(30) },
        },
        log_keep: 4 << 20,
    }
}

/// The app as it should be.
pub(crate) fn good(name: &str) -> ServiceSpec {
    service(name, &["APP", "port", "$PORT", "print", "hello from $REPLICA"])
}

/// A worker that listens to nothing.
pub(crate) fn worker(name: &str, run: &[&str]) -> ServiceSpec {
    let mut spec = service(name, run);
    spec.listen = Listen::Nothing;
    spec.health.check = Check::Command(vec!["true".to_owned()]);
    spec.replicas = 1;
    spec
}

/// True while a process lives; a zombie does not.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

pub(crate) fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself meanwhile.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Processes whose environment names this site, found as a stranger would.
pub(crate) fn processes_of(state: &Path) -> Vec<u32> {
    let Ok(site) = std::fs::read_to_string(state.join("run").join("site")) else { return Vec::new() };
    let marker = format!("PRUMO_REPLICA={site}/");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&marker)
    };
    pids.filter(marked).filter(|pid| lives(*pid)).collect()
}
