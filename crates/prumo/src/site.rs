//! A site that runs: what it was told, and what can be done with it.

pub(crate) mod certificates;
mod health;
mod maintain;
mod scale;
mod status;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use prumo_api::ask::{Finished, PlanReport};
use prumo_api::{Refusal, RefusalKind, Tokens};
use prumo_clock::{Clock, Moment, Timestamp};
use prumo_config::{Action, Config, Route};
use prumo_drain::Stage;
use prumo_edge::Edge;
use prumo_ledger::{Entry, Ledger, LedgerError};
use prumo_run::{Adopted, Adoption, DeployError, Fault, Run, Step};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::file::{Reading, TheFile};
use crate::maintenance::Standing;
use crate::secrets::Secrets;
use crate::state::write_whole;
use crate::upgrade::Wish;
use crate::{maintenance, plan, remarks, wire};

/// The copy of the last file that was applied, in the state folder.
pub(crate) const LAST_GOOD: &str = "prumo.toml.good";
/// How long a change of routes may take to reach every core: they look between two requests, so milliseconds.
const FRONT_SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// What to do about a keeper that has gone: no process can be made the parent of another.
const KEEPER_GONE: &str = "the keeper has gone: nobody starts prumo again when it ends, and it cannot be upgraded; stop it when it suits, and start `prumo up --keep` again";

/// How often to look whether the file has changed. Looking costs one `stat`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The parts of a site, once all of them are open.
pub(crate) struct Parts {
    pub file: TheFile,
    pub state: PathBuf,
    pub clock: Clock,
    pub ledger: Ledger,
    pub run: Run,
    pub edge: Edge,
    pub secrets: Secrets,
    pub tokens: Tokens,
    /// The stage of what is started for those who ask.
    pub tasks: Stage,
    /// Takes the wish for a successor to whoever owns this process.
    pub upgrades: mpsc::Sender<Wish>,
}

/// A site that runs.
pub(crate) struct Site {
    parts: Parts,
    began: Moment,
    /// The configuration that runs. Whoever reads it takes a copy of the pointer and holds no lock.
    applied: RwLock<Arc<Config>>,
    /// The text behind the configuration at the start, until it is kept as the last good one.
    first_text: String,
    /// What is wrong with the file as it lies there now, if anything.
    file_note: RwLock<Option<String>>,
    /// Services of the file that were not brought up at the start and that run knows nothing of, with the reason.
    not_brought_up: RwLock<BTreeMap<String, String>>,
    /// Why the ledger took no entry the last time, if it did not.
    ledger_trouble: RwLock<Option<String>>,
    /// Whether the process that would start this one again has gone.
    has_lost_keeper: AtomicBool,
    /// What people put into maintenance.
    standing: RwLock<Standing>,
    /// One change at a time: deploys, rollbacks, scaling.
    changing: Mutex<()>,
    /// That change, in words, and since when; for whoever has to wait for it.
    under_way: RwLock<Option<(String, Moment)>>,
    /// Whether a SIGHUP came while there was one.
    reload_waits: AtomicBool,
}

impl Site {
    /// A site over open parts.
    pub(crate) fn new(parts: Parts, reading: Reading) -> Site {
        Site {
            began: parts.clock.now(),
            applied: RwLock::new(Arc::new(reading.config)),
            first_text: reading.text,
            file_note: RwLock::new(None),
            not_brought_up: RwLock::new(BTreeMap::new()),
            ledger_trouble: RwLock::new(None),
            has_lost_keeper: AtomicBool::new(false),
            standing: RwLock::new(Standing::load(&parts.state)),
            changing: Mutex::new(()),
            under_way: RwLock::new(None),
            reload_waits: AtomicBool::new(false),
            parts,
        }
    }

    /// The name of the site.
    pub(crate) fn name(&self) -> String {
        self.config().site.name.clone()
    }

    /// How long it has run.
    pub(crate) fn running_for(&self) -> Duration {
        self.parts.clock.now().since(self.began)
    }

