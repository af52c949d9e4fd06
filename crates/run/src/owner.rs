//! The one task that owns the state of run: `select → event → apply`.
//!
//! Whatever happens, it looks at everything, plans, and applies until there is nothing left to do. Watchers and probes
//! only report; orders only change what is desired.

mod note;
mod order;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::{Clock, Moment, Timestamp};
use prumo_drain::{Stage, Task};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};

use crate::desired::{Desired, ServiceSpec, Version, Wanted};
use crate::driver::environment::Environment;
use crate::driver::limits::Limits;
use crate::driver::output::Capture;
use crate::driver::output::log::Log;
use crate::driver::tree::{self, Tree};
use crate::journal::{DeployEnd, DeployRow, Journal, Kind, ReplicaRow, Stopped};
use crate::observe::{Observed, Replica, State};
use crate::plan::{ReplicaId, plan};
use crate::probe::{Address, Bad};
use crate::release::{DeployError, DeployStep, Deployed, Step};
use crate::run::{Settings, Wiring};
use crate::status::Snapshot;

pub(crate) use crate::owner::note::Event;
pub(crate) use crate::owner::order::{Begin, Order};

/// Everything run knows.
pub(crate) struct Owner {
    pub(crate) settings: Settings,
    /// Names this state folder in the markers of its processes.
    pub(crate) site: String,
    pub(crate) boot: String,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    pub(crate) journal: Journal,
    pub(crate) wiring: Wiring,
    pub(crate) capture: Capture,
    pub(crate) limits: Limits,
    pub(crate) desired: Desired,
    pub(crate) observed: Observed,
    pub(crate) services: BTreeMap<String, Service>,
    /// What belongs to each replica beyond what planning needs, by replica.
    pub(crate) traces: BTreeMap<String, Trace>,
    /// Fetched secrets and the rest of the environment, by deploy: a crashed replica starts again without asking.
    pub(crate) environments: BTreeMap<u64, Resolved>,
    /// Ends of deploys that the ledger did not take yet. At most one for each service: the next deploy of it is refused until then.
    pub(crate) unwritten: Vec<DeployEnd>,
    pub(crate) halted: Vec<oneshot::Sender<()>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    /// When to look next for processes that belong to nobody.
    pub(crate) sweep_at: Moment,
}

/// What is known of a service beyond what planning needs.
pub(crate) struct Service {
    pub(crate) log: Arc<Log>,
    pub(crate) previous: Option<u64>,
    pub(crate) asked_release: Option<u64>,
    pub(crate) asked_replicas: u32,
    pub(crate) replicas_made: u64,
    pub(crate) stopped: Stopped,
    pub(crate) deploy: Option<Deploy>,
    /// Whoever waits for the service to be stopped.
    pub(crate) stop_waiters: Vec<oneshot::Sender<Result<(), DeployError>>>,
    pub(crate) restarts: u64,
    pub(crate) deploys_done: u64,
    pub(crate) deploys_failed: u64,
    /// The release of the last deploy that failed, and why, until one succeeds.
    pub(crate) last_failure: Option<(u64, String)>,
}

/// A deploy under way and whoever waits for it.
pub(crate) struct Deploy {
    pub(crate) row: DeployRow,
    pub(crate) step: DeployStep,
    pub(crate) steps: Option<mpsc::Sender<Step>>,
    pub(crate) reply: Option<oneshot::Sender<Result<Deployed, DeployError>>>,
}

/// What belongs to a replica beyond what planning needs.
pub(crate) struct Trace {
    pub(crate) row: ReplicaRow,
    pub(crate) address: Option<Address>,
    pub(crate) tree: Option<Tree>,
    pub(crate) since: Timestamp,
    pub(crate) last_exit: Option<String>,
    pub(crate) last_check: Option<Bad>,
    pub(crate) probe: Option<Task>,
    /// True when its process ended by itself and what that left behind still lives.
    pub(crate) exited: bool,
    pub(crate) limits: Vec<String>,
    /// The publication that first went without it.
    pub(crate) left_at: Option<u64>,
}

/// An environment that was asked for.
pub(crate) enum Resolved {
    Asked,
    Ready(Arc<Environment>),
    Failed(String),
}

/// Rounds of planning before looking at events again. Each round does everything it can, so a handful is normal.
const ROUNDS_MAX: usize = 32;

/// How soon to look again while something drains: this decides how long a deploy lingers at its end.
const LOOK_AGAIN_DRAINING: Duration = Duration::from_millis(20);

