//! The life of the process: hold the state folder, open the parts in order, wait, and close them in reverse.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prumo_api::{Door, Listener, Refusal, RefusalKind, Tokens};
use prumo_clock::Clock;
use prumo_config::{Config, MetricsAccess};
use prumo_drain::{Drain, Signal, Signals};
use prumo_edge::Edge;
use prumo_ledger::{Ledger, LedgerError};
use prumo_run::Run;
use tokio::net::TcpListener;

use crate::cli::{Common, Exit, Outcome, Printer};
use crate::file::{ReadError, Reading, TheFile};
use crate::secrets::Secrets;
use crate::site::{Parts, Site, ledger_refusal};
use crate::state::{self, State};
use crate::{answer, log, remarks, wire};

/// How long requests in flight may go on after the first signal. The longest route timeout by default is a minute;
/// somebody who asks prumo to stop does not want to wait that long.
const FRONT_STOPS_WITHIN: Duration = Duration::from_secs(20);
/// How long the replicas may take to stop, beyond which they are killed.
const REPLICAS_STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long the ledger may take to close.
const BACK_STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What `prumo up` was asked for.
pub(crate) struct Options {
    /// The file.
    pub file: TheFile,
    /// The state folder.
    pub state: PathBuf,
    /// Whether to say only what went wrong.
    pub quiet: bool,
}

/// A site that runs.
pub(crate) struct Daemon {
    /// What can be asked and done.
    pub site: Arc<Site>,
    state: State,
    /// What faces the world: admin listener and edge.
    front: Drain,
    /// What stands behind: replicas and ledger.
    back: Drain,
}

impl Options {
    /// The options in the common arguments.
    pub(crate) fn from_common(common: &Common) -> Options {
        Options {
            file: TheFile::new(&common.file, common.env.as_deref()),
            state: state::locate(common.state.as_deref(), &common.file),
            quiet: common.quiet,
        }
    }
}

/// `prumo up`: runs the site until a signal ends it.
pub(crate) async fn up(options: &Options, printer: Printer, clock: Clock) -> Outcome {
    log::start(clock.clone(), options.quiet);
    // Before anything starts, so that an early Ctrl-C is not lost.
    let mut signals = prumo_drain::signals();
    let daemon = start(options, printer, clock).await?;
    printer.line(format!("{} runs; `prumo status` shows it, Ctrl-C stops it", daemon.site.name()));
    daemon.live(&mut signals).await;
    daemon.stop(&mut signals).await
}

/// Opens the parts in order. When one cannot open, those before it are closed again.
pub(crate) async fn start(options: &Options, printer: Printer, clock: Clock) -> Result<Daemon, Refusal> {
    let state = State::hold(&options.state)?;
    let (front, back) = (Drain::new(clock.clone()), Drain::new(clock.clone()));
    match open(options, printer, &clock, &state, &front, &back).await {
        Ok(site) => Ok(Daemon { site, state, front, back }),
        Err(refusal) => {
            front.stop(BACK_STOPS_WITHIN).await;
            back.stop(BACK_STOPS_WITHIN).await;
            // A start that failed leaves the mark of the run before it: replicas of that run may still live.
            if !state.crashed_before {
                state.release();
            }
            Err(refusal)
        }
    }
}

async fn open(
    options: &Options,
    printer: Printer,
    clock: &Clock,
    state: &State,
    front: &Drain,
    back: &Drain,
) -> Result<Arc<Site>, Refusal> {
    let files_soft = prumo_run::driver::raise_files();
    let reading = read_file(options, state)?;
    let base = options.file.folder();
    let config = &reading.config;

    let ledger = open_ledger(state, clock, back).map_err(|error| ledger_refusal(&error))?;
    let tokens = Tokens::load(ledger.clone(), clock.clone()).await.map_err(|error| ledger_refusal(&error))?;
    let secrets = Secrets::new(state.folder());

    // The admin listener binds first, because its address is the likeliest to be taken by a forgotten prumo.
    let admin = bind_admin(config).await?;
    let socket = state.listen()?;
    let mut edge_settings = wire::settings_for_the_edge(config, base, state.folder())?;
    edge_settings.sticky_key = Some(state.sticky_key(clock));
    let edge = Edge::start(edge_settings, clock.clone(), &front.stage("edge"))
        .and_then(|edge| edge.routes(wire::routes_for_the_edge(config, base)).map(|_| edge))
        .map_err(|error| wire::edge_refusal(&error))?;
    edge.traffic(wire::traffic_for_the_edge(config));
    for remark in remarks::about(config, base) {
        tracing::warn!("{remark}");
    }
    let settings = run_settings(config, state, files_soft);
    let wiring = wire::run_wiring(&edge, secrets.clone(), clock);
    let run = Run::start(settings, ledger.clone(), clock.clone(), &back.stage("run"), wiring)
        .await
        .map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;

    let stage = front.stage("admin");
    let parts = Parts {
        file: options.file.clone(),
        state: state.folder().to_owned(),
        clock: clock.clone(),
        ledger,
        run,
        edge,
        secrets,
        tokens,
        tasks: stage.clone(),
    };
    let site = Arc::new(Site::new(parts, reading));
    site.adopt();
    let metrics_open = site.config().admin.metrics == MetricsAccess::Open;
    let door = Door::new(site.tokens().clone(), metrics_open, answer::answering(&site), clock.clone());
    show_first_token(&site, printer).await?;
    door.serve(Listener::Tcp(admin), &stage);
    door.serve(Listener::Socket(socket), &stage);
    site.watch_the_file(&stage);
    site.tidy_by_the_calendar(&stage);
    state.lay_ballast();
    tracing::info!(site = site.name(), admin = %site.config().admin.listen, "site is up");
    Ok(site)
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
    /// Lives until a signal says stop. SIGHUP applies the file's routes and certificates.
    pub(crate) async fn live(&self, signals: &mut Signals) {
        while signals.next().await == Signal::Reload {
            self.site.reload().await;
        }
        tracing::info!("stopping; a second signal means now");
    }

    /// Closes in reverse: no new work, what is in flight, the replicas, the ledger.
    pub(crate) async fn stop(self, signals: &mut Signals) -> Outcome {
        let hurries = (self.front.hurry(), self.back.hurry());
        let run = self.site.run().clone();
        let replicas = async {
            // Requests end first. Web sockets and other endless answers end with their replicas, which alone can say goodbye.
            self.site.edge().quiet().await;
            run.halt(REPLICAS_STOP_WITHIN).await;
        };
        let closing = async {
            let (front, ()) = tokio::join!(self.front.stop(FRONT_STOPS_WITHIN), replicas);
            let back = self.back.stop(BACK_STOPS_WITHIN).await;
            (front, back)
        };
        let hurried = async {
            while signals.next().await != Signal::Stop {}
            tracing::warn!("second signal: stopping now");
            hurries.0.now();
            run.halt(Duration::ZERO).await;
            hurries.1.now();
            std::future::pending::<()>().await;
        };
        let (front, back) = tokio::select! {
            reports = closing => reports,
            () = hurried => unreachable!("never ends by itself"),
        };
        for report in [front, back] {
            if !report.is_clean() {
                tracing::warn!(%report, "not everything ended in time");
            }
        }
        self.state.release();
        tracing::info!("stopped");
        Ok(Exit::Done)
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
