//! `prumo upgrade`: this process starts its successor, hands it everything, and finishes what it has begun.
//!
//! Until `Prepared` has come nothing has changed. Then this process stops accepting commands and closes its ledger, and
//! after `Yours` the successor supervises, or has failed and is dead, and this process takes back what it had given.
//! `docs/decisions/0013-own-upgrade.md` tells why in this order.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_drain::{Drain, Signal, Signals};
use prumo_edge::Edge;
use prumo_run::driver::own;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;

use crate::cli::{Exit, Outcome};
use crate::daemon::{BACK_STOPS_WITHIN, Daemon, FRONT_STOPS_WITHIN, House, furnish};
use crate::handover::elders::{Elders, Parting, serve_as_elder};
use crate::handover::{Line, Message, Origin, notify};
use crate::keep;
use crate::state::State;

/// How many of a failed successor's last lines are shown.
const LINES_SHOWN: usize = 20;

/// How much of a successor's log is read.
const LOG_BYTES_MAX: u64 = 64 * 1024;

/// How often the site is opened again after a successor failed, before a person is needed.
const TAKE_BACK_TRIES: u32 = 20;
const TAKE_BACK_PAUSE: Duration = Duration::from_millis(250);

/// How long the answer to `prumo upgrade` may take to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long clients of web sockets have for their own farewell when the elder's time is up.
const FAREWELL_WITHIN: Duration = Duration::from_secs(5);

/// How long they may take to be told when nobody serves meanwhile.
const TOLD_IN_A_HURRY: Duration = Duration::from_secs(5);

/// A wish for a successor.
pub(crate) struct Wish {
    /// Its program; the present one when absent.
    pub program: Option<PathBuf>,
    /// How long it may take to be ready.
    pub within: Duration,
    /// Told how it ended.
    pub reply: oneshot::Sender<Result<String, Refusal>>,
}

/// The successor, once it runs the site.
pub(crate) struct Heir {
    line: Line,
    child: Child,
}

/// What signals asked for while this process was handing over.
#[derive(Default)]
pub(crate) struct Heard {
    /// Everything is to stop.
    pub stop: bool,
    /// The file is to be read again.
    pub reload: bool,
}

/// A process that is to become the successor.
struct Successor {
    program: PathBuf,
    child: Child,
    line: Line,
    log: PathBuf,
    within: Duration,
    clock: Clock,
}

impl Daemon {
    /// Makes a successor run the site, or says why not; then everything is as before.
    pub(crate) async fn hand_over(&mut self, wish: Wish, signals: &mut Signals) -> Heard {
        let Wish { program, within, reply } = wish;
        let (mut heard, before) = (Heard::default(), Arc::clone(&self.site));
        let outcome = Box::pin(self.try_hand_over(program, within, signals, &mut heard)).await;
        let told = outcome.map(|(heir, message): (Heir, String)| {
            tracing::info!("{message}");
            self.heir = Some(heir);
            message
        });
        if let Err(refusal) = &told {
            tracing::error!(why = refusal.message, "no successor");
        }
        drop(reply.send(told));
        heard.reload |= before.takes_waiting_reload();
        heard
    }

