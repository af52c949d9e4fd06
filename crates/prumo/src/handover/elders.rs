//! Predecessors that still finish their requests. To the successor they are cores in another process: they are told where
//! replicas are and say what they are busy with, so that no replica is stopped under a request.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prumo_clock::{Clock, Moment};
use prumo_drain::{Drain, Stage};
use prumo_edge::{Edge, InFlight, Upstream};
use tokio::sync::watch;

use super::{Flight, Line, Message};

/// How often an elder looks whether it has something new to say.
const SAY_EVERY: Duration = Duration::from_millis(50);

/// How long requests of elders may go on when everything stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);

/// How long the tasks that listen to elders may take to end.
const PAUSE_WITHIN: Duration = Duration::from_secs(2);

/// Where requests may go, by service.
pub(crate) type Upstreams = BTreeMap<String, Vec<Upstream>>;

/// All elders of this process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Elders {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    known: Mutex<Vec<Arc<Elder>>>,
    said: watch::Sender<Said>,
    /// Whether a predecessor has told the service manager that this is the main process now.
    is_our_turn: watch::Sender<bool>,
}

/// What elders are told.
#[derive(Clone, Default)]
struct Said {
    generation: u64,
    upstreams: Arc<Upstreams>,
    leave: bool,
}

struct Elder {
    line: Arc<Line>,
    flight: Mutex<Flight>,
}

impl Elders {
    /// The elders at the other ends of these lines.
    pub(crate) fn new(lines: Vec<Line>, clock: Clock) -> Elders {
        let known = lines.into_iter().map(|line| Elder::at(Arc::new(line))).collect();
        let shared = Shared {
            clock,
            known: Mutex::new(known),
            said: watch::Sender::new(Said::default()),
            is_our_turn: watch::Sender::new(false),
        };
        Elders { shared: Arc::new(shared) }
    }

    /// One more.
    pub(crate) fn add(&self, line: Arc<Line>) {
        self.known().push(Elder::at(line));
    }

    /// Listens to all of them until the stage stops.
    pub(crate) fn listen(&self, stage: &Stage) {
        for elder in self.known().iter() {
            let (elders, elder, stopping) = (self.clone(), Arc::clone(elder), stage.stopping());
            stage.spawn("elder", async move {
                tokio::select! {
                    () = stopping.wait() => {}
                    () = elders.converse(&elder) => {
                        elders.known().retain(|known| !Arc::ptr_eq(known, &elder));
                    }
                }
            });
        }
    }

    /// Stops listening, so that somebody else may.
    pub(crate) async fn pause(listening: Drain) {
        listening.stop(PAUSE_WITHIN).await;
    }

    /// Their lines, for a successor.
    pub(crate) fn lines(&self) -> io::Result<Vec<OwnedFd>> {
        self.known().iter().map(|elder| elder.line.duplicate()).collect()
    }

    /// Forgets them: somebody else knows them now.
    pub(crate) fn forget(&self) {
        self.known().clear();
    }

    /// Tells them where requests may go from now on.
    pub(crate) fn publish(&self, generation: u64, upstreams: Upstreams) {
        self.shared.said.send_modify(|said| {
            said.generation = generation;
            said.upstreams = Arc::new(upstreams);
        });
    }

    /// Whether no elder picks the replica any more once `generation` is everywhere, and what they are busy with there.
    pub(crate) fn drained(&self, replica: &str, generation: u64) -> (bool, InFlight) {
        let mut count = InFlight::default();
        let mut settled = true;
        for elder in self.known().iter() {
            let flight = elder.flight();
            let own = std::process::id();
            settled &= flight.settled.is_some_and(|(epoch, known)| epoch == own && known >= generation);
            let (requests, tunnels) = flight.busy.get(replica).copied().unwrap_or_default();
            count.requests += requests;
            count.tunnels += tunnels;
        }
        (settled, count)
    }

