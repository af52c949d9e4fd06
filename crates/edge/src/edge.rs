//! The edge as its owner sees it: started once, told what to serve, asked how it is.

mod certificates;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prumo_clock::Clock;
use prumo_drain::{Stage, Stopping};
use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::access_log::{self, LostLines, Mailbox};
use crate::authority::CERTIFICATE_FILE;
use crate::core::{self, CoreShare, Seed, Shared};
use crate::error::EdgeError;
use crate::files::readers::{self, Readers};
use crate::listen::{self, Crowd, Listeners};
use crate::metrics::{
    Apart, CoreCount, Count, Counters, ReplicaCounters, RouteCells, RouteCounters, Scrape, ServiceCells, UpstreamCells,
};
use crate::outside::{OutsideReport, Watch};
use crate::route::RouteIndex;
use crate::settings::{Action, Bound, InFlight, ListeningSocket, Outside, Route, Settings, Traffic, Upstream};
use crate::table::{Table, TableRoute, TableTraffic, TableUpstream};
use crate::tls::Tls;

/// How often [`Edge::quiet`] looks: seldom enough to cost nothing, often enough not to be felt in a stop.
const QUIET_LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a stop waits for answers that have begun before it takes them for streams without end.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// The running front door. Clones are the same edge; it ends with its stage.
#[derive(Clone)]
pub struct Edge {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    bound: Bound,
    /// Locked for itself to look at files, which may take as long as their disk; inside the registry otherwise.
    tls: Option<Mutex<Tls>>,
    lines_lost: LostLines,
    /// Held while a new table is built, so that two changes do not lose one another. Never by a core.
    registry: Mutex<Registry>,
    generation: AtomicU64,
    clock: Clock,
    stage: Stage,
    stopping: Stopping,
    outside: Arc<Watch>,
    /// Threads that read files, until a route needs them.
    readers: Mutex<Option<(readers::Waiting, Stage)>>,
}

/// A replica's service, its id and its cells.
type NamedUpstream = (String, String, Arc<UpstreamCells>);

/// The cells that outlive a table.
#[derive(Default)]
struct Registry {
    routes: HashMap<(String, String), Arc<RouteCells>>,
    services: BTreeMap<String, Arc<ServiceCells>>,
    /// The upstreams that are replicas, and those of services outside.
    replicas: BTreeMap<String, Vec<Upstream>>,
    outside: BTreeMap<String, Vec<Upstream>>,
    upstreams: HashMap<String, (String, Arc<UpstreamCells>)>,
}

/// How the edge is, for `prumo health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Edge threads that were started.
    pub cores: usize,
    /// Those that serve; fewer when one has failed, or when the edge has stopped.
    pub cores_living: usize,
    /// What the listeners are bound to.
    pub bound: Bound,
    /// Client connections open now.
    pub connections: u32,
    /// How many there may be: as many as the settings say, or fewer where the process may not open so many files.
    pub connections_max: u32,
    /// The newest table, and the one that every core uses.
    pub generation: u64,
    /// The oldest generation that a core still uses.
    pub settled: u64,
    /// Routed services that have no upstream.
    pub services_without_upstream: Vec<String>,
}

impl Edge {
    /// Binds, loads certificates, then starts the cores. Nothing is started when anything fails. Clients may connect
    /// from now on; they are served from the first call of [`Edge::routes`] or [`Edge::upstreams`] on.
    pub fn start(settings: Settings, clock: Clock, stage: &Stage) -> Result<Edge, EdgeError> {
        Edge::start_on(Vec::new(), settings, clock, stage)
    }