    async fn try_hand_over(
        &mut self,
        program: Option<PathBuf>,
        within: Duration,
        signals: &mut Signals,
        heard: &mut Heard,
    ) -> Result<(Heir, String), Refusal> {
        if self.house.keeper.is_none() && !notify::is_watched() {
            let because = if self.site.has_lost_keeper() { "its keeper has gone" } else { "it was started by hand" };
            return Err(Refusal::new(
                RefusalKind::Refused,
                format!("nobody would go on when this process ends: {because}"),
            )
            .hint("start it with `prumo up --keep`, or by systemd with `Type=notify`"));
        }
        let program = program.map_or_else(own::program, Ok).map_err(|error| failed(format!("no program: {error}")))?;
        let clock = self.house.clock.clone();
        let deadline = clock.now() + within;
        let mut successor = Successor::start(&self.house, &program, within)?;
        let prepared = tokio::select! {
            prepared = clock.timeout(within, successor.prepare(&self.house)) => prepared.unwrap_or(Err(None)),
            () = heard.until_stop(signals) => Err(Some(failed("prumo was asked to stop".to_owned()))),
        };
        if let Err(why) = prepared {
            return Err(successor.give_up(why).await);
        }
        // From here on questions wait in the queues, and replicas run unsupervised, until the successor is there.
        self.accepting.iter().for_each(prumo_drain::Task::abort);
        self.back.stop(BACK_STOPS_WITHIN).await;
        Elders::pause(mem::replace(&mut self.house.hearing, Drain::new(clock.clone()))).await;
        let left = deadline.max(clock.now() + Duration::from_secs(1)).since(clock.now());
        let pid = successor.child.id();
        let succeeded = tokio::select! {
            succeeded = clock.timeout(left, successor.succeed()) => succeeded.unwrap_or(Err(None)),
            // What is asked of us is asked of whoever runs the site when this is over.
            never = heard.pass_on(signals, pid) => match never {},
        };
        match succeeded {
            Ok(version) => {
                notify::tell(&format!("MAINPID={pid}\nREADY=1"));
                if notify::is_watched() {
                    // What it says itself is heard from now on.
                    drop(successor.line.send(&Message::Main { pid }).await);
                }
                self.house.elders.forget();
                self.house.keeper = None;
                let message = format!("prumo {version} (pid {pid}) runs the site now");
                Ok((Heir { line: successor.line, child: successor.child }, message))
            }
            Err(why) => {
                let refusal = successor.give_up(why).await;
                Box::pin(self.take_back()).await;
                Err(refusal)
            }
        }
    }

    /// Opens what was closed for a successor that failed.
    async fn take_back(&mut self) {
        let stage = self.house.hearing.stage("elders");
        self.house.elders.listen(&stage);
        for _ in 0..TAKE_BACK_TRIES {
            match Box::pin(furnish(&self.house, self.site.reading())).await {
                Ok(rooms) => {
                    let former = mem::replace(&mut self.desk, rooms.desk);
                    let clock = self.house.clock.clone();
                    let stage = self.desk.stage("former desk");
                    stage.spawn("former desk", async move { close_desk(former, &clock).await });
                    (self.site, self.accepting, self.back) = (rooms.site, rooms.accepting, rooms.back);
                    self.house.tell_keeper().await;
                    return tracing::info!("what was handed over is taken back");
                }
                Err(refusal) => tracing::error!(why = refusal.message, "site not opened again yet"),
            }
            self.house.clock.sleep(TAKE_BACK_PAUSE).await;
        }
        tracing::error!("replicas run and are routed to, but nobody supervises them: restart prumo");
    }

    /// Finishes what was begun, now that a successor runs the site.
    pub(crate) async fn finish(self, heir: Heir, signals: &mut Signals) -> Outcome {
        let Daemon { site, house, desk, .. } = self;
        let House { edge, front, clock, state, admin, command, .. } = house;
        // The successor holds all of these.
        drop::<(State, OwnedFd, OwnedFd)>((state, admin, command));
        edge.keep_idle(true);
        let hurry = front.hurry();
        let deadline = site.config().edge.upgrade_deadline;
        let closing = async {
            let stopped = front.stop(deadline + FAREWELL_WITHIN);
            let ((), report) = tokio::join!(close_desk(desk, &clock), stopped);
            report
        };
        let parting = async {
            clock.sleep(deadline).await;
            edge.say_farewell();
            std::future::pending::<()>().await;
        };
        let hurried = async {
            tokio::select! {
                () = heir.leave_or_stay(&edge, &clock) => {}
                () = async { while signals.next().await != Signal::Stop {} } => {}
            }
            hurry.now();
            std::future::pending::<()>().await;
        };
        let report = tokio::select! {
            report = closing => report,
            () = hurried => unreachable!("never ends by itself"),
            () = parting => unreachable!("never ends by itself"),
        };
        if report.is_clean() {
            tracing::info!("everything is finished, the successor goes on alone");
        } else {
            tracing::warn!(%report, "not everything ended in time");
        }
        Ok(Exit::Done)
    }
}

impl Heir {
    /// Ends when this elder has to leave before its requests have ended.
    async fn leave_or_stay(&self, edge: &Edge, clock: &Clock) {
        let parting = serve_as_elder(&self.line, edge, clock).await;
        if parting == Parting::Asked {
            return;
        }
        if notify::is_watched() && self.has_crashed(clock).await {
            edge.say_farewell();
            let told = async {
                while edge.untold() > 0 {
                    clock.sleep(LOOK_EVERY).await;
                }
            };
            // Who does not take what is written to it is not waited for.
            return clock.timeout(TOLD_IN_A_HURRY, told).await.unwrap_or_default();
        }
        std::future::pending::<()>().await;
    }

