//! One edge thread: its runtime, its listeners, its view of the site, its connections. Nothing here is shared with
//! another core, so nothing here is locked.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;
use prumo_clock::{Clock, Moment, Timestamp};
use prumo_drain::{Stage, Stopping, Task};
use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::access_log::{Lines, Mailbox};
use crate::balance::hash;
use crate::client::{Client, Phase};
use crate::contain::contain;
use crate::deadline::{Deadlines, SWEEP_EVERY};
use crate::edge;
use crate::fast::Desk;
use crate::files::Shelf;
use crate::files::readers::Readers;
use crate::forward::Copies;
use crate::listen::{self, Cells, CoreSocket, Crowd};
use crate::metrics::{Apart, CoreCount, RouteCells};
use crate::respond::{self, AnswerHeaders, Refusal};
use crate::serve;
use crate::settings::{ListeningSocket, Network, Settings};
use crate::stream::Scratch;
use crate::table::{Table, View};
use crate::trace::{Trace, write_hex};

/// What all cores and the control plane see.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) cores: Box<[Apart<CoreShare>]>,
    /// Client connections open on all cores.
    pub(crate) connections: AtomicU32,
    /// What the cookies of sticky routes are made with.
    pub(crate) sticky_key: [u8; 32],
    /// Client connections by address.
    pub(crate) crowd: Crowd,
    /// Whether idle connections outlive a stop until their next request or their own timeout.
    pub(crate) keeps_idle: AtomicBool,
    /// Whether web sockets are told that this process goes away.
    pub(crate) says_farewell: AtomicBool,
    /// Web sockets that have not been told so.
    pub(crate) untold: AtomicUsize,
    /// The listening sockets once more, to hand them to a successor. Closed when a core stops accepting.
    pub(crate) handover: Mutex<Vec<ListeningSocket>>,
    /// Requests that no route takes.
    pub(crate) unrouted: Arc<RouteCells>,
    /// Told when a core ends that nobody has asked to.
    pub(crate) core_lost: Notify,
}

impl Shared {
    fn close_handover(&self) {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What the control plane sees of one core.
#[derive(Default)]
pub(crate) struct CoreShare {
    pub(crate) counts: CoreCount,
    /// The generation of the table this core uses.
    pub(crate) taken: AtomicU64,
    /// How often it has gone round: it hangs when this stands still.
    rounds: AtomicU64,
    pub(crate) table_changed: Notify,
    /// How a test wants the core to fail.
    #[cfg(test)]
    pub(crate) fault: std::sync::atomic::AtomicU8,
}

/// So many sweeps in a row that fail, over a second, and no deadline of the core counts any more.
const SWEEPS_FAILED_MAX: u32 = 20;

/// Later than any generation.
const ENDED: u64 = u64::MAX;

impl CoreShare {
    /// How often the core has gone round; `None` when it has ended.
    pub(crate) fn rounds(&self) -> Option<u64> {
        self.is_living().then(|| self.rounds.load(Ordering::Relaxed))
    }

    /// False when the core's thread has ended or never had a runtime.
    pub(crate) fn is_living(&self) -> bool {
        self.taken.load(Ordering::Acquire) != ENDED
    }
}

/// What a core's thread is given to begin with.
pub(crate) struct Seed {
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    pub(crate) listeners: Vec<CoreSocket>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) readers: Readers,
}

/// One edge thread.
pub(crate) struct Core {
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    pub(crate) stopping: Stopping,
    pub(crate) view: View,
    /// Wakes requests that wait for an upstream.
    pub(crate) view_changed: Notify,
    /// Wakes tunnels when their time is up.
    pub(crate) farewell: Notify,
    /// Requests that wait for the end of a maintenance.
    pub(crate) held: Cell<usize>,
    /// What is being copied for shadows.
    pub(crate) copies: Copies,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) scratch: Scratch,
    pub(crate) desk: Desk,
    pub(crate) log: Option<Lines>,
    /// The headers of answers that belong to no route.
    pub(crate) answer: AnswerHeaders,
    pub(crate) protocols: serve::Protocols,
    ended: Notify,
    ids: Cell<[u64; 2]>,
    wall: Cell<(Moment, Timestamp)>,
}