    /// The same on sockets that listen already, as far as the settings want them; the others are closed.
    pub fn start_on(
        sockets: Vec<ListeningSocket>,
        settings: Settings,
        clock: Clock,
        stage: &Stage,
    ) -> Result<Edge, EdgeError> {
        let cores = settings.cores.unwrap_or_else(available_cores).max(1);
        let listeners = listen::open(&settings, sockets, cores)?;
        let tls = certificates::open(&settings, clock.clone())?;
        let log = settings.access_log.as_ref().map(|log| access_log::open(log, stage)).transpose()?;
        let (mailbox, lines_lost) = log.unzip();
        let bound = listeners.bound();
        let handover = listeners.duplicate().map_err(starting("keeping sockets for a successor"))?;
        let crowd = Crowd::new(settings.connections_per_ip_max, [secret(&clock), secret(&clock)]);
        let shared = Arc::new(Shared {
            table: ArcSwap::default(),
            cores: (0..cores).map(|_| Apart(CoreShare::default())).collect(),
            connections: AtomicU32::new(0),
            crowd,
            keeps_idle: AtomicBool::new(false),
            says_farewell: AtomicBool::new(false),
            untold: AtomicUsize::new(0),
            handover: Mutex::new(handover),
            unrouted: Arc::new(RouteCells::new("", "", cores)),
            core_lost: Notify::new(),
            sticky_key: settings.sticky_key.unwrap_or_else(|| fresh_key(&clock)),
            settings,
        });
        let config = tls.as_ref().map(|tls| Arc::clone(&tls.config));
        let (readers, waiting) = readers::queue(cores);
        listeners.listen()?;
        start_cores(&Start { shared: &shared, clock: &clock, stage, config, mailbox }, listeners, readers)?;
        let registry = Mutex::default();
        let lines_lost = lines_lost.unwrap_or_default();
        let generation = AtomicU64::new(0);
        let (own_clock, stopping) = (clock.clone(), stage.stopping());
        let readers = Mutex::new(Some((waiting, stage.clone())));
        let tls = tls.map(Mutex::new);
        let inner = Inner {
            shared,
            bound,
            tls,
            lines_lost,
            registry,
            generation,
            clock: own_clock,
            stage: stage.clone(),
            stopping,
            readers,
            outside: Arc::default(),
        };
        let edge = Edge { inner: Arc::new(inner) };
        edge.keep_certificates(clock, stage)?;
        let (wanted, possible) = (edge.inner.shared.settings.connections_max, edge.report().connections_max);
        if possible < wanted {
            tracing::warn!(
                wanted,
                possible,
                "fewer connections than the file allows: prumo may not open so many files"
            );
        }
        let bound = edge.addresses();
        tracing::info!(cores, http = ?bound.http, https = ?bound.https, "edge listens");
        Ok(edge)
    }

    /// Serves these routes from now on. Fails only when a host needs a certificate that cannot be made, or
    /// when a regular expression is none; the routes before then stay.
    pub fn routes(&self, routes: Vec<Route>) -> Result<u64, EdgeError> {
        let mut registry = self.registry();
        let index = self.prepare(&routes)?;
        if let Some(mut tls) = self.tls() {
            tls.cover(certificates::hosts(&routes))?;
        }
        Ok(self.serve(&mut registry, index, routes))
    }

    /// What may fail of serving these routes, beside their certificates.
    fn prepare(&self, routes: &[Route]) -> Result<RouteIndex, EdgeError> {
        if routes.iter().any(|route| matches!(route.action, Action::Files(_))) {
            self.start_readers()?;
        }
        RouteIndex::new(routes)
    }

    fn serve(&self, registry: &mut Registry, index: RouteIndex, routes: Vec<Route>) -> u64 {
        let before = self.inner.shared.table.load();
        let index = Arc::new(index);
        let cores = self.cores();
        let routes: Arc<[TableRoute]> = routes.into_iter().map(|route| registry.route(route, cores)).collect();
        registry.forget_routes(&routes);
        let (services, traffic) = (Arc::clone(&before.services), Arc::clone(&before.traffic));
        self.publish(Table { generation: 0, index, routes, services, traffic, secure: self.secure() })
    }