    /// Whether the successor has died. systemd learns that from its parent, which is this process, and not before this
    /// process has ended: as long as it stays, nobody starts prumo again.
    async fn has_crashed(&self, clock: &Clock) -> bool {
        let pid = Pid::from_child(&self.child);
        for _ in 0..100 {
            // Without collecting it, so that systemd can.
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(pid), look) {
                Ok(Some(status)) => {
                    let crashed = status.exit_status() != Some(0);
                    if crashed {
                        tracing::error!("the successor has died; leaving, so that prumo is started again");
                    }
                    return crashed;
                }
                Ok(None) => clock.sleep(LOOK_EVERY).await,
                Err(_) => return false,
            }
        }
        false
    }
}

/// Stops a desk once it has told how its last change went.
async fn close_desk(desk: Drain, clock: &Clock) {
    let deadline = clock.now() + TOLD_WITHIN;
    let is_telling = || desk.stages().iter().any(|stage| stage.tasks().iter().any(|(name, _)| name == "change"));
    while is_telling() && clock.now() < deadline {
        clock.sleep(LOOK_EVERY).await;
    }
    desk.stop(FRONT_STOPS_WITHIN).await;
}

/// Why a successor did not come up, when it could say so.
type Why = Option<Refusal>;

impl Heard {
    fn note(&mut self, signal: Signal) {
        match signal {
            Signal::Stop => self.stop = true,
            Signal::Reload => self.reload = true,
        }
    }

    async fn until_stop(&mut self, signals: &mut Signals) {
        while !self.stop {
            self.note(signals.next().await);
        }
    }

    async fn pass_on(&mut self, signals: &mut Signals, pid: u32) -> Infallible {
        loop {
            let signal = signals.next().await;
            self.note(signal);
            keep::send(pid, signal);
        }
    }
}

