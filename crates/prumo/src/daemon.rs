//! The life of the process: hold the state folder, open the parts in order, wait, and close them in reverse.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prumo_api::{Door, Listener, Refusal, RefusalKind, Tokens};
use prumo_clock::Clock;
use prumo_config::{Config, MetricsAccess};
use prumo_drain::{Drain, Signal, Signals, Task};
use prumo_edge::{Edge, Scheme};
use prumo_ledger::{Ledger, LedgerError};
use prumo_run::Run;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::cli::{Common, Exit, Outcome, Printer};
use crate::file::{ReadError, Reading, TheFile};
use crate::handover::elders::Elders;
use crate::handover::{Inheritance, Line, Message, Name, notify};
use crate::maintenance::Standing;
use crate::secrets::Secrets;
use crate::site::{Parts, Site, ledger_refusal};
use crate::state::{self, State};
use crate::upgrade::{self, Heir, Wish};
use crate::{answer, log, maintenance, remarks, watched, wire};

/// How long requests in flight may go on after the first signal. The longest route timeout by default is a minute;
/// somebody who asks prumo to stop does not want to wait that long.
pub(crate) const FRONT_STOPS_WITHIN: Duration = Duration::from_secs(20);
/// How long the replicas may take to stop, beyond which they are killed.
const REPLICAS_STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long the ledger may take to close.
pub(crate) const BACK_STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What `prumo up` was asked for.
#[derive(Clone)]
pub(crate) struct Options {
    /// The file.
    pub file: TheFile,
    /// The state folder.
    pub state: PathBuf,
    /// Whether to say only what went wrong.
    pub quiet: bool,
    /// What another `prumo up` must be started with to mean the same.
    pub arguments: Vec<OsString>,
}

/// A site that runs.
pub(crate) struct Daemon {
    /// What can be asked and done.
    pub site: Arc<Site>,
    pub(crate) house: House,
    /// What answers questions: admin listener and command socket.
    pub(crate) desk: Drain,
    pub(crate) accepting: [Task; 2],
    /// What stands behind: replicas and ledger.
    pub(crate) back: Drain,
    /// The successor, once there is one.
    pub(crate) heir: Option<Heir>,
}

/// What a site keeps while the rest of it is handed over, or taken back.
pub(crate) struct House {
    pub(crate) options: Options,
    pub(crate) printer: Printer,
    pub(crate) clock: Clock,
    pub(crate) state: State,
    pub(crate) edge: Edge,
    /// The stage of the edge.
    pub(crate) front: Drain,
    pub(crate) admin: OwnedFd,
    pub(crate) admin_is_given: bool,
    pub(crate) command: OwnedFd,
    pub(crate) elders: Elders,
    /// Who listens to the elders.
    pub(crate) hearing: Drain,
    pub(crate) keeper: Option<Line>,
    pub(crate) files_soft: Option<u64>,
    /// The sockets that a service manager may keep since before this process.
    kept: BTreeSet<String>,
    wishes: mpsc::Sender<Wish>,
    pub(crate) wished: mpsc::Receiver<Wish>,
}

/// What is opened after the house, and anew when it is taken back.
pub(crate) struct Rooms {
    pub(crate) site: Arc<Site>,
    pub(crate) desk: Drain,
    pub(crate) accepting: [Task; 2],
    pub(crate) back: Drain,
}

impl Options {
    /// The options in the common arguments.
    pub(crate) fn from_common(common: &Common) -> Options {
        Options {
            file: TheFile::new(&common.file, common.env.as_deref()),
            state: state::locate(common.state.as_deref(), &common.file),
            quiet: common.quiet,
            arguments: common.for_another(),
        }
    }
}

/// `prumo up`: runs the site until a signal ends it.
pub(crate) async fn up(options: Options, inherits: bool, printer: Printer, clock: Clock) -> Outcome {
    log::start(clock.clone(), options.quiet);
    // Before anything starts, so that an early Ctrl-C is not lost.
    let mut signals = prumo_drain::signals();
    let inheritance = if inherits { Inheritance::receive(&clock).await? } else { Inheritance::from_service_manager()? };
    let mut daemon = Box::pin(start_with(inheritance, options, printer, clock)).await?;
    printer.line(format!("{} runs; `prumo status` shows it, Ctrl-C stops it", daemon.site.name()));
    Box::pin(daemon.live(&mut signals)).await;
    Box::pin(daemon.stop(&mut signals)).await
}

