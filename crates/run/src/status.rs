//! How things are, for people and for other parts. Taken after every change, so that asking never waits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::desired::{ServiceSpec, Wanted};
use crate::driver::output::log::Log;
use crate::driver::tree::{Tree, Usage};
use crate::journal::Stopped;
use crate::observe::{Replica, State};
use crate::owner::{Owner, Service, Trace};

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The service.
    pub service: String,
    /// In one word.
    pub state: ServiceState,
    /// The release that serves, or would serve if the service were not stopped.
    pub release: Option<u64>,
    /// The release that a rollback would bring back.
    pub previous: Option<u64>,
    /// A deploy under way.
    pub deploy: Option<DeployStatus>,
    /// How many replicas of the serving release there should be.
    pub wanted: u32,
    /// How many of them are healthy.
    pub healthy: u32,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Every replica, of every release.
    pub replicas: Vec<ReplicaStatus>,
}

/// How a service is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Every replica is healthy.
    Serving,
    /// Some replicas are healthy.
    Degraded,
    /// A deploy is under way and the old release, if any, serves.
    Deploying,
    /// Replicas are starting and none is healthy yet.
    Starting,
    /// No replica is healthy.
    Unhealthy,
    /// A person stopped it, or it left the file.
    Stopped,
    /// No release ever became healthy.
    Failed,
}

impl ServiceState {
    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            ServiceState::Serving => "serving",
            ServiceState::Degraded => "degraded",
            ServiceState::Deploying => "deploying",
            ServiceState::Starting => "starting",
            ServiceState::Unhealthy => "unhealthy",
            ServiceState::Stopped => "stopped",
            ServiceState::Failed => "failed",
        }
    }
}

/// A deploy under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployStatus {
    /// The release being brought up.
    pub release: u64,
    /// deploy, rollback or restart.
    pub kind: String,
    /// The step it is at.
    pub step: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its name.
    pub replica: String,
    /// The release it runs.
    pub release: u64,
    /// Its process id, while it has one.
    pub pid: Option<u32>,
    /// Where it listens, while it runs.
    pub address: Option<String>,
    /// Where it is in its life.
    pub state: ReplicaState,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// How often it was started again.
    pub restarts: u64,
    /// How it ended last, or why it could not be started.
    pub last_exit: Option<String>,
    /// What the last check found, when that was bad.
    pub last_check: Option<String>,
    /// Resident memory of all its processes.
    pub memory_bytes: Option<u64>,
    /// Processor time of all its processes that live, in hundredths of a second.
    pub cpu_ticks: Option<u64>,
    /// The limits that really hold, and those that do not.
    pub limits: Vec<String>,
}

impl ReplicaStatus {
    /// Names this start of the replica to whoever sends requests.
    pub(crate) fn endpoint_id(&self) -> String {
        crate::owner::endpoint_id(&self.replica, self.restarts + 1)
    }
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaState {
    /// It runs and was not healthy yet.
    Starting,
    /// It can serve.
    Healthy,
    /// It fails its checks.
    Unhealthy,
    /// It finishes its requests.
    Draining,
    /// It was asked to stop.
    Stopping,
    /// It ended and waits to be started again.
    Backoff,
    /// It ends again and again, and is started again ever more seldom.
    CrashLooping,
}

impl ReplicaState {
    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            ReplicaState::Starting => "starting",
            ReplicaState::Healthy => "healthy",
            ReplicaState::Unhealthy => "unhealthy",
            ReplicaState::Draining => "draining",
            ReplicaState::Stopping => "stopping",
            ReplicaState::Backoff => "backoff",
            ReplicaState::CrashLooping => "crash-looping",
        }
    }

    fn of(replica: &Replica) -> ReplicaState {
        match replica.state {
            State::Waiting { .. } | State::Starting { .. } if replica.crash_looping => ReplicaState::CrashLooping,
            State::Waiting { .. } if replica.ends > 0 => ReplicaState::Backoff,
            State::Waiting { .. } | State::Starting { .. } => ReplicaState::Starting,
            State::Healthy { .. } => ReplicaState::Healthy,
            State::Unhealthy { .. } => ReplicaState::Unhealthy,
            State::Draining { .. } => ReplicaState::Draining,
            State::Stopping { .. } | State::Gone => ReplicaState::Stopping,
        }
    }
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Everything that can be asked without waiting.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) services: BTreeMap<String, View>,
}

/// One service in it.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) status: ServiceStatus,
    pub(crate) stopped: Stopped,
    /// The spec that serves.
    pub(crate) spec: Option<Arc<ServiceSpec>>,
    /// The spec that the file last asked for and that served.
    asked: Option<Arc<ServiceSpec>>,
    /// The spec of a deploy under way.
    candidate: Option<Arc<ServiceSpec>>,
    /// What the releases of its replicas say.
    pub(crate) specs: BTreeMap<u64, Arc<ServiceSpec>>,
    pub(crate) asked_replicas: u32,
    pub(crate) log: Arc<Log>,
    pub(crate) restarts: u64,
    pub(crate) deploys_done: u64,
    pub(crate) deploys_failed: u64,
    /// The release of the last deploy, if it failed.
    pub(crate) failed: Option<u64>,
    trees: BTreeMap<String, Tree>,
}

impl View {
    /// True when the file asks for what it asked for before, whatever a person did since.
    pub(crate) fn is_from(&self, spec: &ServiceSpec) -> bool {
        let known = [&self.candidate, &self.asked, &self.spec];
        known.into_iter().flatten().any(|known| known.same_definition(spec))
    }
}