    /// Treats these services so from now on. One that is not among them is treated as [`Traffic::default`] says, or as
    /// before.
    pub fn traffic(&self, services: BTreeMap<String, Traffic>) -> u64 {
        let mut registry = self.registry();
        let before = self.inner.shared.table.load();
        registry.services.retain(|name, _| services.contains_key(name));
        let treated = services.into_iter().map(|(name, traffic)| {
            let fresh = || Arc::new(ServiceCells::new(&name, self.cores()));
            let cells = Arc::clone(registry.services.entry(name.clone()).or_insert_with(fresh));
            (name, TableTraffic { traffic: Arc::new(traffic), cells })
        });
        let traffic = Arc::new(treated.collect());
        let (index, routes, secure) =
            (Arc::clone(&before.index), Arc::clone(&before.routes), Arc::clone(&before.secure));
        self.publish(Table { generation: 0, index, routes, services: Arc::clone(&before.services), traffic, secure })
    }

    /// Sends requests to these upstreams from now on and returns the generation of the change. See [`Edge::settled`].
    pub fn upstreams(&self, services: BTreeMap<String, Vec<Upstream>>) -> u64 {
        let mut registry = self.registry();
        registry.replicas = services;
        self.publish_upstreams(&mut registry)
    }

    /// Watches these services outside from now on, and no others. Fails when the file of an authority cannot be read;
    /// what was watched before then stays.
    pub fn outside(&self, services: Vec<Outside>) -> Result<(), EdgeError> {
        self.inner.outside.set(services)?;
        let edge = Arc::downgrade(&self.inner);
        let publish = move |upstreams| {
            let Some(inner) = edge.upgrade() else { return };
            let edge = Edge { inner };
            let mut registry = edge.registry();
            registry.outside = upstreams;
            edge.publish_upstreams(&mut registry);
        };
        let (clock, stage) = (self.inner.clock.clone(), &self.inner.stage);
        self.inner.outside.start(clock, stage, Box::new(publish)).map_err(starting("starting a thread"))
    }

    /// How the services outside are, by name.
    pub fn outside_reports(&self) -> BTreeMap<String, OutsideReport> {
        self.inner.outside.reports()
    }

    fn publish_upstreams(&self, registry: &mut Registry) -> u64 {
        let services = registry.replicas.iter().chain(&registry.outside);
        let services: BTreeMap<String, Vec<Upstream>> =
            services.map(|(service, upstreams)| (service.clone(), upstreams.clone())).collect();
        let before = self.inner.shared.table.load();
        let cores = self.cores();
        let services: BTreeMap<String, Vec<TableUpstream>> = services
            .into_iter()
            .map(|(service, upstreams)| {
                let upstreams = upstreams.into_iter().map(|one| registry.upstream(&service, one, cores)).collect();
                (service, upstreams)
            })
            .collect();
        registry.forget_upstreams(&services);
        let (index, routes) = (Arc::clone(&before.index), Arc::clone(&before.routes));
        let traffic = Arc::clone(&before.traffic);
        let secure = Arc::clone(&before.secure);
        self.publish(Table { generation: 0, index, routes, services: Arc::new(services), traffic, secure })
    }

    /// True when every core uses that generation or a later one: nothing picks an upstream of an older one any more,
    /// and everything that did is counted by [`Edge::in_flight`].
    pub fn settled(&self, generation: u64) -> bool {
        self.oldest_taken() >= generation
    }

    /// What the upstream is busy with. Zero for an upstream nobody knows.
    pub fn in_flight(&self, upstream: &str) -> InFlight {
        let registry = self.registry();
        registry.upstreams.get(upstream).map_or_else(InFlight::default, |(_, cells)| {
            // In this order: a request that becomes a tunnel is counted as one before it is no longer the other.
            let requests = cells.total_requests();
            InFlight { requests, tunnels: cells.total_tunnels() }
        })
    }

    /// What every upstream that is busy is busy with.
    pub fn busy(&self) -> BTreeMap<String, InFlight> {
        let ids: Vec<String> = self.registry().upstreams.keys().cloned().collect();
        let counted = ids.into_iter().map(|id| (id.clone(), self.in_flight(&id)));
        counted.filter(|(_, count)| *count != InFlight::default()).collect()
    }

