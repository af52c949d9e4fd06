//! The handle: what others may ask of run.

mod follow;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Stage;
use prumo_ledger::{Ledger, LedgerError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::apply::start::nonce;
use crate::desired::{Desired, Protocol, Secret, SecretSource, ServiceSpec};
use crate::driver::limits::Limits;
use crate::driver::output::Capture;
use crate::driver::output::log::Lines;
use crate::driver::proc;
use crate::driver::process::Execution;
use crate::journal::{Journal, Kind, Stopped};
use crate::observe::Observed;
use crate::owner::{Begin, Order, Owner};
use crate::probe::Address;
use crate::release::{DeployError, DeployStep, Deployed, Fault, Prepared, Step, environment, preflight};
pub use crate::run::follow::{Adopted, Adoption};
use crate::status::{ServiceStatus, Snapshot, View};

/// What run needs to know beforehand.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state folder.
    pub state: PathBuf,
    /// The name of the site.
    pub site: String,
    /// A deploy is refused when less of the state folder's disk is free.
    pub disk_free_min_percent: f64,
    /// The soft limit of open files that replicas get unless their service says otherwise: see `driver::raise_files`.
    pub files_soft: Option<u64>,
}

/// What serves of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Its spec, with the number of replicas wanted now.
    pub spec: ServiceSpec,
    /// Whether a person stopped it.
    pub stopped: bool,
}

/// What run tells others and asks of them.
#[derive(Clone)]
pub struct Wiring {
    /// Told where requests may go. Returns a number that grows with each call.
    pub publish: Publish,
    /// Asked who still sends requests to a replica.
    pub traffic: Traffic,
    /// Asked for a secret when a replica starts. May take its time: it is called on a thread of its own.
    pub secrets: Secrets,
}

/// Takes the endpoints of every service that listens; returns the generation of this publication.
pub type Publish = Arc<dyn Fn(&BTreeMap<String, Vec<Endpoint>>) -> u64 + Send + Sync>;

/// Takes an endpoint id and the generation that first went without it.
pub type Traffic = Arc<dyn Fn(&str, u64) -> InFlight + Send + Sync>;

/// Fetches a secret, or says why not.
pub type Secrets = Arc<dyn Fn(&SecretSource) -> Result<Secret, String> + Send + Sync>;

impl fmt::Debug for Wiring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wiring").finish_non_exhaustive()
    }
}

/// Where one replica takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Unique for each start of each replica.
    pub id: String,
    /// Where to connect.
    pub address: Address,
    /// What to speak there.
    pub protocol: Protocol,
}

/// What is still under way to a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// True when nobody picks the replica for new requests any more.
    pub settled: bool,
    /// Requests that were sent and not yet answered in full.
    pub requests: u64,
    /// Tunnels, such as web sockets. They do not hold a drain: the app is told to stop and closes them itself.
    pub tunnels: u64,
}