impl Successor {
    fn start(house: &House, program: &Path, within: Duration) -> Result<Successor, Refusal> {
        let log = house.state.path("run").join("upgrade.log");
        let start = || {
            let (line, theirs) = Line::pair()?;
            let errors = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&log)?;
            let mut arguments = vec!["up".into(), "--inherit".into()];
            arguments.extend(house.options.arguments.iter().cloned());
            let child = own::start(program, &arguments, theirs, Some(errors), true)?;
            Ok((line, child))
        };
        let (line, child) = start().map_err(|error: io::Error| {
            failed(format!("{} cannot be started, and nothing has changed: {error}", program.display()))
                .hint("name a program of prumo: `prumo upgrade ./prumo-new`")
        })?;
        Ok(Successor { program: program.to_owned(), child, line, log, within, clock: house.clock.clone() })
    }

    /// Gives it everything, and waits until it could begin.
    async fn prepare(&mut self, house: &House) -> Result<(), Why> {
        self.give(house).await.map_err(|error| self.lost(&error))?;
        match self.line.next().await {
            Ok(Some((Message::Prepared, _))) => Ok(()),
            other => Err(self.reason(other.map(|heard| heard.map(|(message, _)| message)))),
        }
    }

    async fn give(&self, house: &House) -> io::Result<()> {
        let line = &self.line;
        line.send_with(&Message::Lock, house.state.lock()).await?;
        house.send_sockets(line).await?;
        if let Some(keeper) = &house.keeper {
            line.send_with(&Message::Keeper, keeper.duplicate()?).await?;
        }
        for elder in house.elders.lines()? {
            line.send_with(&Message::Elder, elder).await?;
        }
        line.send_with(&Message::ErrorOutput, io::stderr().as_fd()).await?;
        line.send(&Message::Begin { origin: Origin::Predecessor }).await
    }

    /// Tells it that it is its turn, and waits until it serves.
    async fn succeed(&mut self) -> Result<String, Why> {
        self.line.send(&Message::Yours).await.map_err(|error| self.lost(&error))?;
        match self.line.next().await {
            Ok(Some((Message::Serving { version }, _))) => Ok(version),
            other => Err(self.reason(other.map(|heard| heard.map(|(message, _)| message)))),
        }
    }

    fn reason(&self, heard: io::Result<Option<Message>>) -> Why {
        match heard {
            Ok(Some(Message::Failed { message, hint, bad_file })) => {
                let kind = if bad_file { RefusalKind::BadFile } else { RefusalKind::Failed };
                Some(Refusal { kind, message, hint })
            }
            Ok(Some(_)) => Some(failed("it speaks another language than this prumo".to_owned())),
            Ok(None) => Some(failed(String::new())),
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&self, error: &io::Error) -> Why {
        tracing::debug!(%error, "line to the successor broken");
        Some(failed(String::new()))
    }

    /// Ends it for certain, and says what is known of its failure.
    async fn give_up(mut self, why: Why) -> Refusal {
        let in_time = why.is_some();
        let said = why.filter(|refusal| !refusal.message.is_empty());
        let ended = in_time && said.is_none() && self.ends_soon().await;
        // Dead before anything is taken back: there must never be two.
        let status = own::end(&mut self.child).ok().filter(|_| ended);
        let program = self.program.display();
        let because = match (&said, status) {
            (Some(refusal), _) => refusal.message.clone(),
            (None, Some(status)) => format!("it ended before it was ready ({status})"),
            (None, None) if in_time => "it hung up before it was ready".to_owned(),
            (None, None) => format!("it was not ready within {}s", self.within.as_secs()),
        };
        let mut message = format!("the successor {program} did not come up, and nothing has changed: {because}");
        let lines = String::from_utf8_lossy(&tail(&self.log)).into_owned();
        let lines: Vec<&str> = lines.lines().collect();
        if said.is_none() && !lines.is_empty() {
            message.push_str("\n\nits last lines:");
            for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
                message.push_str(&format!("\n  | {line}"));
            }
        }
        let kind = said.as_ref().map_or(RefusalKind::Failed, |refusal| refusal.kind);
        let hint = said.and_then(|refusal| refusal.hint);
        Refusal::new(kind, message)
            .hint(hint.unwrap_or_else(|| "this prumo goes on as before; correct it and try again".to_owned()))
    }

    /// It hung up, so it is ending; its status says more than that.
    async fn ends_soon(&self) -> bool {
        for _ in 0..100 {
            if own::has_ended(&self.child) {
                return true;
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
        false
    }
}

/// In the successor: says that it could begin, and waits for its turn.
pub(crate) async fn await_turn(line: &Line) -> Result<(), Refusal> {
    let waited = async {
        line.send(&Message::Prepared).await?;
        line.next().await
    };
    match waited.await {
        Ok(Some((Message::Yours, _))) => Ok(()),
        _ => Err(failed("the prumo before ended before it was this one's turn".to_owned())),
    }
}

/// In the successor: says why it cannot.
pub(crate) async fn say_why(line: &Line, refusal: Refusal) -> Refusal {
    let bad_file = refusal.kind == RefusalKind::BadFile;
    let message = Message::Failed { message: refusal.message.clone(), hint: refusal.hint.clone(), bad_file };
    if let Err(error) = line.send(&message).await {
        tracing::debug!(%error, "the prumo before was not told");
    }
    refusal
}

/// In the successor: says that it serves. Its log goes where the one before wrote its own from now on.
pub(crate) async fn take_over(house: &House, line: &Arc<Line>, error_output: Option<OwnedFd>) {
    house.state.sign();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    if let Err(error) = line.send(&Message::Serving { version }).await {
        tracing::warn!(%error, "the prumo before has gone without waiting for this one");
    }
    let Some(error_output) = error_output else { return };
    let so_far = tail(&house.state.path("run").join("upgrade.log"));
    if rustix::stdio::dup2_stderr(error_output).is_ok() {
        drop(io::stderr().lock().write_all(&so_far));
    }
}

/// The end of a log that nothing bounds.
fn tail(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let from = file.metadata()?.len().saturating_sub(LOG_BYTES_MAX);
        file.seek(SeekFrom::Start(from))?;
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)
    });
    // What cannot be read is not shown; the log itself is where it was.
    drop(read);
    bytes
}

fn failed(message: String) -> Refusal {
    Refusal::new(RefusalKind::Failed, message)
}