    /// The configuration that runs.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.applied.read().expect("no holder of this lock panics").clone()
    }

    /// The clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// Who may ask.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.parts.tokens
    }

    /// The secrets.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.parts.secrets
    }

    /// The replicas.
    pub(crate) fn run(&self) -> &Run {
        &self.parts.run
    }

    /// The front door.
    pub(crate) fn edge(&self) -> &Edge {
        &self.parts.edge
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    /// Starts a task that outlives the question that caused it, and ends when the site does.
    pub(crate) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.parts.tasks.stopping();
        self.parts.tasks.spawn(name, async move {
            tokio::select! {
                () = stopping.wait() => {}
                () = work => {}
            }
        });
    }

    /// Says, once, that the keeper has gone; status and health go on saying it.
    pub(crate) fn lose_keeper(&self) {
        self.has_lost_keeper.store(true, Ordering::Relaxed);
        tracing::error!("{KEEPER_GONE}");
    }

    /// Whether there was a keeper and is none any more.
    pub(crate) fn has_lost_keeper(&self) -> bool {
        self.has_lost_keeper.load(Ordering::Relaxed)
    }

    /// Keeps the file of the start as the last good one.
    pub(crate) fn keep_first_as_good(&self) {
        self.keep_as_good(&self.first_text);
    }

    /// What runs, to open the same site again.
    pub(crate) fn reading(&self) -> Reading {
        Reading { config: Config::clone(&self.config()), text: self.first_text.clone() }
    }

    /// Replaces this process by a successor.
    pub(crate) async fn upgrade(
        &self,
        program: Option<PathBuf>,
        within: Duration,
        actor: &str,
    ) -> Result<Finished, Refusal> {
        let _turn = self.turn("an upgrade of prumo".to_owned()).await?;
        let shown = program.as_ref().map(|program| program.display().to_string()).unwrap_or_default();
        self.record(actor, "upgrade", "prumo", &shown).await?;
        let (reply, answer) = oneshot::channel();
        let gone =
            || Refusal::new(RefusalKind::Refused, "prumo is stopping").hint("start it again with the new program");
        self.parts.upgrades.send(Wish { program, within, reply }).await.map_err(|_| gone())?;
        let message = answer.await.map_err(|_| gone())??;
        Ok(status::said(message))
    }

    /// Takes over what an earlier run left, and starts or deploys what is missing.
    pub(crate) fn adopt(self: &Arc<Self>) {
        let site = self.clone();
        self.spawn("adoption", async move {
            // Nobody else may change anything before it is clear what there is.
            let turn = site.first_turn().await;
            let services = wire::services_for_run(&site.config(), site.parts.file.folder());
            for adopted in site.parts.run.adopt(services).await {
                site.note_adopted(adopted).await;
            }
            drop(turn);
            site.catch_up().await;
        });
    }

    async fn note_adopted(&self, adopted: Adopted) {
        let service = adopted.service;
        match adopted.outcome {
            Adoption::Deployed(deployed) => {
                let detail = format!("release {} at the start", deployed.release);
                // What is done is done: a ledger that is full is said elsewhere.
                drop(self.record("prumo", "deploy", &service, &detail).await);
            }
            Adoption::Failed(error) => {
                tracing::error!(service, why = error.message, "service not brought up");
                self.not_brought_up.write().expect("no holder of this lock panics").insert(service, error.message);
            }
            Adoption::Kept | Adoption::Scaled(_) | Adoption::Resumed | Adoption::Leaving => {}
        }
    }

    /// Reads the file again and applies its routes and certificates, as SIGHUP asks. What needs a release waits for a deploy.
    pub(crate) async fn reload(&self) -> String {
        let file = self.parts.file.shown();
        match self.apply_routes().await {
            Ok(()) => {
                tracing::info!(file, "routes applied");
                format!("routes of {file} applied")
            }
            Err(refusal) => {
                let why = first_line(&refusal);
                tracing::warn!(file, why, "routes not applied: what runs stays as it is");
                format!("routes of {file} not applied, what runs stays as it is: {why}")
            }
        }
    }

    /// Does what a SIGHUP asked for while a change was under way.
    pub(crate) async fn catch_up(&self) {
        if self.takes_waiting_reload() {
            self.reload().await;
        }
    }

    /// Whether a SIGHUP waits for the end of a change; asked once.
    pub(crate) fn takes_waiting_reload(&self) -> bool {
        self.reload_waits.swap(false, Ordering::SeqCst)
    }

    async fn apply_routes(&self) -> Result<(), Refusal> {
        // Said before looking, so that a change that ends in between sees it.
        self.reload_waits.store(true, Ordering::SeqCst);
        let Some(_turn) = self.turn_at_once("a reading of the file") else {
            return Err(Refusal::new(RefusalKind::Refused, "a change is under way; the file is read when it is done"));
        };
        self.reload_waits.store(false, Ordering::SeqCst);
        let reading = match self.parts.file.read() {
            Ok(reading) => reading,
            Err(error) => {
                self.note_mistakes();
                return Err(error.into_refusal());
            }
        };
        self.record("signal", "reload", "routes", "").await?;
        let mut next = (*self.config()).clone();
        // Only routes to services that run: a route to nothing would answer 503.
        next.certificates = reading.config.certificates;
        next.client_certificates = reading.config.client_certificates;
        next.outside = reading.config.outside;
        (next.edge.allow, next.edge.deny) = (reading.config.edge.allow, reading.config.edge.deny);
        next.maintenance = reading.config.maintenance;
        next.routes = reading.config.routes.iter().filter_map(|route| to_running(route, &next)).collect();
        self.apply_front(next)?;
        self.front_is_everywhere().await;
        self.note_file(None);
        Ok(())
    }

    /// What a deploy of the file would change now.
    pub(crate) fn plan(&self) -> Result<PlanReport, Refusal> {
        let reading = self.parts.file.read().map_err(crate::file::ReadError::into_refusal)?;
        Ok(self.plan_of(&reading.config))
    }

    fn plan_of(&self, file: &Config) -> PlanReport {
        let wanted = wire::services_for_run(file, self.parts.file.folder());
        plan::changes(&self.parts.run.serving(), &wanted, &self.config(), file)
    }

    /// Makes the file true: a new release of the services named, or of all.
    pub(crate) async fn deploy(
        &self,
        names: &[String],
        actor: &str,
        steps: mpsc::Sender<Step>,
    ) -> Result<Finished, Refusal> {
        let _turn = self.turn(turn::deploy_in_words(names)).await?;
        let reading = self.parts.file.read().map_err(crate::file::ReadError::into_refusal)?;
        let chosen = choose(&reading.config, names)?;
        let whole = names.is_empty();
        let next = if whole { reading.config.clone() } else { overlay(&self.config(), &reading.config, &chosen) };
        self.examine_certificates(&next)?;
        self.record(actor, "deploy", &chosen.iter().cloned().collect::<Vec<_>>().join(" "), "").await?;
        let mut specs = wire::services_for_run(&reading.config, self.parts.file.folder());
        specs.retain(|spec| chosen.contains(&spec.name));
        let deployed = match self.parts.run.by(actor).deploy(specs, steps).await {
            Ok(deployed) => deployed,
            Err(error) => {
                // What was deployed before the failure serves, with the routes to it.
                let done = error.deployed.iter().map(|one| one.service.clone()).collect();
                self.apply_front(overlay(&self.config(), &reading.config, &done))?;
                return Err(refusal(error));
            }
        };
        let gone: Vec<String> =
            self.config().services.keys().filter(|name| !next.services.contains_key(*name)).cloned().collect();
        // Routes first, so that nothing is sent to a service that is about to stop.
        self.apply_front(next)?;
        self.front_is_everywhere().await;
        for name in &gone {
            self.parts.run.leave(name).await.map_err(refusal)?;
        }
        if whole {
            self.keep_as_good(&reading.text);
            self.note_file(None);
        }
        let mut finished = status::finished(deployed, &gone);
        finished.messages.extend(status::left_over(&self.plan_of(&reading.config)));
        Ok(finished)
    }

    /// Makes an earlier release serve again.
    pub(crate) async fn rollback(
        &self,
        service: &str,
        to: Option<u64>,
        actor: &str,
        steps: mpsc::Sender<Step>,
    ) -> Result<Finished, Refusal> {
        let _turn = self.turn(format!("a rollback of `{service}`")).await?;
        self.know(service)?;
        self.record(actor, "rollback", service, &to.map(|to| format!("to release {to}")).unwrap_or_default()).await?;
        let deployed = self.parts.run.by(actor).rollback(service, to, steps).await.map_err(refusal)?;
        Ok(status::finished(vec![deployed], &[]))
    }

    /// Replaces every replica on the same release.
    pub(crate) async fn restart(
        &self,
        service: &str,
        actor: &str,
        steps: mpsc::Sender<Step>,
    ) -> Result<Finished, Refusal> {
        let _turn = self.turn(format!("a restart of `{service}`")).await?;
        self.know(service)?;
        self.record(actor, "restart", service, "").await?;
        let deployed = self.parts.run.by(actor).restart(service, steps).await.map_err(refusal)?;
        Ok(status::restarted(&deployed))
    }

    /// Stops every replica of a service.
    ///
    /// Takes no turn: it must be possible to stop what a deploy is bringing up, which gives that deploy up.
    pub(crate) async fn stop(&self, service: &str, actor: &str) -> Result<Finished, Refusal> {
        self.know(service)?;
        self.record(actor, "stop", service, "").await?;
        self.parts.run.stop(service).await.map_err(refusal)?;
        Ok(status::said(format!("{service} is stopped; `prumo restart {service}` starts it again")))
    }

    /// Writes down who does what, before it is done: nothing happens that is not in the audit log.
    pub(crate) async fn record(&self, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), Refusal> {
        let recorded = self.parts.ledger.record(Entry::new(actor, action, subject, detail)).await;
        let trouble = recorded.as_ref().err().map(ToString::to_string);
        *self.ledger_trouble.write().expect("no holder of this lock panics") = trouble;
        recorded.map_err(|error| ledger_refusal(&error))
    }

    fn ledger_trouble(&self) -> Option<String> {
        self.ledger_trouble.read().expect("no holder of this lock panics").clone()
    }

    /// Refuses a name that is no service of this site, with the name that was probably meant.
    pub(crate) fn know(&self, service: &str) -> Result<(), Refusal> {
        let config = self.config();
        if config.services.contains_key(service) { Ok(()) } else { Err(no_such_service(service, &config)) }
    }

    /// Notices when the file changes, and says whether it could be applied.
    pub(crate) fn watch_the_file(self: &Arc<Self>, stage: &Stage) {
        let (site, stopping) = (self.clone(), stage.stopping());
        stage.spawn("file watch", async move {
            let mut seen = site.parts.file.version();
            loop {
                tokio::select! {
                    () = stopping.wait() => return,
                    () = site.parts.clock.sleep(WATCH_EVERY) => {}
                }
                let version = site.parts.file.version();
                if version != seen {
                    seen = version;
                    site.look_at_the_file();
                }
            }
        });
    }

    /// Prunes old records once a minute that the file's calendar names.
    pub(crate) fn tidy_by_the_calendar(self: &Arc<Self>, stage: &Stage) {
        let (site, stopping) = (self.clone(), stage.stopping());
        stage.spawn("calendar", async move {
            loop {
                tokio::select! {
                    () = stopping.wait() => return,
                    () = site.parts.clock.sleep(until_next_minute(site.parts.clock.wall())) => {}
                }
                if site.config().site.tidy.matches(&wire::calendar_minute(site.parts.clock.wall())) {
                    site.tidy().await;
                }
            }
        });
    }

    async fn tidy(&self) {
        match self.parts.run.tidy().await {
            Ok(()) => tracing::info!("old records pruned"),
            Err(error) => tracing::warn!(%error, "old records not pruned"),
        }
    }

    fn look_at_the_file(&self) {
        let shown = self.parts.file.shown();
        match self.plan() {
            Err(refusal) => {
                let why = first_line(&refusal);
                tracing::warn!(file = shown, why, "file changed and has mistakes: what runs stays as it is");
                self.note_mistakes();
            }
            Ok(report) if report.changes.is_empty() => self.note_file(None),
            Ok(report) => {
                tracing::info!(
                    file = shown,
                    changes = report.changes.len(),
                    "file changed: `prumo plan` shows how, `prumo deploy` applies it"
                );
                self.note_file(None);
            }
        }
    }

    /// What people see: one sentence, because the mistakes themselves quote the file.
    fn note_mistakes(&self) {
        let shown = self.parts.file.shown();
        self.note_file(Some(format!("{shown} has mistakes, and what runs stays as it was: `prumo check` shows them")));
    }

    fn note_file(&self, note: Option<String>) {
        *self.file_note.write().expect("no holder of this lock panics") = note;
    }

    /// Gives the edge its certificates and its routes. It takes all of them or, when a certificate is bad or cannot be
    /// made, none.
    fn apply_front(&self, next: Config) -> Result<(), Refusal> {
        let next = plan::as_started(next, &self.config());
        let base = self.parts.file.folder();
        let (certificates, client_certificates) =
            (wire::certificates_for_the_edge(&next, base), wire::client_certificates_for_the_edge(&next, base));
        let edge = &self.parts.edge;
        edge.outside(wire::outside_for_the_edge(&next, base)).map_err(|error| wire::edge_refusal(&error))?;
        let routes = maintenance::routes(&next, base, &self.standing());
        if let Err(error) = edge.reload(&certificates, &client_certificates, routes) {
            edge.outside(wire::outside_for_the_edge(&self.config(), base))
                .map_err(|error| wire::edge_refusal(&error))?;
            return Err(wire::edge_refusal(&error));
        }
        self.parts.edge.traffic(wire::traffic_for_the_edge(&next));
        for remark in remarks::about(&next, base) {
            tracing::warn!("{remark}");
        }
        *self.applied.write().expect("no holder of this lock panics") = Arc::new(next);
        Ok(())
    }

    /// Waits until every core of the edge uses the routes that were applied last, so that who reads that a deploy is done
    /// finds it so. A core that does not look for so long is stuck, which `prumo health` says.
    async fn front_is_everywhere(&self) {
        let clock = &self.parts.clock;
        let began = clock.now();
        let is_everywhere = || {
            let report = self.parts.edge.report();
            report.settled >= report.generation
        };
        while !is_everywhere() && clock.now().since(began) < FRONT_SETTLES_WITHIN {
            clock.sleep(Duration::from_millis(2)).await;
        }
    }

    fn keep_as_good(&self, text: &str) {
        let path = self.parts.state.join(LAST_GOOD);
        if let Err(error) = write_whole(&path, text.as_bytes()) {
            tracing::warn!(%error, "last good file not kept: a restart after a crash will need a good prumo.toml");
        }
    }
}