/// Why run could not begin.
#[derive(Debug)]
pub enum StartError {
    /// The ledger could not be read.
    Ledger(LedgerError),
    /// The state folder could not be prepared.
    State {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Ledger(error) => write!(formatter, "run cannot read what it wrote down: {error}"),
            StartError::State { path, error } => {
                write!(
                    formatter,
                    "run cannot prepare {}: {error}\n\nhint: prumo must be able to write its state folder",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Orders that may wait. People give them one at a time.
const ORDERS_MAX: usize = 64;

/// Reports of watchers and probes that may wait; whoever finds it full waits, which slows probes and loses nothing.
const EVENTS_MAX: usize = 256;

/// When to look first for processes that belong to nobody. One that an earlier prumo was just forking when it was
/// killed shows its marker only after its exec, which takes milliseconds.
const FIRST_SWEEP_AFTER: Duration = Duration::from_secs(1);

/// The running of replicas, for whoever may ask. Clones are the same run.
#[derive(Clone)]
pub struct Run {
    shared: Arc<Shared>,
    by: Arc<str>,
}

struct Shared {
    settings: Settings,
    clock: Clock,
    stage: Stage,
    journal: Journal,
    wiring: Wiring,
    orders: mpsc::Sender<Order>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Run").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Run {
    /// Reads what was written down, takes over the replicas that still run, ends what belongs to nobody, and goes on
    /// from there. Nothing is restarted.
    ///
    /// # Errors
    /// When the ledger cannot be read or the state folder cannot be written.
    pub async fn start(
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
        stage: &Stage,
        wiring: Wiring,
    ) -> Result<Run, StartError> {
        let site = prepare_state(&settings.state, &clock)?;
        let journal = Journal::new(ledger);
        let rows = journal.load().await.map_err(StartError::Ledger)?;
        let in_logs = |error| StartError::State { path: settings.state.join("logs"), error };
        let capture = Capture::start(stage, &clock).map_err(in_logs)?;
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let (events, reported) = mpsc::channel(EVENTS_MAX);
        let (snapshot, seen) = watch::channel(Arc::default());
        let mut owner = Owner {
            limits: Limits::detect(&site, settings.files_soft),
            settings: settings.clone(),
            site,
            boot: proc::boot_id(),
            sweep_at: clock.now() + FIRST_SWEEP_AFTER,
            clock: clock.clone(),
            stage: stage.clone(),
            journal: journal.clone(),
            wiring: wiring.clone(),
            capture,
            desired: Desired::default(),
            observed: Observed::default(),
            services: BTreeMap::new(),
            traces: BTreeMap::new(),
            environments: BTreeMap::new(),
            unwritten: Vec::new(),
            halted: Vec::new(),
            events,
            snapshot,
        };
        owner.take_over(rows).await;
        owner.converge().await;
        owner.answer();
        stage.spawn("run", owner.own(received, reported));
        let shared = Shared { settings, clock, stage: stage.clone(), journal, wiring, orders, snapshot: seen };
        Ok(Run { shared: Arc::new(shared), by: Arc::from("prumo") })
    }

    /// The same run, in the name of somebody: written down with every release they make.
    #[must_use]
    pub fn by(&self, who: &str) -> Run {
        Run { shared: Arc::clone(&self.shared), by: Arc::from(who) }
    }

    /// Makes a new release of each service, one after the other, and makes it serve. What can be known of any of them
    /// beforehand is refused before anything is started; after that the first failure ends it, and the error says what was
    /// deployed before.
    ///
    /// # Errors
    /// When a service cannot be deployed; what served before still serves.
    pub async fn deploy(
        &self,
        services: Vec<ServiceSpec>,
        steps: mpsc::Sender<Step>,
    ) -> Result<Vec<Deployed>, DeployError> {
        // Looked at all of them before anything is started, so that a slip in the last does not leave half a deploy.
        let mut ready = Vec::new();
        for spec in services {
            ready.push(self.prepare(spec, None, &steps).await?);
        }
        let mut deployed = Vec::new();
        for prepared in ready {
            match self.begin(Kind::Deploy, prepared, None, &steps).await {
                Ok(done) => deployed.push(done),
                Err(error) => return Err(DeployError { deployed, ..error }),
            }
        }
        Ok(deployed)
    }

    async fn deploy_one(&self, spec: ServiceSpec, steps: &mpsc::Sender<Step>) -> Result<Deployed, DeployError> {
        let prepared = self.prepare(spec, None, steps).await?;
        self.begin(Kind::Deploy, prepared, None, steps).await
    }

    /// Makes an earlier release serve again: the one before when none is named.
    ///
    /// # Errors
    /// When there is no such release, or it does not become healthy.
    pub async fn rollback(
        &self,
        service: &str,
        to: Option<u64>,
        steps: mpsc::Sender<Step>,
    ) -> Result<Deployed, DeployError> {
        let view = self.view(service)?;
        let Some(release) = to.or(view.status.previous) else {
            let message = format!("there is no release of `{service}` before the one that serves");
            return Err(DeployError::new(Fault::Unknown, service, message).hint("`prumo status` shows what there is"));
        };
        if Some(release) == view.status.release && to.is_some() && view.stopped == Stopped::No {
            let message = format!("release {release} of `{service}` serves already");
            return Err(DeployError::new(Fault::Refused, service, message)
                .hint(format!("`prumo restart {service}` starts it again")));
        }
        let found = self.shared.journal.release(service, release).await;
        let spec = found.map_err(|error| unread(service, &error))?.ok_or_else(|| {
            let message = format!("there is no release {release} of `{service}`, or no longer");
            DeployError::new(Fault::Unknown, service, message).hint("the newest 20 releases are kept")
        })?;
        let message = going_back(view.status.release, view.failed, Some(release) == view.status.previous);
        drop(steps.try_send(Step {
            service: service.to_owned(),
            release: Some(release),
            step: DeployStep::Preflight,
            message,
        }));
        let prepared = self.prepare(ServiceSpec::clone(&spec), Some(release), &steps).await?;
        let begun = self.begin(Kind::Rollback, prepared, Some(release), &steps).await;
        begun.map_err(|error| match (error.fault, error.hint.clone()) {
            (Fault::Unhealthy, Some(hint)) => error.hint(format!(
                "{hint}; a rollback brings back the command and the configuration, and the files on disk are as they are"
            )),
            _ => error,
        })
    }

    /// Starts the serving release again beside itself and stops the old replicas when the new ones are healthy. Starts
    /// a stopped service.
    ///
    /// # Errors
    /// When nothing serves, or the new replicas do not become healthy.
    pub async fn restart(&self, service: &str, steps: mpsc::Sender<Step>) -> Result<Deployed, DeployError> {
        let view = self.view(service)?;
        let (Some(release), Some(spec)) = (view.status.release, view.spec) else {
            let message = format!("`{service}` has no release that ever served");
            return Err(
                DeployError::new(Fault::Unknown, service, message).hint(format!("`prumo deploy {service}` makes one"))
            );
        };
        let prepared = self.prepare(ServiceSpec::clone(&spec), Some(release), &steps).await?;
        self.begin(Kind::Restart, prepared, Some(release), &steps).await
    }

    /// Looks at everything that can be known beforehand.
    async fn prepare(
        &self,
        spec: ServiceSpec,
        release: Option<u64>,
        steps: &mpsc::Sender<Step>,
    ) -> Result<Prepared, DeployError> {
        let (service, step) = (spec.name.clone(), DeployStep::Preflight);
        let message = "checking the machine, the folder, the user and the secrets".to_owned();
        drop(steps.try_send(Step { service, release, step, message }));
        self.preflight(spec).await
    }

    async fn begin(
        &self,
        kind: Kind,
        prepared: Prepared,
        release: Option<u64>,
        steps: &mpsc::Sender<Step>,
    ) -> Result<Deployed, DeployError> {
        let service = prepared.spec.name.clone();
        let (reply, answer) = oneshot::channel();
        let (by, steps) = (self.by.to_string(), Some(steps.clone()));
        let begin = Begin { kind, prepared, release, by, steps, reply };
        self.ask(&service, Order::Begin(Box::new(begin)), answer).await
    }

    /// On a thread of its own, because a secret may come from a command that takes its time.
    async fn preflight(&self, spec: ServiceSpec) -> Result<Prepared, DeployError> {
        let service = spec.name.clone();
        let (settings, wiring) = (self.shared.settings.clone(), self.shared.wiring.clone());
        let check = move || preflight(spec, &settings.state, settings.disk_free_min_percent, &wiring);
        self.on_thread("preflight", &service, check).await?
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        name: &'static str,
        service: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DeployError> {
        let (reply, answer) = oneshot::channel();
        let started = self.shared.stage.thread(name, move || drop(reply.send(work())));
        started.map_err(|error| DeployError::new(Fault::Refused, service, format!("`{service}`: {error}")))?;
        answer.await.map_err(|_| DeployError::interrupted(service))
    }

    /// Changes how many replicas of the serving release run. Returns when that is written down; `status` shows how far
    /// it is.
    ///
    /// # Errors
    /// When there is no such service or the ledger cannot be written.
    pub async fn scale(&self, service: &str, replicas: u32) -> Result<(), DeployError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Scale { service: service.to_owned(), replicas, from_file: false, reply };
        self.ask(service, order, answer).await
    }

    /// Stops every replica of a service and waits until they are gone. `deploy` and `restart` start it again.
    ///
    /// # Errors
    /// When there is no such service or the ledger cannot be written.
    pub async fn stop(&self, service: &str) -> Result<(), DeployError> {
        self.stop_because(service, Stopped::ByPerson).await
    }

    /// Stops a service that is no longer in the file and waits until its replicas are gone. Unlike after `stop`, it
    /// runs again as soon as the file names it again.
    ///
    /// # Errors
    /// When there is no such service or the ledger cannot be written.
    pub async fn leave(&self, service: &str) -> Result<(), DeployError> {
        self.stop_because(service, Stopped::NotInFile).await
    }

    async fn stop_because(&self, service: &str, stopped: Stopped) -> Result<(), DeployError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Stop { service: service.to_owned(), stopped, reply };
        self.ask(service, order, answer).await
    }

    /// Stops every replica for a clean end; what still lives at the deadline is killed. The next start of prumo starts
    /// them again. Without this, replicas outlive prumo.
    pub async fn halt(&self, within: Duration) {
        let (reply, answer) = oneshot::channel();
        if self.shared.orders.send(Order::Halt { within, reply }).await.is_ok() {
            drop(answer.await);
        }
    }

    /// How every service is, in the order of their names. Services that left the file and have stopped are not shown.
    pub fn status(&self) -> Vec<ServiceStatus> {
        self.snapshot().statuses()
    }

    /// What a command needs to run as the service would: its environment with secrets, its folder and its user.
    ///
    /// # Errors
    /// When there is no such service or a secret cannot be fetched.
    pub async fn environment(&self, service: &str) -> Result<Execution, DeployError> {
        let view = self.view(service)?;
        let Some(spec) = view.spec else {
            let message = format!("`{service}` has no release that ever served");
            return Err(DeployError::new(Fault::Unknown, service, message));
        };
        let wiring = self.shared.wiring.clone();
        let fetched = Arc::clone(&spec);
        let found = self.on_thread("fetch-secrets", service, move || environment(&fetched, &wiring)).await?;
        let (environment, _) =
            found.map_err(|why| DeployError::new(Fault::Preflight, service, format!("`{service}`: {why}")))?;
        Ok(Execution {
            environment: environment.variables().clone(),
            folder: spec.folder.clone(),
            user: spec.user.clone(),
            group: spec.group.clone(),
        })
    }

    /// The last `count` lines a service printed and, if asked for, those to come.
    ///
    /// # Errors
    /// When there is no such service or its files cannot be read.
    pub fn logs(&self, service: &str, count: usize, follow: bool) -> Result<Lines, DeployError> {
        let view = self.view(service)?;
        view.log.read(count, follow).map_err(|error| {
            DeployError::new(Fault::Preflight, service, format!("the log of `{service}` cannot be read: {error}"))
        })
    }

    /// Whether the one who supervises replicas lives. When it has ended, replicas run on without it.
    pub fn is_supervising(&self) -> bool {
        !self.shared.orders.is_closed()
    }

    /// What serves, by service: its spec with the number of replicas wanted now, and whether it is stopped. Services
    /// without a release that serves are not in it.
    pub fn serving(&self) -> BTreeMap<String, Serving> {
        let snapshot = self.snapshot();
        let views = snapshot.services.iter().filter(|(_, view)| view.stopped != Stopped::NotInFile);
        let serving = views.filter_map(|(name, view)| {
            let spec = ServiceSpec { replicas: view.status.wanted, ..ServiceSpec::clone(view.spec.as_ref()?) };
            Some((name.clone(), Serving { spec, stopped: view.stopped != Stopped::No }))
        });
        serving.collect()
    }

    /// Appends run's metrics in the Prometheus text format.
    pub fn metrics(&self, text: &mut String) {
        crate::metrics::write(&self.snapshot(), text);
    }

    /// Removes records that nobody needs any more.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn tidy(&self) -> Result<(), LedgerError> {
        self.shared.journal.tidy().await
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.borrow())
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// What is under way to one start of a replica.
    pub(crate) fn in_flight(&self, endpoint: &str) -> InFlight {
        (self.shared.wiring.traffic)(endpoint, 0)
    }

    pub(crate) fn view(&self, service: &str) -> Result<View, DeployError> {
        self.snapshot().services.get(service).cloned().ok_or_else(|| DeployError::no_service(service))
    }

    async fn ask<T>(
        &self,
        service: &str,
        order: Order,
        answer: oneshot::Receiver<Result<T, DeployError>>,
    ) -> Result<T, DeployError> {
        self.shared.orders.send(order).await.map_err(|_| DeployError::interrupted(service))?;
        answer.await.map_err(|_| DeployError::interrupted(service))?
    }
}

fn unread(service: &str, error: &LedgerError) -> DeployError {
    DeployError::new(Fault::Ledger, service, format!("the releases of `{service}` cannot be read: {error}"))
        .hint(error.hint())
}

/// Where a rollback goes, for whoever takes the last deploy for the one that serves.
fn going_back(serving: Option<u64>, failed: Option<u64>, is_previous: bool) -> String {
    let to = if is_previous { "going back to this release, which served before" } else { "going back to this release" };
    match (serving, failed) {
        (Some(serving), Some(failed)) => {
            format!("{to}; release {serving} serves, the failed release {failed} never did")
        }
        _ => to.to_owned(),
    }
}

/// Whether processes of replicas live that were started out of this state folder.
pub fn anything_runs(state: &Path) -> bool {
    let site = fs::read_to_string(state.join("run").join("site")).unwrap_or_default();
    !site.is_empty() && !crate::driver::tree::marked(&site).is_empty()
}

/// Makes the folders and returns the name of this state folder in markers: random, and kept beside the ledger so that
/// it outlives a lost one.
fn prepare_state(state: &Path, clock: &Clock) -> Result<String, StartError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| StartError::State { path, error }
    };
    // Replicas of other users pass through `run` to their sockets but may not look around.
    for (folder, mode) in [(state.join("run"), 0o711), (state.join("logs"), 0o700)] {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).map_err(at(&folder))?;
    }
    let file = state.join("run").join("site");
    let known = fs::read_to_string(&file).unwrap_or_default();
    if known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known);
    }
    let name = nonce(clock);
    fs::write(&file, &name).map_err(at(&file))?;
    Ok(name)
}