impl Snapshot {
    pub(crate) fn of(owner: &Owner) -> Snapshot {
        let nobody = Wanted::default();
        let services = owner.services.iter().map(|(name, service)| {
            let wanted = owner.desired.services.get(name).unwrap_or(&nobody);
            let replicas = owner.observed.services.get(name).map_or(&[][..], Vec::as_slice);
            (name.clone(), view(name, service, wanted, replicas, &owner.traces))
        });
        Snapshot { services: services.collect() }
    }

    /// With memory and processor time as they are now.
    pub(crate) fn statuses(&self) -> Vec<ServiceStatus> {
        let shown = self
            .services
            .values()
            .filter(|view| view.stopped != Stopped::NotInFile || !view.status.replicas.is_empty());
        shown.map(View::measured).collect()
    }
}

impl View {
    pub(crate) fn measured(&self) -> ServiceStatus {
        let mut status = self.status.clone();
        for replica in &mut status.replicas {
            if let Some(tree) = self.trees.get(&replica.replica) {
                let Usage { memory_bytes, cpu_ticks } = tree.usage();
                replica.memory_bytes = Some(memory_bytes);
                replica.cpu_ticks = Some(cpu_ticks);
            }
        }
        status
    }
}

fn view(
    name: &str,
    service: &Service,
    wanted: &Wanted,
    replicas: &[Replica],
    traces: &BTreeMap<String, Trace>,
) -> View {
    let spec_of = |release: u64| wanted.specs.get(&release).cloned();
    let trees = replicas.iter().filter_map(|replica| {
        let tree = traces.get(&replica.id)?.tree.clone()?;
        Some((replica.id.clone(), tree))
    });
    View {
        status: status(name, service, wanted, replicas, traces),
        stopped: service.stopped,
        spec: wanted.serving.and_then(|version| spec_of(version.release)),
        asked: service.asked_release.and_then(spec_of),
        candidate: wanted.candidate.and_then(|candidate| spec_of(candidate.version.release)),
        specs: wanted.specs.clone(),
        asked_replicas: service.asked_replicas,
        log: Arc::clone(&service.log),
        restarts: service.restarts,
        deploys_done: service.deploys_done,
        deploys_failed: service.deploys_failed,
        failed: service.last_failure.as_ref().map(|(release, _)| *release),
        trees: trees.collect(),
    }
}

fn status(
    name: &str,
    service: &Service,
    wanted: &Wanted,
    replicas: &[Replica],
    traces: &BTreeMap<String, Trace>,
) -> ServiceStatus {
    let serving = replicas.iter().filter(|replica| Some(replica.version) == wanted.serving);
    let healthy = serving.clone().filter(|replica| replica.state.is_healthy()).count();
    let starting = serving.clone().any(|replica| {
        matches!(replica.state, State::Starting { .. } | State::Waiting { .. }) && !replica.crash_looping
    });
    let count = if wanted.stopped { 0 } else { wanted.replicas };
    let healthy = u32::try_from(healthy).unwrap_or(u32::MAX);
    let deploy = service.deploy.as_ref().map(|deploy| DeployStatus {
        release: deploy.row.version.release,
        kind: deploy.row.kind.word().to_owned(),
        step: deploy.step.word().to_owned(),
        since_ms: deploy.row.started_ms,
    });
    let state = match wanted.serving {
        _ if deploy.is_some() => ServiceState::Deploying,
        _ if wanted.stopped => ServiceState::Stopped,
        None => ServiceState::Failed,
        Some(_) if healthy >= count => ServiceState::Serving,
        Some(_) if healthy > 0 => ServiceState::Degraded,
        Some(_) if starting => ServiceState::Starting,
        Some(_) => ServiceState::Unhealthy,
    };
    let shown = replicas.iter().filter_map(|replica| Some(replica_status(replica, traces.get(&replica.id)?)));
    ServiceStatus {
        service: name.to_owned(),
        state,
        release: wanted.serving.map(|version| version.release),
        previous: service.previous,
        deploy,
        wanted: count,
        healthy,
        notes: notes(service, wanted, replicas),
        replicas: shown.collect(),
    }
}

fn notes(service: &Service, wanted: &Wanted, replicas: &[Replica]) -> Vec<String> {
    let mut notes = Vec::new();
    let alive = |replica: &&Replica| Some(replica.version) == wanted.serving && !replica.state.is_leaving();
    let unhealthy = replicas.iter().filter(alive).filter(|replica| matches!(replica.state, State::Unhealthy { .. }));
    let healthy = replicas.iter().filter(alive).any(|replica| replica.state.is_healthy());
    if unhealthy.count() > 0 && !healthy {
        notes.push("no replica is healthy: as a last resort the unhealthy ones get the requests".to_owned());
    }
    for replica in replicas.iter().filter(|replica| replica.crash_looping && !replica.state.is_healthy()) {
        notes.push(format!("{} is in a crash loop: it ended {} times", replica.id, replica.ends));
    }
    if let Some((_, failure)) = &service.last_failure {
        notes.push(format!("the last deploy failed: {failure}"));
    }
    if service.stopped == Stopped::NotInFile {
        notes.push("it is no longer in the file".to_owned());
    }
    notes
}

fn replica_status(replica: &Replica, trace: &Trace) -> ReplicaStatus {
    ReplicaStatus {
        replica: replica.id.clone(),
        release: replica.version.release,
        pid: trace.tree.as_ref().map(|tree| tree.leader.pid),
        address: trace.tree.as_ref().and(trace.address.as_ref()).map(ToString::to_string),
        state: ReplicaState::of(replica),
        since_ms: trace.since.millis(),
        restarts: trace.row.starts.saturating_sub(1),
        last_exit: trace.last_exit.clone(),
        last_check: trace.last_check.as_ref().map(ToString::to_string),
        memory_bytes: None,
        cpu_ticks: None,
        limits: trace.limits.clone(),
    }
}