fn first_line(refusal: &Refusal) -> &str {
    refusal.message.lines().next().unwrap_or_default()
}

/// The services that a deploy is about: those named, or all.
fn choose(config: &Config, names: &[String]) -> Result<BTreeSet<String>, Refusal> {
    if names.is_empty() {
        return Ok(config.services.keys().cloned().collect());
    }
    match names.iter().find(|name| !config.services.contains_key(*name)) {
        Some(unknown) => Err(no_such_service(unknown, config)),
        None => Ok(names.iter().cloned().collect()),
    }
}

/// The running configuration with these services, and the routes to them, taken from the file.
fn overlay(running: &Config, file: &Config, chosen: &BTreeSet<String>) -> Config {
    let mut next = running.clone();
    let taken = file.services.iter().filter(|(name, _)| chosen.contains(*name));
    next.services.extend(taken.map(|(name, service)| (name.clone(), service.clone())));
    let is_chosen = |route: &Route| route.services().any(|service| chosen.contains(service));
    let of_file = file.routes.iter().filter(|route| is_chosen(route));
    let taken: Vec<Route> = of_file.filter_map(|route| to_running(route, &next)).collect();
    let is_replaced = |route: &Route| taken.iter().any(|other| other.name == route.name);
    let is_gone = |route: &Route| is_chosen(route) && !file.routes.iter().any(|other| other.name == route.name);
    next.routes.retain(|route| !is_replaced(route) && !is_gone(route));
    next.routes.extend(taken);
    // Where two routes tie, their order counts: the file's.
    let place = |route: &Route| file.routes.iter().position(|other| other.name == route.name);
    next.routes.sort_by_key(|route| place(route).unwrap_or(usize::MAX));
    next
}

