//! Starting a replica: everything from a free port to the tasks that watch and probe it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Task;
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::desired::{Check, Listen, ServiceSpec};
use crate::driver::environment::{Environment, fill};
use crate::driver::output::{Pipes, Reading};
use crate::driver::ports;
use crate::driver::process::{Launch, NotStarted, Process, user_of};
use crate::driver::tree::Marker;
use crate::driver::user::User;
use crate::journal::ProcessRow;
use crate::owner::{CHECK_COMMAND, Event, Owner, Resolved, replica_mut};
use crate::plan::ReplicaId;
use crate::probe::{Address, CommandContext, Probe};
use crate::release::{environment, socket_path};

/// How soon to look again for an environment that is being fetched.
const ENVIRONMENT_SOON: Duration = Duration::from_millis(50);

/// How long to wait for the last output of a replica that ended: it is in the pipe already, so this is generous.
const OUTPUT_WITHIN: Duration = Duration::from_millis(500);

/// How long to go on killing what does not die, such as a process stuck in a broken file system.
const SWEEP_GIVE_UP: Duration = Duration::from_secs(10);

/// How soon to look whether the rest of a tree has ended, and how seldom later: looking reads all of `/proc`.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_PAUSE_MAX: Duration = Duration::from_millis(500);

impl Owner {
    /// Starts the process of a waiting replica. A failure counts as an end: the same wait, the same limit of attempts.
    pub(super) async fn start(&mut self, id: &ReplicaId) {
        let Some(environment) = self.environment_for(id) else { return };
        let started = match environment {
            Ok(environment) => self.launch(id, &environment).await,
            Err(why) => Err(why),
        };
        let (now, wall, clock, spec) = (self.clock.now(), self.clock.wall(), self.clock.clone(), self.spec_of(id));
        let (Some(trace), Some(replica)) = (self.traces.get_mut(&id.replica), replica_mut(&mut self.observed, id))
        else {
            return;
        };
        trace.since = wall;
        match (started, spec) {
            (Ok(()), _) => replica.started(now),
            (Err(why), Some(spec)) => {
                tracing::warn!(service = id.service, replica = id.replica, why, "replica could not be started");
                trace.last_exit = Some(why);
                trace.remove_process();
                replica.failed_to_start(&spec.restart, now, |wait| clock.jitter(wait, 25));
            }
            (Err(_), None) => replica.state = crate::observe::State::Gone,
        }
    }

    /// The environment of a replica's version. `None` when it is being fetched; the replica waits a little longer.
    fn environment_for(&mut self, id: &ReplicaId) -> Option<Result<Arc<Environment>, String>> {
        let deploy = self.traces.get(&id.replica)?.row.version.deploy;
        match self.environments.get(&deploy) {
            Some(Resolved::Ready(environment)) => return Some(Ok(Arc::clone(environment))),
            Some(Resolved::Failed(why)) => {
                let why = why.clone();
                // The next attempt asks again.
                self.environments.remove(&deploy);
                return Some(Err(why));
            }
            Some(Resolved::Asked) => {}
            None => self.fetch_environment(id, deploy),
        }
        let soon = self.clock.now() + ENVIRONMENT_SOON;
        if let Some(replica) = replica_mut(&mut self.observed, id) {
            replica.state = crate::observe::State::Waiting { until: soon };
        }
        None
    }

    pub(crate) fn fetch_environment(&mut self, id: &ReplicaId, deploy: u64) {
        if self.environments.contains_key(&deploy) {
            return;
        }
        let Some(spec) = self.spec_of(id) else {
            self.environments.insert(deploy, Resolved::Failed("its release is no longer in the ledger".to_owned()));
            return;
        };
        let (wiring, events) = (self.wiring.clone(), self.events.clone());
        let fetch = move || {
            let environment = environment(&spec, &wiring).map(|(environment, _)| environment);
            // The owner is gone when this fails, and with it the need.
            drop(events.blocking_send(Event::Resolved { deploy, environment }));
        };
        let resolved = match self.stage.thread("fetch-secrets", fetch) {
            Ok(()) => Resolved::Asked,
            Err(error) => Resolved::Failed(format!("its secrets could not be fetched: {error}")),
        };
        self.environments.insert(deploy, resolved);
    }