/// Lives through a core's whole life, on its thread.
pub(crate) fn run(seed: Seed) {
    let shared = Arc::clone(&seed.shared);
    let stopping = seed.stage.stopping();
    let life = Life { share: &shared.cores[seed.number].0, shared: &shared, stopping };
    let built = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build_local(Default::default());
    match built {
        Ok(runtime) => runtime.block_on(live(seed)),
        Err(error) => tracing::error!(core = seed.number, %error, "edge core has no runtime and serves nothing"),
    }
    drop(life);
}

/// Says that a core has ended, also when it panics. It then picks nothing: whoever waits for it to settle waits for
/// nothing more. No successor may get the sockets of a core that has failed, and their queues are closed with it.
struct Life<'a> {
    share: &'a CoreShare,
    shared: &'a Shared,
    stopping: Stopping,
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.share.taken.store(ENDED, Ordering::Release);
        self.shared.close_handover();
        if !self.stopping.is_stopping() {
            self.shared.core_lost.notify_one();
        }
    }
}

async fn live(seed: Seed) {
    let Seed { number, shared, clock, stage, listeners, tls, mailbox, readers } = seed;
    let core = Rc::new(Core::new(number, shared, clock, stage, mailbox, readers));
    core.await_first_table().await;
    let listen = |share| core.stage.spawn_local("listener", listen::accept(Rc::clone(&core), share, tls.clone()));
    let listening: Vec<_> = listeners.into_iter().map(listen).collect();
    let tables = core.stage.spawn_local("upstream table", take_tables(Rc::clone(&core)));
    let is_whole = || !tables.is_finished() && !listening.iter().any(Task::is_finished);
    if !sweep_until_stopped(&core, is_whole).await {
        // What it has left would hang, or would go on to replicas that are gone.
        return tracing::error!(core = core.number, "a part of an edge core has failed, and the core ends with it");
    }
    // What a successor did not take is closed with the listeners.
    core.shared.close_handover();
    core.deadlines.wake_all();
    core.end(&listening).await;
}

async fn take_tables(core: Rc<Core>) {
    let share = &core.shared.cores[core.number].0;
    let mut stopped = std::pin::pin!(core.stopping.wait());
    loop {
        // A change that comes between taking and waiting leaves a permit, so none is missed.
        tokio::select! {
            () = share.table_changed.notified() => drop(contain("upstream table", || core.take_table())),
            () = &mut stopped => break,
        }
    }
    // While requests end, the table may still change: they may yet be asked again of another upstream.
    while core.open_connections() > 0 {
        tokio::select! {
            () = share.table_changed.notified() => drop(contain("upstream table", || core.take_table())),
            () = core.clock.sleep(SWEEP_EVERY) => {}
        }
    }
}

/// False when the core can no longer do its work.
async fn sweep_until_stopped(core: &Core, is_whole: impl Fn() -> bool) -> bool {
    let mut stopped = std::pin::pin!(core.stopping.wait());
    let (mut sweeps, mut failed) = (0_u32, 0);
    let mut next = core.clock.sleep(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = &mut next => {}
            () = &mut stopped => return true,
        }
        // Set before this round is counted: who moves a clock once the core has gone round knows that it will go again.
        next = core.clock.sleep(SWEEP_EVERY);
        #[cfg(test)]
        assert_ne!(core.share().fault.load(Ordering::Relaxed), tests::PANICS, "a test wants this core to fail");
        // In this order: once a stop was asked for, tasks end as they should.
        if !is_whole() && !core.stopping.is_stopping() {
            return false;
        }
        sweeps = sweeps.wrapping_add(1);
        failed = if contain("sweep", || core.sweep(sweeps)).is_some() { 0 } else { failed + 1 };
        if failed >= SWEEPS_FAILED_MAX {
            return false;
        }
    }
}