/// Opens the parts in order. When one cannot open, those before it are closed again.
pub(crate) async fn start(options: &Options, printer: Printer, clock: Clock) -> Result<Daemon, Refusal> {
    Box::pin(start_with(Inheritance::default(), options.clone(), printer, clock)).await
}

async fn start_with(
    mut inheritance: Inheritance,
    options: Options,
    printer: Printer,
    clock: Clock,
) -> Result<Daemon, Refusal> {
    let predecessor = inheritance.predecessor.take().map(Arc::new);
    let error_output = inheritance.error_output.take();
    let prepared = Box::pin(prepare(inheritance, options, printer, clock)).await;
    let (house, reading) = match (prepared, &predecessor) {
        (Ok(prepared), _) => prepared,
        (Err(refusal), Some(line)) => return Err(upgrade::say_why(line, refusal).await),
        (Err(refusal), None) => return Err(refusal),
    };
    if let Some(line) = &predecessor {
        upgrade::await_turn(line).await?;
        // Before any replica may be stopped: requests of the one before are on their way to them.
        house.elders.add(Arc::clone(line));
        house.tell_keeper().await;
    }
    match Box::pin(furnish(&house, reading)).await {
        Ok(rooms) => {
            rooms.site.keep_first_as_good();
            let daemon = Daemon::of(house, rooms);
            match &predecessor {
                Some(line) => upgrade::take_over(&daemon.house, line, error_output).await,
                None => {
                    daemon.house.tell_keeper().await;
                    notify::tell(&format!("READY=1\nMAINPID={}", std::process::id()));
                }
            }
            daemon.house.elders.listen(&daemon.house.hearing.stage("elders"));
            daemon.house.be_watched(predecessor.is_some());
            Ok(daemon)
        }
        Err(refusal) => {
            house.front.stop(BACK_STOPS_WITHIN).await;
            if let Some(line) = &predecessor {
                return Err(upgrade::say_why(line, refusal).await);
            }
            // A start that failed leaves the mark of the run before it: replicas of that run may still live.
            if !house.state.crashed_before {
                house.state.release();
            }
            Err(refusal)
        }
    }
}

/// Everything up to the point where replicas must be one's own: what fails here fails without a trace.
async fn prepare(
    mut inheritance: Inheritance,
    options: Options,
    printer: Printer,
    clock: Clock,
) -> Result<(House, Reading), Refusal> {
    let is_handed = inheritance.lock.is_some();
    let state = match inheritance.lock.take() {
        Some(lock) => State::hold_together(&options.state, lock),
        None => State::hold(&options.state)?,
    };
    let front = Drain::new(clock.clone());
    let kept = inheritance.kept_names();
    let opened = open_front(&mut inheritance, &options, &clock, &state, &front).await;
    let (reading, edge, admin, admin_is_given, command, files_soft) = match opened {
        Ok(opened) => opened,
        Err(refusal) => {
            front.stop(BACK_STOPS_WITHIN).await;
            if !is_handed && !state.crashed_before {
                state.release();
            }
            return Err(refusal);
        }
    };
    watched::end_without_cores(&edge, &front.stage("cores"));
    let (wishes, wished) = mpsc::channel(1);
    let elders = Elders::new(std::mem::take(&mut inheritance.elders), clock.clone());
    let (hearing, keeper) = (Drain::new(clock.clone()), inheritance.keeper.take());
    let house = House {
        options,
        printer,
        clock,
        state,
        edge,
        front,
        admin,
        admin_is_given,
        command,
        elders,
        hearing,
        keeper,
        files_soft,
        kept,
        wishes,
        wished,
    };
    Ok((house, reading))
}

type Front = (Reading, Edge, OwnedFd, bool, OwnedFd, Option<u64>);

async fn open_front(
    inheritance: &mut Inheritance,
    options: &Options,
    clock: &Clock,
    state: &State,
    front: &Drain,
) -> Result<Front, Refusal> {
    let files_soft = prumo_run::driver::raise_files();
    let reading = read_file(options, state)?;
    let config = &reading.config;
    // The admin listener binds first, because its address is the likeliest to be taken by a forgotten prumo.
    let (admin, admin_is_given) = admin_socket(inheritance, config).await?;
    let command = match inheritance.take(Name::Command) {
        Some(named) => named.descriptor,
        None => state.listen()?,
    };
    let mut settings = wire::settings_for_the_edge(config, options.file.folder(), state.folder())?;
    settings.sticky_key = Some(state.sticky_key(clock));
    let sockets = inheritance.take_edge_sockets();
    let edge = Edge::start_on(sockets, settings, clock.clone(), &front.stage("edge"))
        .map_err(|error| wire::edge_refusal(&error))?;
    Ok((reading, edge, admin, admin_is_given, command, files_soft))
}

