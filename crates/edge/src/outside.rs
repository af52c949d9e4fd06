//! Services outside: a thread of their own looks up their names and asks at their addresses whether they can serve, and
//! the cores get the upstreams that follow from that.
//!
//! What was known stays when a name cannot be looked up. An address that is not well is left out, unless none is: then
//! all stay, because a look from here proves less than a request would.

mod names;
mod pulse;
mod service;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use prumo_clock::{Clock, Moment};
use prumo_drain::Stage;
use tokio::sync::Notify;

use crate::error::EdgeError;
use crate::settings::{Outside, Upstream};
use service::{Known, Looked, Watched};

/// How far the looks at different services drift apart, in percent, so that they do not all come at once.
const SPREAD_PERCENT: u32 = 10;

/// The upstreams of all services outside.
type Upstreams = BTreeMap<String, Vec<Upstream>>;

/// Takes them.
pub(crate) type Publish = Box<dyn Fn(Upstreams) + Send>;

/// How one service outside is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideReport {
    /// Its upstreams: the address, and what keeps it from being used.
    pub upstreams: Vec<(String, Option<String>)>,
    /// Names that could not be looked up the last time, and why.
    pub lost: Vec<String>,
}

impl OutsideReport {
    fn is_well(&self) -> bool {
        self.upstreams.iter().any(|(_, refusal)| refusal.is_none())
    }
}

/// What the watching thread and its owner share.
#[derive(Default)]
pub(crate) struct Watch {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Default)]
struct Wanted {
    services: Vec<Arc<Watched>>,
    reports: BTreeMap<String, OutsideReport>,
    lookups_failed: u64,
    is_running: bool,
}

impl Watch {
    /// Watches these from now on. Fails when an authority's file cannot be read; what was watched before then stays.
    pub(crate) fn set(&self, services: Vec<Outside>) -> Result<(), EdgeError> {
        let before = self.lock().services.clone();
        let keep_or_make = |settings: Outside| -> Result<Arc<Watched>, EdgeError> {
            let authority = service::read_authority(&settings)?;
            match before.iter().find(|known| known.is_of(&settings, authority.as_deref())) {
                Some(known) => Ok(Arc::clone(known)),
                None => Ok(Arc::new(Watched::new(settings, authority)?)),
            }
        };
        let services = services.into_iter().map(keep_or_make).collect::<Result<Vec<_>, _>>()?;
        self.lock().services = services;
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) fn reports(&self) -> BTreeMap<String, OutsideReport> {
        self.lock().reports.clone()
    }

    pub(crate) fn lookups_failed(&self) -> u64 {
        self.lock().lookups_failed
    }