    async fn launch(&mut self, id: &ReplicaId, environment: &Environment) -> Result<(), String> {
        let spec = self.spec_of(id).ok_or("its release is no longer in the ledger")?;
        let user = user_of(spec.user.as_deref(), spec.group.as_deref())?;
        let address = self.new_address(id, &spec, user.as_ref())?;
        let marker = self.intend(id, address.as_ref()).await?;
        let pipes = Pipes::of(&self.run_folder(), &id.replica);
        let opened = pipes.make(user.as_ref()).map_err(|error| format!("its output cannot be captured: {error}"))?;
        let release = self.traces.get(&id.replica).map_or(0, |trace| trace.row.version.release);
        let known = Known::new(&id.replica, release, address.as_ref());
        let environment = known.add_to(environment.clone());
        let held = self.limits.hold(&id.replica, &spec);
        let limits = held.words.clone();
        let argv: Vec<String> = spec.run.iter().map(|argument| known.fill(argument)).collect();
        let process = Process::start(Launch {
            argv: &argv,
            folder: &spec.folder,
            environment: &environment,
            user: user.clone(),
            output: Some(opened.child),
            marker: marker.clone(),
            held,
        })
        .map_err(NotStarted::into_words)?;
        let service = self.services.get(&id.service).ok_or("its service is gone")?;
        let reading = self.capture.read(opened.read, &id.replica, release, &service.log).await;
        tracing::info!(service = id.service, replica = id.replica, pid = process.tree.leader.pid, "replica started");
        if let Some(trace) = self.traces.get_mut(&id.replica) {
            trace.limits = limits;
            trace.address = address;
            trace.last_check = None;
        }
        self.watch(id, process, Some(reading), &spec);
        self.probe(id, &spec, environment, user);
        self.keep_process(id).await;
        Ok(())
    }

    /// Writes down what is about to be started, so that the next prumo can find it whatever happens now.
    async fn intend(&mut self, id: &ReplicaId, address: Option<&Address>) -> Result<Marker, String> {
        let trace = self.traces.get_mut(&id.replica).ok_or("it is gone")?;
        trace.row.starts += 1;
        trace.row.nonce = nonce(&self.clock);
        trace.row.process = None;
        trace.row.ready = false;
        trace.row.port = match address {
            Some(Address::Tcp(tcp)) => Some(tcp.port()),
            _ => None,
        };
        let row = trace.row.clone();
        let marker = Marker { site: self.site.clone(), replica: id.replica.clone(), nonce: row.nonce.clone() };
        self.keep_row(row).await;
        Ok(marker)
    }

    async fn keep_process(&mut self, id: &ReplicaId) {
        let boot = self.boot.clone();
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        let leader = trace.tree.as_ref().map(|tree| tree.leader);
        trace.row.process = leader.map(|leader| ProcessRow { pid: leader.pid, start_ticks: leader.start_ticks, boot });
        let row = trace.row.clone();
        self.keep_row(row).await;
    }

    /// A new place to listen at for each start: a port that was taken meanwhile must not stop a replica for ever.
    fn new_address(&self, id: &ReplicaId, spec: &ServiceSpec, user: Option<&User>) -> Result<Option<Address>, String> {
        match spec.listen {
            Listen::Nothing => Ok(None),
            Listen::Port => {
                let promised: BTreeSet<u16> = self.traces.values().filter_map(|trace| trace.row.port).collect();
                let port = ports::free(&promised).map_err(|error| format!("there is no port for it: {error}"))?;
                Ok(Some(Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))))
            }
            Listen::Socket => {
                let path = socket_path(&self.settings.state, &id.replica);
                let made = prepare_socket(&path, user);
                made.map_err(|error| format!("there is no place for its socket, {}: {error}", path.display()))?;
                Ok(Some(Address::Unix(path)))
            }
        }
    }

    /// Starts the task that sees a replica's end.
    pub(crate) fn watch(&mut self, id: &ReplicaId, process: Process, reading: Option<Reading>, spec: &ServiceSpec) {
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        trace.tree = Some(process.tree.clone());
        let watch = Watch {
            id: id.clone(),
            starts: trace.row.starts,
            process,
            reading,
            signal: spec.stop.signal.into(),
            within: spec.stop.within,
            clock: self.clock.clone(),
            events: self.events.clone(),
        };
        self.spawn("replica-watch", watch.until_ended());
    }

    /// Starts the task that checks a replica's health.
    pub(crate) fn probe(&mut self, id: &ReplicaId, spec: &ServiceSpec, environment: Environment, user: Option<User>) {
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        trace.end_probe();
        let known = Known::new(&id.replica, trace.row.version.release, trace.address.as_ref());
        let mut health = spec.health.clone();
        if let Check::Command(argv) = &mut health.check {
            argv.iter_mut().for_each(|argument| *argument = known.fill(argument));
        }
        let marker = Marker { site: self.site.clone(), replica: CHECK_COMMAND.to_owned(), nonce: nonce(&self.clock) };
        let command = CommandContext {
            folder: spec.folder.clone(),
            environment: Arc::new(known.add_to(environment)),
            user,
            marker,
            stage: self.stage.clone(),
        };
        let probe = Probe {
            service: id.service.clone(),
            replica: id.replica.clone(),
            starts: trace.row.starts,
            health,
            address: trace.address.clone(),
            command,
            clock: self.clock.clone(),
        };
        let task = self.spawn("replica-probe", probe.repeat(self.events.clone()));
        if let Some(trace) = self.traces.get_mut(&id.replica) {
            trace.probe = Some(task);
        }
    }

    /// Starts a task that has nothing to finish when prumo stops.
    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Task {
        let stopping = self.stage.stopping();
        self.stage.spawn(name, async move {
            tokio::select! {
                () = work => {}
                () = stopping.wait() => {}
            }
        })
    }
}