/// Opens what only one process may have open: the ledger and the replicas; then whoever asks is answered.
pub(crate) async fn furnish(house: &House, reading: Reading) -> Result<Rooms, Refusal> {
    let (desk, back) = (Drain::new(house.clock.clone()), Drain::new(house.clock.clone()));
    match Box::pin(open_rooms(house, reading, &desk, &back)).await {
        Ok((site, accepting)) => Ok(Rooms { site, desk, accepting, back }),
        Err(refusal) => {
            desk.stop(BACK_STOPS_WITHIN).await;
            back.stop(BACK_STOPS_WITHIN).await;
            Err(refusal)
        }
    }
}

async fn open_rooms(
    house: &House,
    reading: Reading,
    desk: &Drain,
    back: &Drain,
) -> Result<(Arc<Site>, [Task; 2]), Refusal> {
    let House { options, clock, state, edge, .. } = house;
    let ledger = open_ledger(state, clock, back).map_err(|error| ledger_refusal(&error))?;
    let tokens = Tokens::load(ledger.clone(), clock.clone()).await.map_err(|error| ledger_refusal(&error))?;
    let secrets = Secrets::new(state.folder());
    let routes = maintenance::routes(&reading.config, options.file.folder(), &Standing::load(state.folder()));
    edge.outside(wire::outside_for_the_edge(&reading.config, options.file.folder()))
        .and_then(|()| edge.routes(routes))
        .map_err(|error| wire::edge_refusal(&error))?;
    edge.traffic(wire::traffic_for_the_edge(&reading.config));
    for remark in remarks::about(&reading.config, options.file.folder()) {
        tracing::warn!("{remark}");
    }
    let settings = run_settings(&reading.config, state, house.files_soft);
    let wiring = wire::run_wiring(edge, &house.elders, secrets.clone(), clock);
    let run = Run::start(settings, ledger.clone(), clock.clone(), &back.stage("run"), wiring)
        .await
        .map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;

    let stage = desk.stage("admin");
    let parts = Parts {
        file: options.file.clone(),
        state: state.folder().to_owned(),
        clock: clock.clone(),
        ledger,
        run,
        edge: edge.clone(),
        secrets,
        tokens,
        tasks: stage.clone(),
        upgrades: house.wishes.clone(),
    };
    let site = Arc::new(Site::new(parts, reading));
    site.adopt();
    let metrics_open = site.config().admin.metrics == MetricsAccess::Open;
    let door = Door::new(site.tokens().clone(), metrics_open, answer::answering(&site), clock.clone());
    show_first_token(&site, house.printer).await?;
    let (admin, command) = house
        .listeners()
        .map_err(|error| Refusal::new(RefusalKind::Failed, format!("the admin listener cannot be served: {error}")))?;
    let accepting = [door.serve(Listener::Tcp(admin), &stage), door.serve(Listener::Socket(command), &stage)];
    site.watch_the_file(&stage);
    site.tidy_by_the_calendar(&stage);
    state.lay_ballast();
    tracing::info!(site = site.name(), admin = %site.config().admin.listen, "site is up");
    Ok((site, accepting))
}

impl House {
    /// Tells a service manager from now on what it wants to hear of the process that runs the site. A successor is not
    /// heard before its predecessor has said whose turn it is.
    fn be_watched(&self, waits_for_turn: bool) {
        if !notify::is_watched() {
            return;
        }
        let stage = self.front.stage("service manager");
        let (edge, clock, elders, kept) =
            (self.edge.clone(), self.clock.clone(), self.elders.clone(), self.kept.clone());
        let (admin, admin_is_given, own) = (self.admin.try_clone(), self.admin_is_given, stage.clone());
        let stopping = stage.stopping();
        stage.spawn("service manager", async move {
            if waits_for_turn {
                tokio::select! {
                    () = elders.turn() => {}
                    () = stopping.wait() => return,
                }
            }
            match admin.and_then(|admin| watched::sockets_of(&edge, &admin, admin_is_given)) {
                Ok(sockets) => watched::keep_sockets(&sockets, &kept),
                Err(error) => tracing::warn!(%error, "the service manager has no sockets to keep"),
            }
            if let Some(every) = watched::beat_every() {
                watched::watch(&edge, &clock, every, &own);
            }
        });
    }

