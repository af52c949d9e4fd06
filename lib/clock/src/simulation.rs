//! The simulated clock: time stands still until the test moves it, and the seed decides every draw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::chance::Generator;
use crate::moment::Origin;
use crate::{Moment, Timestamp};

/// The hand that moves a simulated [`Clock`](crate::Clock). Works with any executor: it only wakes wakers.
#[derive(Clone)]
pub struct Simulation {
    world: Arc<World>,
}

impl Simulation {
    pub(crate) fn new(world: Arc<World>) -> Simulation {
        Simulation { world }
    }

    /// Lets `duration` pass. Sleepers are woken in the order of their deadlines, equal deadlines in the order in which
    /// they began to wait. What they do next happens when their executor gets its turn, at the end of this duration:
    /// to let them act at their own moment, use [`Simulation::run`].
    pub fn advance(&self, duration: Duration) {
        let end = self.world.now() + duration;
        while self.step(end) {}
        self.world.lock().now = end;
    }

    /// Lets `duration` pass and gives the tasks beside the caller their turn after each wake-up, so that a loop which
    /// sleeps for one second runs sixty times in a minute. For executors with one thread.
    pub async fn run(&self, duration: Duration) {
        let end = self.world.now() + duration;
        give_turns().await;
        while self.step(end) {
            give_turns().await;
        }
        self.world.lock().now = end;
        give_turns().await;
    }

    /// Sets the wall clock `millis` forward, or back when negative, as an operator or NTP would. Monotonic time goes on.
    pub fn jump_wall(&self, millis: i64) {
        let mut state = self.world.lock();
        state.wall_at_origin = state.wall_at_origin.saturating_add(millis);
    }

    /// The next moment at which somebody will be woken.
    pub fn next_wake(&self) -> Option<Moment> {
        self.world.lock().sleepers.keys().next().map(|ticket| ticket.deadline)
    }

    /// Moves to the first deadline up to `end` and wakes its sleeper; false when nobody is left to wake.
    fn step(&self, end: Moment) -> bool {
        let mut state = self.world.lock();
        let Some(first) = state.sleepers.first_entry().filter(|first| first.key().deadline <= end) else {
            return false;
        };
        let (ticket, waker) = first.remove_entry();
        state.now = state.now.max(ticket.deadline);
        // A waker runs code of the executor, which may come back here.
        drop(state);
        waker.wake();
        true
    }
}

/// How often the caller of [`Simulation::run`] steps back after each wake-up: longer than any chain of tasks in a
/// test, where each wakes the next.
const TURNS: u32 = 64;

async fn give_turns() {
    for _ in 0..TURNS {
        let mut gave = false;
        std::future::poll_fn(|context| {
            if gave {
                return Poll::Ready(());
            }
            gave = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// What all clones of one simulated clock share.
pub(crate) struct World {
    origin: Origin,
    state: Mutex<State>,
}

struct State {
    now: Moment,
    wall_at_origin: i64,
    generator: Generator,
    sleepers: BTreeMap<Ticket, Waker>,
    tickets_given: u64,
}

/// A sleeper's place in the queue: by deadline, then by arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    deadline: Moment,
    arrival: u64,
}

impl World {
    pub(crate) fn new(seed: u64, start: Timestamp) -> World {
        let state = State {
            now: Moment::default(),
            wall_at_origin: start.millis(),
            generator: Generator::new(seed),
            sleepers: BTreeMap::new(),
            tickets_given: 0,
        };
        World { origin: Origin::read_system(), state: Mutex::new(state) }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn now(&self) -> Moment {
        self.lock().now
    }

    pub(crate) fn wall(&self) -> Timestamp {
        let state = self.lock();
        Timestamp::from_millis(state.wall_at_origin) + state.now.since(Moment::default())
    }

    pub(crate) fn random(&self) -> u64 {
        self.lock().generator.draw()
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        self.lock().generator.fill(bytes);
    }

    /// Ready at the deadline; until then the sleeper keeps its place and its latest waker.
    pub(crate) fn poll_sleeper(&self, place: &mut Option<Ticket>, deadline: Moment, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.now >= deadline {
            let served = place.take().and_then(|ticket| state.sleepers.remove(&ticket));
            release(state, served);
            return Poll::Ready(());
        }
        let ticket = *place.get_or_insert_with(|| state.give_ticket(deadline));
        let replaced = state.sleepers.insert(ticket, waker.clone());
        release(state, replaced);
        Poll::Pending
    }

    /// Gives a waiting sleeper its place for a new deadline, or wakes it when that has passed.
    pub(crate) fn move_sleeper(&self, old: Ticket, deadline: Moment) -> Option<Ticket> {
        let mut state = self.lock();
        let waker = state.sleepers.remove(&old)?;
        if state.now >= deadline {
            drop(state);
            waker.wake();
            return None;
        }
        let ticket = state.give_ticket(deadline);
        state.sleepers.insert(ticket, waker);
        Some(ticket)
    }

    pub(crate) fn forget_sleeper(&self, ticket: Ticket) {
        let mut state = self.lock();
        let forgotten = state.sleepers.remove(&ticket);
        release(state, forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unlocks first: the last waker of a task takes the task with it, and that task's own sleepers come back here.
fn release(state: MutexGuard<'_, State>, waker: Option<Waker>) {
    drop(state);
    drop(waker);
}

impl State {
    fn give_ticket(&mut self, deadline: Moment) -> Ticket {
        self.tickets_given += 1;
        Ticket { deadline, arrival: self.tickets_given }
    }
}

#[cfg(test)]
mod tests;