    /// Starts the thread, when there is something to watch for the first time.
    pub(crate) fn start(self: &Arc<Self>, clock: Clock, stage: &Stage, publish: Publish) -> std::io::Result<()> {
        {
            let mut wanted = self.lock();
            if wanted.is_running || wanted.services.is_empty() {
                return Ok(());
            }
            wanted.is_running = true;
        }
        let (watch, stopping) = (Arc::clone(self), stage.stopping());
        let started = stage.thread("services outside", move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                tracing::error!("services outside are not watched: there is no runtime");
                return;
            };
            runtime.block_on(async {
                tokio::select! {
                    () = watch.run(&clock, publish) => {}
                    () = stopping.wait() => {}
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        });
        if started.is_err() {
            self.lock().is_running = false;
        }
        started
    }

    async fn run(&self, clock: &Clock, publish: Publish) {
        let mut before: Vec<Following> = Vec::new();
        let told = RefCell::new(Told { publish, upstreams: Upstreams::new() });
        loop {
            let mut changed = pin!(self.changed.notified());
            if changed.as_mut().enable() {
                // What was told up to now is read here.
                changed.set(self.changed.notified());
            }
            let services = self.lock().services.clone();
            let is_wanted = |name: &String| services.iter().any(|service| service.settings.service == *name);
            self.lock().reports.retain(|name, _| is_wanted(name));
            told.borrow_mut().change(|upstreams| upstreams.retain(|name, _| is_wanted(name)));
            let mut following: Vec<Following> = services.into_iter().map(|one| take(&mut before, one)).collect();
            let follow = following.iter_mut().map(|one| {
                one.follow(clock, |service, looked| {
                    self.note(service, &looked);
                    // Each is told as soon as it is known: one that cannot be reached keeps no other waiting.
                    told.borrow_mut().change(|upstreams| drop(upstreams.insert(service.to_owned(), looked.upstreams)));
                })
            });
            tokio::select! {
                () = all(follow) => {}
                () = changed => {}
            }
            before = following;
        }
    }

    /// Keeps the report, and says what is new about the service.
    fn note(&self, service: &str, looked: &Looked) {
        let mut wanted = self.lock();
        wanted.lookups_failed += looked.lookups_failed;
        let before = wanted.reports.insert(service.to_owned(), looked.report.clone());
        drop(wanted);
        tell_changes(service, before.as_ref(), &looked.report);
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Plain values, whole at every moment.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the cores were told.
struct Told {
    publish: Publish,
    upstreams: Upstreams,
}

impl Told {
    /// Publishes the upstreams if they are other ones after this.
    fn change(&mut self, change: impl FnOnce(&mut Upstreams)) {
        let mut upstreams = self.upstreams.clone();
        change(&mut upstreams);
        if upstreams != self.upstreams {
            (self.publish)(upstreams.clone());
            self.upstreams = upstreams;
        }
    }
}

/// Says what has become well or no longer is, and why, and which names can no longer be looked up.
fn tell_changes(service: &str, before: Option<&OutsideReport>, now: &OutsideReport) {
    let was_lost = |why: &String| before.is_some_and(|before| before.lost.contains(why));
    for why in now.lost.iter().filter(|why| !was_lost(why)) {
        tracing::warn!(service, why, "name not looked up, what was known stays");
    }
    let known = |id: &String| before.and_then(|before| before.upstreams.iter().find(|(known, _)| known == id));
    for (address, refusal) in &now.upstreams {
        match (known(address).map(|(_, refusal)| refusal), refusal) {
            (Some(before), refusal) if before == refusal => {}
            (_, Some(why)) => tracing::warn!(service, address, why, "address is not well"),
            (Some(Some(_)), None) => tracing::info!(service, address, "address is well again"),
            (_, None) => {}
        }
    }
    match now.is_well() {
        is_well if before.map(OutsideReport::is_well) == Some(is_well) => {}
        true => tracing::info!(service, "service outside is reachable"),
        false => tracing::warn!(service, "service outside is not reachable at any address"),
    }
}

/// A service that is looked at again and again.
struct Following {
    service: Arc<Watched>,
    known: Known,
    /// When its probe is due; now when it never asked.
    asks_at: Option<Moment>,
    /// False while something may be known that was not given away, because a look was broken off or there was none.
    is_told: bool,
}

/// What goes on with a service: what was found out of exactly this one counts on, and of one that was changed the
/// addresses of its names, and what its probes have shown if those would be the same.
fn take(before: &mut Vec<Following>, service: Arc<Watched>) -> Following {
    let place = before.iter().position(|one| one.service.settings.service == service.settings.service);
    match place.map(|place| before.swap_remove(place)) {
        Some(same) if Arc::ptr_eq(&same.service, &service) => same,
        Some(other) => {
            let stay = service.is_asked_as(&other.service);
            let asks_at = other.asks_at.filter(|_| stay);
            Following { service, known: other.known.carried_over(stay), asks_at, is_told: false }
        }
        None => Following { service, known: Known::default(), asks_at: None, is_told: false },
    }
}

impl Following {
    /// Looks at the service each time that is due, without an end, and gives away what it found.
    async fn follow(&mut self, clock: &Clock, mut found: impl FnMut(&str, Looked)) {
        loop {
            if let Some(asks_at) = self.asks_at.filter(|_| self.is_told) {
                clock.sleep_until(self.known.names_due().map_or(asks_at, |due| due.min(asks_at))).await;
            }
            self.is_told = false;
            let is_asking = self.asks_at.is_none_or(|asks_at| asks_at <= clock.now());
            let looked = self.service.look(&mut self.known, is_asking, clock).await;
            if is_asking {
                self.asks_at = Some(clock.now() + clock.jitter(self.service.settings.probe.every, SPREAD_PERCENT));
            }
            self.is_told = true;
            found(&self.service.settings.service, looked);
        }
    }
}

/// Does all of this work at once, and ends never: there may be none.
async fn all(work: impl Iterator<Item = impl Future<Output = ()>>) {
    as_they_end(work, |()| {}).await;
    std::future::pending::<()>().await;
}

/// Does all of this work at once, and gives each outcome to `take` when it is there.
async fn as_they_end<T>(work: impl Iterator<Item = impl Future<Output = T>>, mut take: impl FnMut(T)) {
    let mut open: Vec<_> = work.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        open.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                take(outcome);
                false
            }
            Poll::Pending => true,
        });
        if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