    /// Says whether connections that wait for their next request stay open when the edge stops. A successor accepts new
    /// ones meanwhile; these get one more answer, which says that it is the last.
    pub fn keep_idle(&self, keep: bool) {
        self.inner.shared.keeps_idle.store(keep, Ordering::Relaxed);
    }

    /// Tells web sockets, when the edge is stopping, that this process goes away (1001), so that their clients connect
    /// again at once and meet the one after it. Each hears it between two frames.
    pub fn say_farewell(&self) {
        self.inner.shared.says_farewell.store(true, Ordering::Relaxed);
    }

    /// How many web sockets have not been told so yet.
    pub fn untold(&self) -> usize {
        self.inner.shared.untold.load(Ordering::Relaxed)
    }

    /// Whether nothing picks the upstream any more once `generation`, which no longer has it, is everywhere; and what
    /// it is busy with. It is free when it is settled with nothing in flight.
    pub fn drained(&self, upstream: &str, generation: u64) -> (bool, InFlight) {
        // In this order: what is counted after the cores have settled was chosen before, so a count of zero is final.
        // Counted first, a request chosen between the two looks would be missed.
        let settled = self.settled(generation);
        (settled, self.in_flight(upstream))
    }

    /// Resolves when the edge's stage is stopping, its listeners are closed, and only tunnels are left, or streams
    /// that went on for five seconds. These end no sooner than their replicas, which may now be told to stop.
    pub async fn quiet(&self) {
        let clock = &self.inner.clock;
        self.inner.stopping.wait().await;
        let began = clock.now();
        while !self.is_quiet(clock.now().since(began)) {
            clock.sleep(QUIET_LOOK_EVERY).await;
        }
    }

    fn is_quiet(&self, stopping_for: Duration) -> bool {
        let living = self.inner.shared.cores.iter().map(|core| &core.0).filter(|core| core.is_living());
        living.map(|core| &core.counts).all(|counts| {
            // A stop closes idle connections at once, so one that is open has a request, or is a tunnel.
            let only_tunnels = counts.connections_open.get() <= counts.only_tunnels.get();
            let only_streams = stopping_for >= STREAMS_END_WITHIN && counts.unanswered.get() == 0;
            counts.listeners.get() == 0 && (only_tunnels || only_streams)
        })
    }

    /// Upstreams that fail and get nothing for now, with the number of cores that have ejected them.
    pub fn ejected(&self) -> BTreeMap<String, usize> {
        let now = self.inner.clock.now();
        let registry = self.registry();
        let counted = registry.upstreams.iter().map(|(id, (_, cells))| (id.clone(), cells.ejected(now)));
        counted.filter(|(_, cores)| *cores > 0).collect()
    }

    /// Appends the metrics in Prometheus' text format.
    pub fn metrics(&self, out: &mut String) {
        let (routes, upstreams) = self.cells();
        let cores = &self.core_counts()[..];
        let lines_lost_by_writer = self.inner.lines_lost.load(Ordering::Relaxed);
        let services: Vec<Arc<ServiceCells>> = self.registry().services.values().cloned().collect();
        let (services, now) = (&services, self.inner.clock.now());
        let certificates = &self.certificate_states()[..];
        let lookups_failed = self.inner.outside.lookups_failed();
        let upstreams = &upstreams;
        Scrape { cores, routes: &routes, services, upstreams, now, lines_lost_by_writer, certificates, lookups_failed }
            .write(out);
    }

    /// The same counts as numbers.
    pub fn counters(&self) -> Counters {
        let (routes, upstreams) = self.cells();
        let cores = self.core_counts();
        let sum = |read: fn(&CoreCount) -> &Count| cores.iter().map(|core| read(core).get()).sum();
        let lost: u64 = sum(|core| &core.lines_lost);
        Counters {
            connections: sum(|core| &core.connections),
            connections_open: sum(|core| &core.connections_open),
            tunnels_open: sum(|core| &core.tunnels_open),
            lines_lost: lost + self.inner.lines_lost.load(Ordering::Relaxed),
            routes: routes.iter().map(|cells| RouteCounters::of(cells)).collect(),
            replicas: upstreams.iter().map(ReplicaCounters::of).collect(),
        }
    }