    /// Asks all to leave, and waits until their requests have ended; tunnels end with their replicas.
    pub(crate) async fn dismiss(&self) {
        self.shared.said.send_modify(|said| said.leave = true);
        let clock = &self.shared.clock;
        let deadline = clock.now() + LEAVE_WITHIN;
        let is_busy = |elder: &Arc<Elder>| elder.flight().busy.values().any(|(requests, _)| *requests > 0);
        while self.known().iter().any(is_busy) && clock.now() < deadline {
            clock.sleep(SAY_EVERY).await;
        }
    }

    /// Waits until a service manager listens to this process and no longer to the one before.
    pub(crate) async fn turn(&self) {
        // The sender lives as long as we do.
        drop(self.shared.is_our_turn.subscribe().wait_for(|is_ours| *is_ours).await);
    }

    /// Ends when the elder has gone.
    async fn converse(&self, elder: &Elder) {
        let mut said = self.shared.said.subscribe();
        said.mark_changed();
        loop {
            let heard = tokio::select! {
                changed = said.changed() => match changed {
                    Ok(()) => {
                        let now = said.borrow_and_update().clone();
                        if elder.tell(&now).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Err(_) => return,
                },
                heard = elder.line.next() => heard,
            };
            match heard {
                Ok(Some((Message::Flight(flight), _))) => *elder.flight() = flight,
                Ok(Some((Message::Main { .. }, _))) => drop(self.shared.is_our_turn.send_replace(true)),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "a predecessor cannot be understood any more"),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Elder>>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Elder {
    fn at(line: Arc<Line>) -> Arc<Elder> {
        Arc::new(Elder { line, flight: Mutex::default() })
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, said: &Said) -> io::Result<()> {
        let (epoch, generation, of) = (std::process::id(), said.generation, said.upstreams.len());
        for (service, upstreams) in said.upstreams.iter() {
            let (service, known) = (service.clone(), upstreams.iter().map(crate::wire::known).collect());
            self.line.send(&Message::Upstreams { epoch, generation, of, service, known }).await?;
        }
        if said.leave {
            self.line.send(&Message::Leave).await?;
        }
        Ok(())
    }
}

/// Why an elder has nobody to talk to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It was told to leave, and has had time for it.
    Asked,
    /// The successor has gone. The requests in flight still have their replicas.
    Alone,
}

/// Serves as an elder: takes the successor's upstreams and says what it is busy with.
pub(crate) async fn serve_as_elder(line: &Line, edge: &Edge, clock: &Clock) -> Parting {
    let mut leave_at: Option<Moment> = None;
    let mut coming: (u32, u64, Upstreams) = Default::default();
    let mut taken: Option<((u32, u64), u64)> = None;
    let mut last = Flight::default();
    loop {
        tokio::select! {
            () = clock.sleep(SAY_EVERY) => {}
            heard = line.next() => match heard {
                Ok(Some((Message::Upstreams { epoch, generation, of, service, known }, _))) => {
                    if (coming.0, coming.1) != (epoch, generation) {
                        coming = (epoch, generation, Upstreams::new());
                    }
                    coming.2.insert(service, known.into_iter().map(crate::wire::known_upstream).collect());
                    if coming.2.len() == of {
                        taken = Some(((epoch, generation), edge.upstreams(coming.2.clone())));
                    }
                }
                Ok(Some((Message::Leave, _))) => {
                    edge.keep_idle(false);
                    leave_at.get_or_insert(clock.now() + LEAVE_WITHIN);
                }
                Ok(Some(_)) => {}
                // It told us to leave before it left itself: the site is stopping.
                Ok(None) | Err(_) => match leave_at {
                    Some(at) => {
                        clock.sleep(at.since(clock.now())).await;
                        return Parting::Asked;
                    }
                    None => return Parting::Alone,
                },
            },
        }
        if leave_at.is_some_and(|at| clock.now() >= at) {
            return Parting::Asked;
        }
        let settled = taken.filter(|(_, own)| edge.settled(*own)).map(|(theirs, _)| theirs);
        let busy = edge.busy().into_iter().map(|(id, count)| (id, (count.requests, count.tunnels)));
        let flight = Flight { settled: settled.or(last.settled), busy: busy.collect() };
        if flight != last && line.send(&Message::Flight(flight.clone())).await.is_ok() {
            last = flight;
        }
    }
}