    /// Where the admin listener listens.
    pub(crate) fn admin_address(&self) -> Option<std::net::SocketAddr> {
        rustix::net::getsockname(&self.admin).ok()?.try_into().ok()
    }

    /// The listeners of the desk, to accept on.
    fn listeners(&self) -> std::io::Result<(TcpListener, UnixListener)> {
        let admin = TcpListener::from_std(self.admin.try_clone()?.into())?;
        let command = UnixListener::from_std(self.command.try_clone()?.into())?;
        Ok((admin, command))
    }

    /// Gives the keeper the sockets to hold, and tells it whom to watch.
    pub(crate) async fn tell_keeper(&self) {
        let Some(keeper) = &self.keeper else { return };
        let told = async {
            self.send_sockets(keeper).await?;
            keeper.send(&Message::Hold).await?;
            keeper.send(&Message::Main { pid: std::process::id() }).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, "the keeper was not told whom to watch");
        }
    }

    pub(crate) async fn send_sockets(&self, line: &Line) -> std::io::Result<()> {
        for socket in self.edge.sockets()? {
            let name = if socket.scheme == Scheme::Https { Name::Https } else { Name::Http };
            line.send_with(&Message::Socket { name, given: socket.given }, &socket.descriptor).await?;
        }
        let admin = Message::Socket { name: Name::Admin, given: self.admin_is_given };
        line.send_with(&admin, &self.admin).await?;
        line.send_with(&Message::Socket { name: Name::Command, given: false }, &self.command).await
    }
}

/// Opens the ledger; on a full disk with the room that was kept for this.
fn open_ledger(state: &State, clock: &Clock, back: &Drain) -> Result<Ledger, LedgerError> {
    let stage = back.stage("ledger");
    let open = || Ledger::open(&state.path("ledger.db"), clock.clone(), &stage, &wire::tables());
    match open() {
        Err(LedgerError::Full { .. }) if state.throw_ballast() => {
            tracing::warn!("disk is full: opening the ledger in the room that was kept for it");
            open()
        }
        opened => opened,
    }
}

impl Daemon {
    fn of(house: House, rooms: Rooms) -> Daemon {
        let Rooms { site, desk, accepting, back } = rooms;
        Daemon { site, house, desk, accepting, back, heir: None }
    }

    /// Lives until a signal says stop, or a successor has taken over. SIGHUP applies the file's routes and certificates.
    pub(crate) async fn live(&mut self, signals: &mut Signals) {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => {
                        let since_boot = self.house.clock.since_boot().as_micros();
                        notify::tell(&format!("RELOADING=1\nMONOTONIC_USEC={since_boot}"));
                        let said = self.site.reload().await;
                        notify::tell(&format!("READY=1\nSTATUS={said}"));
                    }
                    Signal::Stop => break,
                },
                () = gone(self.house.keeper.as_ref()) => {
                    self.house.keeper = None;
                    self.site.lose_keeper();
                }
                Some(wish) = self.house.wished.recv() => {
                    let heard = Box::pin(self.hand_over(wish, signals)).await;
                    if self.heir.is_some() {
                        return;
                    }
                    if heard.stop {
                        break;
                    }
                    if heard.reload {
                        self.site.reload().await;
                    }
                }
            }
        }
        notify::tell("STOPPING=1");
        tracing::info!("stopping; a second signal means now");
    }

    /// Closes in reverse: no new work, what is in flight, the replicas, the ledger.
    pub(crate) async fn stop(mut self, signals: &mut Signals) -> Outcome {
        if let Some(heir) = self.heir.take() {
            return self.finish(heir, signals).await;
        }
        let House { front, elders, .. } = &self.house;
        let hurries = [front.hurry(), self.desk.hurry(), self.back.hurry()];
        let run = self.site.run().clone();
        let replicas = async {
            // Requests end first. Web sockets and other endless answers end with their replicas, which alone can say goodbye.
            tokio::join!(self.site.edge().quiet(), elders.dismiss());
            run.halt(REPLICAS_STOP_WITHIN).await;
        };
        let closing = async {
            let (desk, front, ()) =
                tokio::join!(self.desk.stop(FRONT_STOPS_WITHIN), front.stop(FRONT_STOPS_WITHIN), replicas);
            let back = self.back.stop(BACK_STOPS_WITHIN).await;
            [desk, front, back]
        };
        let hurried = async {
            while signals.next().await != Signal::Stop {}
            tracing::warn!("second signal: stopping now");
            hurries[0].now();
            hurries[1].now();
            run.halt(Duration::ZERO).await;
            hurries[2].now();
            std::future::pending::<()>().await;
        };
        let reports = tokio::select! {
            reports = closing => reports,
            () = hurried => unreachable!("never ends by itself"),
        };
        for report in reports {
            if !report.is_clean() {
                tracing::warn!(%report, "not everything ended in time");
            }
        }
        Elders::pause(self.house.hearing).await;
        if let Some(keeper) = &self.house.keeper {
            // One that has gone learns nothing more.
            drop(keeper.send(&Message::Over { code: Exit::Done as u8 }).await);
        }
        self.house.state.release();
        tracing::info!("stopped");
        Ok(Exit::Done)
    }
}