    fn core_counts(&self) -> Vec<&CoreCount> {
        self.inner.shared.cores.iter().map(|core| &core.0.counts).collect()
    }

    /// The cells of every route and replica, in the order of their names; last those of requests without a route.
    fn cells(&self) -> (Vec<Arc<RouteCells>>, Vec<NamedUpstream>) {
        let mut registry = self.registry();
        registry.forget_upstreams(&self.inner.shared.table.load().services);
        let mut routes: Vec<Arc<RouteCells>> = registry.routes.values().cloned().collect();
        routes.sort_by(|a, b| (&a.service, &a.route).cmp(&(&b.service, &b.route)));
        routes.push(Arc::clone(&self.inner.shared.unrouted));
        let named = |(id, (service, cells)): (&String, &(String, Arc<UpstreamCells>))| {
            (service.clone(), id.clone(), Arc::clone(cells))
        };
        let mut upstreams: Vec<NamedUpstream> = registry.upstreams.iter().map(named).collect();
        upstreams.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        (routes, upstreams)
    }

    /// What the listeners are bound to.
    pub fn addresses(&self) -> Bound {
        self.inner.bound.clone()
    }

    /// The listening sockets once more, for another process to accept on. Nothing when the edge is stopping.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn sockets(&self) -> std::io::Result<Vec<ListeningSocket>> {
        let handover = self.inner.shared.handover.lock().unwrap_or_else(PoisonError::into_inner);
        let again =
            |known: &ListeningSocket| Ok(ListeningSocket { descriptor: known.descriptor.try_clone()?, ..*known });
        handover.iter().map(again).collect()
    }

    /// The certificate of the local authority, for people who want to trust it.
    pub fn authority_certificate(&self) -> PathBuf {
        self.inner.shared.settings.certs_folder.join(CERTIFICATE_FILE)
    }

    /// How the edge is.
    pub fn report(&self) -> Health {
        let table = self.inner.shared.table.load();
        let has_upstream =
            |service: &String| table.services.get(service).is_some_and(|upstreams| !upstreams.is_empty());
        let routed = table.routes.iter().flat_map(|known| known.route.asked().map(str::to_owned));
        let mut without: Vec<String> = routed.filter(|service| !has_upstream(service)).collect();
        without.sort();
        without.dedup();
        Health {
            cores: self.cores(),
            cores_living: self.inner.shared.cores.iter().filter(|core| core.0.is_living()).count(),
            bound: self.inner.bound.clone(),
            connections: self.inner.shared.connections.load(Ordering::Relaxed),
            connections_max: listen::connections_max(self.inner.shared.settings.connections_max),
            generation: table.generation,
            settled: self.oldest_taken().min(table.generation),
            services_without_upstream: without,
        }
    }

    /// How often each core has gone round, some twenty times a second; `None` for one that has ended.
    pub fn rounds(&self) -> Vec<Option<u64>> {
        self.inner.shared.cores.iter().map(|core| core.0.rounds()).collect()
    }

    /// Resolves, for one that waits, when a core ends that nobody has asked to: by a panic outside of a request, say, or
    /// because its listener no longer listens. The others go on, but who connects to a socket of that core that somebody
    /// keeps for the next process would wait for nobody. This process should end.
    pub async fn core_lost(&self) {
        self.inner.shared.core_lost.notified().await;
    }

    #[cfg(test)]
    pub(crate) fn fail_core(&self, number: usize, how: u8) {
        self.inner.shared.cores[number].0.fault.store(how, Ordering::Relaxed);
    }

    /// Once, for the first route that answers with files.
    fn start_readers(&self) -> Result<(), EdgeError> {
        let waiting = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).take();
        waiting.map_or(Ok(()), |(waiting, stage)| waiting.start(&stage)).map_err(starting("starting a thread"))
    }

    fn publish(&self, table: Table) -> u64 {
        let generation = self.inner.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.inner.shared.table.store(Arc::new(Table { generation, ..table }));
        for core in &self.inner.shared.cores {
            core.0.table_changed.notify_one();
        }
        generation
    }

    fn oldest_taken(&self) -> u64 {
        self.inner.shared.cores.iter().map(|core| core.0.taken.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    fn cores(&self) -> usize {
        self.inner.shared.cores.len()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // What a panicking builder left is whole: it only ever adds and removes cells.
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn route(&mut self, route: Route, cores: usize) -> TableRoute {
        let mut services: Vec<&str> = route.services().collect();
        if services.is_empty() {
            services.push("");
        }
        let cells = services.into_iter().map(|service| {
            let fresh = || Arc::new(RouteCells::new(service, &route.name, cores));
            Arc::clone(self.routes.entry((service.to_owned(), route.name.clone())).or_insert_with(fresh))
        });
        TableRoute { cells: cells.collect(), route: Arc::new(route) }
    }

    fn upstream(&mut self, service: &str, upstream: Upstream, cores: usize) -> TableUpstream {
        let fresh = || (service.to_owned(), Arc::new(UpstreamCells::new(cores)));
        let (_, cells) = self.upstreams.entry(upstream.id.clone()).or_insert_with(fresh);
        TableUpstream { cells: Arc::clone(cells), settings: upstream }
    }

    fn forget_routes(&mut self, routes: &[TableRoute]) {
        let used: HashSet<(&str, &str)> = routes
            .iter()
            .flat_map(|known| &known.cells)
            .map(|cells| (cells.service.as_str(), cells.route.as_str()))
            .collect();
        self.routes.retain(|(service, route), _| used.contains(&(service.as_str(), route.as_str())));
    }

    /// Those that are gone and idle. One that is still busy is asked about until it no longer is.
    fn forget_upstreams(&mut self, services: &BTreeMap<String, Vec<TableUpstream>>) {
        self.upstreams.retain(|id, (service, cells)| {
            let is_known = |upstreams: &Vec<TableUpstream>| upstreams.iter().any(|known| &known.settings.id == id);
            // Others hold the cells while they may matter: a core that has not settled yet through its view, a request
            // or tunnel through its seat.
            Arc::strong_count(cells) > 1 || services.get(service).is_some_and(is_known)
        });
    }
}

fn fresh_key(clock: &Clock) -> [u8; 32] {
    let mut key = [0; 32];
    clock.fill_random(&mut key);
    key
}

/// A number that nobody can tell from others.
pub(crate) fn secret(clock: &Clock) -> u64 {
    let mut bytes = [0; 8];
    clock.fill_random(&mut bytes);
    u64::from_ne_bytes(bytes)
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// What every core is started with.
struct Start<'a> {
    shared: &'a Arc<Shared>,
    clock: &'a Clock,
    stage: &'a Stage,
    config: Option<Arc<ServerConfig>>,
    mailbox: Option<Mailbox>,
}

fn start_cores(start: &Start<'_>, listeners: Listeners, readers: Vec<Readers>) -> Result<(), EdgeError> {
    let hands = listeners.deal(start.shared.cores.len())?;
    for (number, (listeners, readers)) in hands.into_iter().zip(readers).enumerate() {
        let seed = Seed {
            number,
            shared: Arc::clone(start.shared),
            clock: start.clock.clone(),
            stage: start.stage.clone(),
            listeners,
            tls: start.config.clone(),
            mailbox: start.mailbox.clone(),
            readers,
        };
        start
            .stage
            .thread(format!("edge core {number}"), move || core::run(seed))
            .map_err(starting("starting a core"))?;
    }
    Ok(())
}

fn starting(doing: &'static str) -> impl FnOnce(std::io::Error) -> EdgeError {
    move |source| EdgeError::System { doing, source }
}