/// How soon to look again while a deadline runs, or a wait for a start.
const LOOK_AGAIN_CHANGING: Duration = Duration::from_millis(100);

/// How soon to look again when all is quiet. Everything that matters wakes the owner; this is for what did not.
const LOOK_AGAIN_QUIET: Duration = Duration::from_secs(2);

/// How often to look for processes that carry our marker and belong to nobody.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

impl Owner {
    /// Lives until the stage stops. Replicas go on without it.
    pub(crate) async fn own(mut self, mut orders: mpsc::Receiver<Order>, mut events: mpsc::Receiver<Event>) {
        let stopping = self.stage.stopping();
        loop {
            self.write_ends().await;
            self.converge().await;
            self.sweep_strays();
            self.answer();
            let wake = self.clock.sleep(self.look_again());
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                event = events.recv() => {
                    if let Some(event) = event {
                        self.note(event).await;
                    }
                    // Whatever else is there already is noted before planning, so that one plan sees all of it.
                    while let Ok(event) = events.try_recv() {
                        self.note(event).await;
                    }
                }
                () = wake => {}
                () = stopping.wait() => return,
            }
        }
    }

    /// Observe, plan, apply, until there is nothing left to do.
    pub(crate) async fn converge(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.look_at_traffic();
            let actions = plan(&self.desired, &self.observed, self.clock.now());
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.apply(action).await;
            }
        }
    }

    /// Asks who still sends something to replicas that drain.
    fn look_at_traffic(&mut self) {
        for replica in self.observed.services.values_mut().flatten() {
            if !matches!(replica.state, State::Draining { .. }) {
                continue;
            }
            let Some(trace) = self.traces.get(&replica.id) else { continue };
            let quiet = match trace.left_at {
                Some(generation) => {
                    let traffic = (self.wiring.traffic)(&trace.endpoint_id(), generation);
                    traffic.settled && traffic.requests == 0
                }
                // It never got requests, or the publication without it is still to come.
                None => !self.observed.published.values().any(|replicas| replicas.contains(&replica.id)),
            };
            replica.traffic(quiet);
        }
    }

    fn look_again(&self) -> Duration {
        let states = self.observed.services.values().flatten().map(|replica| replica.state);
        let soonest = states.map(|state| match state {
            State::Draining { .. } => LOOK_AGAIN_DRAINING,
            State::Healthy { .. } => LOOK_AGAIN_QUIET,
            State::Waiting { until } => (until - self.clock.now()).clamp(LOOK_AGAIN_DRAINING, LOOK_AGAIN_QUIET),
            _ => LOOK_AGAIN_CHANGING,
        });
        soonest.min().unwrap_or(LOOK_AGAIN_QUIET)
    }

    /// Kills what carries our marker and belongs to no replica, such as a process that was just being started when an
    /// earlier prumo was killed.
    fn sweep_strays(&mut self) {
        let now = self.clock.now();
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP_EVERY;
        for (marker, members) in tree::marked(&self.site) {
            let known = self.traces.get(&marker.replica).is_some_and(|trace| trace.row.nonce == marker.nonce);
            if !known && marker.replica != CHECK_COMMAND {
                tracing::warn!(
                    replica = marker.replica,
                    count = members.len(),
                    "killing processes that belong to no replica"
                );
                members.into_iter().for_each(|member| tree::send(member, Signal::KILL));
            }
        }
    }

    /// Tells those who wait for a state that it is reached, and everybody how things are.
    pub(crate) fn answer(&mut self) {
        let empty = |service: &str| self.observed.services.get(service).is_none_or(Vec::is_empty);
        self.snapshot.send_replace(Arc::new(Snapshot::of(self)));
        for (name, service) in &mut self.services {
            if empty(name) {
                service.stop_waiters.drain(..).for_each(|waiter| drop(waiter.send(Ok(()))));
            }
        }
        if self.desired.halt_by.is_some() && self.observed.services.values().all(Vec::is_empty) {
            self.limits.remove();
            for waiter in self.halted.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = waiter.send(());
            }
        }
    }

    pub(crate) fn spec_of(&self, id: &ReplicaId) -> Option<Arc<ServiceSpec>> {
        let release = self.traces.get(&id.replica)?.row.version.release;
        self.desired.services.get(&id.service)?.specs.get(&release).cloned()
    }

    /// Tells whoever watches a deploy. A watcher that does not keep up misses steps rather than holding up the deploy.
    pub(crate) fn tell(&mut self, service: &str, step: DeployStep, message: String) {
        let Some(deploy) = self.services.get_mut(service).and_then(|service| service.deploy.as_mut()) else { return };
        deploy.step = step;
        if let Some(steps) = &deploy.steps {
            let release = Some(deploy.row.version.release);
            drop(steps.try_send(Step { service: service.to_owned(), release, step, message }));
        }
    }

    /// The wanted state of a service that is known.
    pub(crate) fn wanted_mut(&mut self, service: &str) -> &mut Wanted {
        self.desired.services.entry(service.to_owned()).or_default()
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.settings.state.join("run")
    }

    /// Forgets specs and environments that no version uses any more.
    pub(crate) fn drop_unused(&mut self, service: &str) {
        let Some(wanted) = self.desired.services.get_mut(service) else { return };
        let replicas = self.observed.services.get(service).map_or(&[][..], Vec::as_slice);
        let mut used: Vec<Version> = replicas.iter().map(|replica| replica.version).collect();
        used.extend(wanted.serving);
        used.extend(wanted.candidate.map(|candidate| candidate.version));
        let asked = self.services.get(service).and_then(|service| service.asked_release);
        wanted
            .specs
            .retain(|release, _| asked == Some(*release) || used.iter().any(|version| version.release == *release));
        let every_use: Vec<u64> = self.versions_in_use().map(|version| version.deploy).collect();
        self.environments.retain(|deploy, _| every_use.contains(deploy));
    }

    fn versions_in_use(&self) -> impl Iterator<Item = Version> {
        let wanted = self.desired.services.values();
        let held = wanted.flat_map(|wanted| wanted.serving.into_iter().chain(wanted.candidate.map(|one| one.version)));
        held.chain(self.observed.services.values().flatten().map(|replica| replica.version))
    }
}