/// Ends when the keeper has; never without one. It has nothing more to say to who runs.
async fn gone(keeper: Option<&Line>) {
    match keeper {
        Some(keeper) => while let Ok(Some(_)) = keeper.next().await {},
        None => std::future::pending().await,
    }
}

/// The file, or after a crash the last good one: a broken file must not turn a restart into an outage.
fn read_file(options: &Options, state: &State) -> Result<Reading, Refusal> {
    let error = match options.file.read() {
        Ok(reading) => return Ok(reading),
        Err(error) => error,
    };
    let good = state.path(crate::site::LAST_GOOD);
    let last = std::fs::read_to_string(&good).ok().filter(|_| state.crashed_before);
    let Some(text) = last else { return Err(error.into_refusal()) };
    let reading = options.file.mean(text, "the last good file").map_err(ReadError::into_refusal)?;
    let why = error.into_refusal().message;
    let why = why.lines().next().unwrap_or_default();
    tracing::error!(
        file = options.file.shown(),
        why,
        "file has mistakes; the last good one is used, because prumo was running before"
    );
    Ok(reading)
}

fn run_settings(config: &Config, state: &State, files_soft: Option<u64>) -> prumo_run::Settings {
    prumo_run::Settings {
        state: state.folder().to_owned(),
        site: config.site.name.clone(),
        disk_free_min_percent: config.site.disk_free_min.ratio() * 100.0,
        files_soft,
    }
}

/// The admin listener that was handed over, if it is where the file wants it, or a new one. Says whether it was given.
async fn admin_socket(inheritance: &mut Inheritance, config: &Config) -> Result<(OwnedFd, bool), Refusal> {
    let handed = inheritance.take(Name::Admin);
    let wanted = config.admin.listen;
    if let Some(named) = handed {
        let listener = std::net::TcpListener::from(named.descriptor);
        let fits = |address: std::net::SocketAddr| {
            address.ip() == wanted.ip() && (wanted.port() == 0 || address.port() == wanted.port())
        };
        if named.given || listener.local_addr().is_ok_and(fits) {
            listener.set_nonblocking(true).map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;
            return Ok((listener.into(), named.given));
        }
    }
    let bound = bind_admin(config).await?.into_std();
    let bound = bound.map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;
    Ok((bound.into(), false))
}

async fn bind_admin(config: &Config) -> Result<TcpListener, Refusal> {
    let address = config.admin.listen;
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let owner = if taken { prumo_edge::owner_of_port(address.port()) } else { None };
        let by = owner.map(|owner| format!(" by {} (pid {})", owner.name, owner.pid)).unwrap_or_default();
        let message = if taken {
            format!("the admin address {address} is taken{by}")
        } else {
            format!("the admin address {address} cannot be bound: {error}")
        };
        Refusal::new(RefusalKind::Refused, message)
            .hint("stop that process, or choose another address with `[admin] listen = \"127.0.0.1:7701\"`")
    })
}

async fn show_first_token(site: &Site, printer: Printer) -> Result<(), Refusal> {
    let made = site.tokens().first().await.map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;
    if let Some(token) = made {
        printer.document(&token);
        printer.answer(format!(
            "administrator token (shown this once; only its hash is kept):\n\n    {}\n\nThe command line on this machine does not need it; HTTP clients of the admin listener do.\n",
            token.token
        ));
    }
    Ok(())
}