impl Core {
    fn new(
        number: usize,
        shared: Arc<Shared>,
        clock: Clock,
        stage: Stage,
        mailbox: Option<Mailbox>,
        readers: Readers,
    ) -> Core {
        let deadlines = Rc::new(Deadlines::new(shared.settings.body_rate_min, shared.settings.body_timeout));
        let protocols = serve::Protocols::new(&shared.settings);
        let log = mailbox.zip(shared.settings.access_log.as_ref()).map(|(mailbox, log)| Lines::new(mailbox, log));
        let view = View::new(Shelf::new(shared.cores.len(), readers));
        let answer = AnswerHeaders::new(&shared.settings.answer_headers);
        // Everybody sees ids: what else is drawn must not be guessed from them.
        let ids = Cell::new([edge::secret(&clock), edge::secret(&clock)]);
        let wall = Cell::new((clock.now(), clock.wall()));
        Core {
            number,
            stopping: stage.stopping(),
            shared,
            clock,
            stage,
            view,
            view_changed: Notify::new(),
            farewell: Notify::new(),
            held: Cell::new(0),
            copies: Copies::default(),
            deadlines,
            scratch: Scratch::new(),
            desk: Desk::new(),
            log,
            answer,
            protocols,
            ended: Notify::new(),
            ids,
            wall,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    #[cfg(test)]
    fn share(&self) -> &CoreShare {
        &self.shared.cores[self.number].0
    }

    pub(crate) fn counts(&self) -> &CoreCount {
        &self.shared.cores[self.number].0.counts
    }

    /// Until the first table is there, clients wait in the kernel's queue: they would only be told that nothing is
    /// served here.
    async fn await_first_table(&self) {
        let mut stopped = std::pin::pin!(self.stopping.wait());
        while self.shared.table.load().generation == 0 {
            tokio::select! {
                () = self.shared.cores[self.number].0.table_changed.notified() => {}
                () = &mut stopped => return,
            }
        }
        self.take_table();
    }

    /// Uses the newest table and says so. Runs between two polls of any request, so none can hold an older choice
    /// that is not yet counted.
    fn take_table(&self) {
        let table = self.shared.table.load_full();
        self.view.take(&table, self.number, self.clock.now(), &self.shared.sticky_key);
        self.shared.cores[self.number].0.taken.store(table.generation, Ordering::Release);
        self.view_changed.notify_waiters();
    }

    fn sweep(&self, sweeps: u32) {
        #[cfg(test)]
        assert_ne!(self.share().fault.load(Ordering::Relaxed), tests::NO_SWEEP, "a test wants sweeps to fail");
        let now = self.clock.now();
        self.wall.set((now, self.clock.wall()));
        self.deadlines.sweep(now);
        self.shared.cores[self.number].0.rounds.fetch_add(1, Ordering::Relaxed);
        // Every 250 ms and every second.
        if let Some(log) = self.log.as_ref().filter(|_| sweeps.is_multiple_of(5)) {
            log.flush();
            self.counts().lines_lost.add(log.take_lost());
        }
        if sweeps.is_multiple_of(20) {
            self.view.sweep(now);
        }
    }

    /// The wall clock at `moment`, from the last sweep's reading.
    pub(crate) fn wall_at(&self, moment: Moment) -> Timestamp {
        let (then, wall) = self.wall.get();
        if moment < then { wall - then.since(moment) } else { wall + moment.since(then) }
    }

    /// Now, as a header says it.
    pub(crate) fn date(&self) -> [u8; 29] {
        self.desk.date(self.wall_at(self.clock.now()))
    }

    /// The bytes of a refusal for a client whose request was never read by anybody who could answer it.
    pub(crate) fn refuse_unread(&self, refusal: Refusal) -> Vec<u8> {
        respond::refuse_unread(refusal, &self.answer, &self.date())
    }

    /// 32 hexadecimal digits that no other request has: a random start for each core, then counted and mixed.
    pub(crate) fn request_id(&self) -> [u8; 32] {
        let [prefix, count] = self.ids.get();
        self.ids.set([prefix, count.wrapping_add(1)]);
        let mut id = [0; 32];
        write_hex(&mut id[..16], prefix);
        write_hex(&mut id[16..], hash::mix(count));
        id
    }

    /// The trace of a request that came with `headers`, when requests are traced.
    pub(crate) fn trace(&self, headers: &HeaderMap, trusted: bool) -> Option<Trace> {
        let tracing = self.settings().tracing.as_ref()?;
        Some(Trace::of(headers, trusted, tracing, || self.clock.random()))
    }

    /// The trace of a request that names no trace that is believed.
    pub(crate) fn fresh_trace(&self) -> Option<Trace> {
        let tracing = self.settings().tracing.as_ref()?;
        Some(Trace::begin(tracing, || self.clock.random()))
    }

    /// Whether web sockets are to be told that this process goes away.
    pub(crate) fn says_farewell(&self) -> bool {
        self.shared.says_farewell.load(Ordering::Relaxed)
    }

    /// Counts a connection in, unless there are too many.
    pub(crate) fn admit_connection(self: &Rc<Self>) -> Option<OpenConnection> {
        let before = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        if before >= self.settings().connections_max {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.counts().connections.add(1);
        self.counts().connections_open.add(1);
        Some(OpenConnection { core: Rc::clone(self), cells: None })
    }

    /// Whether a connection stays open for one more request although the core stops: a client that is just sending its
    /// next one would find it closed.
    pub(crate) fn awaits_next(&self, client: &Client) -> bool {
        // An answer whose head is gone did not say that it is the last.
        let is_between = matches!(client.pace.phase(), Phase::Waiting | Phase::Head | Phase::Download);
        is_between && self.shared.keeps_idle.load(Ordering::Relaxed)
    }

    fn open_connections(&self) -> u64 {
        self.counts().connections_open.get()
    }

    /// Waits for the listeners and the last connection, keeping deadlines; the drain cuts this short by dropping them.
    async fn end(&self, listening: &[Task]) {
        let mut sweeps = 0;
        while self.open_connections() > 0 || listening.iter().any(|task| !task.is_finished()) {
            tokio::select! {
                () = self.ended.notified() => {}
                () = self.clock.sleep(SWEEP_EVERY) => {}
            }
            sweeps += 1;
            contain("sweep", || self.sweep(sweeps));
            if self.says_farewell() {
                self.farewell.notify_waiters();
            }
            // Again and again: a connection accepted at the last moment has not been told to stop.
            self.deadlines.wake_all();
        }
        if let Some(log) = &self.log {
            log.flush();
        }
    }
}

/// A client connection that is counted.
pub(crate) struct OpenConnection {
    core: Rc<Core>,
    /// Where its address is counted.
    cells: Option<Cells>,
}

impl OpenConnection {
    /// Counts the connection to its client's address; false when that has too many. This machine and the proxies in
    /// front of us speak for many clients, and are not counted.
    pub(crate) fn count_address(&mut self, ip: IpAddr) -> bool {
        let is_for_many = |networks: &[Network]| networks.iter().any(|network| network.contains(ip));
        if ip.is_loopback() || is_for_many(&self.core.settings().trusted_proxies) {
            return true;
        }
        self.cells = self.core.shared.crowd.enter(ip);
        self.cells.is_some()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let core = &self.core;
        if let Some(cells) = self.cells {
            core.shared.crowd.leave(cells);
        }
        core.counts().connections_open.sub(1);
        core.shared.connections.fetch_sub(1, Ordering::Relaxed);
        if core.stopping.is_stopping() {
            core.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