/// The name of one start of a replica: another start is another upstream.
pub(crate) fn endpoint_id(replica: &str, starts: u64) -> String {
    if starts <= 1 { replica.to_owned() } else { format!("{replica}.{starts}") }
}

/// The replica part of the marker of check commands.
pub(crate) const CHECK_COMMAND: &str = "check";

impl Service {
    pub(crate) fn new(settings: &Settings, spec: &ServiceSpec) -> Service {
        Service {
            log: Arc::new(Log::new(&settings.state.join("logs"), &spec.name, spec.log_keep)),
            previous: None,
            asked_release: None,
            asked_replicas: spec.replicas,
            replicas_made: 0,
            stopped: Stopped::No,
            deploy: None,
            stop_waiters: Vec::new(),
            restarts: 0,
            deploys_done: 0,
            deploys_failed: 0,
            last_failure: None,
        }
    }
}

impl Service {
    /// A deploy became what serves.
    pub(crate) fn shifted(&mut self, row: &DeployRow, before: Option<Version>, asked: Option<u32>) {
        let other = before.map(|version| version.release).filter(|release| *release != row.version.release);
        self.previous = other.or(self.previous);
        self.stopped = Stopped::No;
        if row.kind == Kind::Deploy {
            self.asked_release = Some(row.version.release);
            self.asked_replicas = asked.unwrap_or(self.asked_replicas);
        }
    }
}

impl Trace {
    pub(crate) fn new(row: ReplicaRow, since: Timestamp) -> Trace {
        Trace {
            row,
            address: None,
            tree: None,
            since,
            last_exit: None,
            last_check: None,
            probe: None,
            exited: false,
            limits: Vec::new(),
            left_at: None,
        }
    }

    pub(crate) fn id(&self) -> ReplicaId {
        ReplicaId { service: self.row.service.clone(), replica: self.row.id.clone() }
    }

    /// Names this start of the replica to whoever sends requests: another start is another upstream.
    pub(crate) fn endpoint_id(&self) -> String {
        endpoint_id(&self.row.id, self.row.starts)
    }

    pub(crate) fn end_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }

    /// Its processes are gone: removes what was theirs.
    pub(crate) fn remove_process(&mut self) {
        self.end_probe();
        if let Some(tree) = self.tree.take() {
            tree.groups.remove();
        }
        self.row.process = None;
        self.row.ready = false;
    }
}

pub(crate) fn replica_mut<'a>(observed: &'a mut Observed, id: &ReplicaId) -> Option<&'a mut Replica> {
    observed.services.get_mut(&id.service)?.iter_mut().find(|replica| replica.id == id.replica)
}