/// The variables that prumo knows and a program may use.
struct Known {
    values: Vec<(&'static str, String)>,
}

impl Known {
    fn new(replica: &str, release: u64, address: Option<&Address>) -> Known {
        let mut values = vec![("REPLICA", replica.to_owned()), ("RELEASE", release.to_string())];
        match address {
            Some(Address::Tcp(tcp)) => values.push(("PORT", tcp.port().to_string())),
            Some(Address::Unix(path)) => values.push(("SOCKET", path.display().to_string())),
            None => {}
        }
        Known { values }
    }

    fn fill(&self, argument: &str) -> String {
        let values: Vec<(&str, &str)> = self.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fill(argument, &values)
    }

    fn add_to(&self, environment: Environment) -> Environment {
        self.values.iter().fold(environment, |all, (name, value)| all.with(name, value.as_str()))
    }
}

/// Sees a replica's end and cleans up after it.
struct Watch {
    id: ReplicaId,
    starts: u64,
    process: Process,
    reading: Option<Reading>,
    signal: Signal,
    within: Duration,
    clock: Clock,
    events: mpsc::Sender<Event>,
}

impl Watch {
    async fn until_ended(mut self) {
        let exit = self.process.ended().await;
        let ReplicaId { service, replica } = self.id.clone();
        drop(self.events.send(Event::Exited { service, replica, starts: self.starts }).await);
        let out_of_memory = self.process.tree.groups.out_of_memory_kills() > 0;
        let swept = self.sweep().await;
        if let Some(reading) = self.reading.take() {
            // Too late is no harm: the lines are only missing from the message about this end.
            let _ = self.clock.timeout(OUTPUT_WITHIN, reading.ended()).await;
        }
        let ReplicaId { service, replica } = self.id;
        let ended = Event::Ended { service, replica, starts: self.starts, exit, out_of_memory, swept };
        drop(self.events.send(ended).await);
    }

    /// Ends what the leader left behind: asks first, kills later, until nothing of the tree lives.
    async fn sweep(&self) -> usize {
        let tree = &self.process.tree;
        let left = tree.signal_all(self.signal);
        if left == 0 {
            return 0;
        }
        let deadline = self.clock.now() + self.within;
        let mut pause = SWEEP_PAUSE;
        while !tree.members().is_empty() {
            let now = self.clock.now();
            if now >= deadline + SWEEP_GIVE_UP {
                tracing::error!(replica = self.id.replica, "processes of a replica cannot be killed");
                break;
            }
            if now >= deadline {
                tree.signal_all(Signal::KILL);
            }
            self.clock.sleep(pause).await;
            pause = (pause * 3 / 2).min(SWEEP_PAUSE_MAX);
        }
        left
    }
}

fn prepare_socket(path: &Path, user: Option<&User>) -> std::io::Result<()> {
    let folder = path.parent().expect("the path of a socket has a folder");
    std::fs::create_dir_all(folder)?;
    if let Some(user) = user {
        std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Tells one start of a replica from every other.
pub(crate) fn nonce(clock: &Clock) -> String {
    let mut bytes = [0; 8];
    clock.fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