/// The route without the services that do not run yet; none if it would lead nowhere.
fn to_running(route: &Route, running: &Config) -> Option<Route> {
    let mut route = route.clone();
    let Action::Forward(forward) = &mut route.action else { return Some(route) };
    let runs = |name: &String| running.services.contains_key(name) || running.outside.contains_key(name);
    forward.to.retain(|target| runs(&target.service));
    let leads_somewhere = forward.to.iter().any(|target| target.weight > 0);
    leads_somewhere.then_some(route)
}

fn no_such_service(name: &str, config: &Config) -> Refusal {
    if config.outside.contains_key(name) {
        return Refusal::new(RefusalKind::Refused, format!("`{name}` is a service outside: prumo does not run it"))
            .hint("change its `at` and send prumo a SIGHUP, or `prumo deploy` the whole file");
    }
    let refusal = Refusal::new(RefusalKind::NoSuchThing, format!("there is no service `{name}`"));
    let names = || config.services.keys().chain(config.outside.keys()).map(String::as_str);
    match prumo_config::nearest(name, names()) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => {
            let mut names: Vec<&str> = names().collect();
            names.sort_unstable();
            refusal.hint(format!("the services are {}", names.join(", ")))
        }
    }
}

/// An error of run, for whoever asked: what happened, why, and what the app said last.
pub(crate) fn refusal(error: DeployError) -> Refusal {
    let kind = match error.fault {
        Fault::Unknown => RefusalKind::NoSuchThing,
        Fault::Refused | Fault::Preflight | Fault::Ledger => RefusalKind::Refused,
        Fault::Unhealthy => RefusalKind::Unhealthy,
        Fault::Interrupted => RefusalKind::Failed,
    };
    let mut message = error.message;
    for reason in error.because {
        message.push_str(&format!("\n  {reason}"));
    }
    if !error.lines.is_empty() {
        message.push_str("\n\nits last lines:");
    }
    for line in error.lines {
        message.push_str(&format!("\n  | {line}"));
    }
    for deployed in error.deployed {
        message
            .push_str(&format!("\n\n`{}` was deployed before: release {} serves", deployed.service, deployed.release));
    }
    Refusal { kind, message, hint: error.hint }
}

/// An error of the ledger, for whoever asked. A full disk refuses changes and touches nothing else.
pub(crate) fn ledger_refusal(error: &LedgerError) -> Refusal {
    let kind = if matches!(error, LedgerError::Full { .. }) { RefusalKind::Refused } else { RefusalKind::Failed };
    Refusal::new(kind, error.to_string()).hint(error.hint())
}

fn until_next_minute(now: Timestamp) -> Duration {
    let into = now.millis().rem_euclid(60_000);
    Duration::from_millis(u64::try_from(60_000 - into).expect("between 1 and 60,000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the calendar wakes at the start of each minute, also before 1970 and on the minute itself.
    #[test]
    fn the_calendar_wakes_on_the_minute() {
        let check = |millis, expected| {
            assert_eq!(until_next_minute(Timestamp::from_millis(millis)).as_millis(), expected, "{millis}");
        };
        check(0, 60_000);
        check(1, 59_999);
        check(59_999, 1);
        check(-1, 1);
    }
}
