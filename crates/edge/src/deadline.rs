//! Deadlines without a timer for each: one sweep over all of a core's, many times a second.
//!
//! A timer registered and cancelled for every request would cost about as much as parsing it. Here arming a deadline
//! writes two cells; the sweep stamps when it first sees a deadline, so that it ends between `limit` and
//! `limit + 2 × SWEEP_EVERY` after it was armed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use prumo_clock::Moment;

/// Often enough that a timeout of a second is about a second; rare enough to cost nothing when idle.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// One thing that may take too long: a connection, or a request on a shared connection.
pub(crate) struct Deadline {
    state: Rc<State>,
    all: Rc<Deadlines>,
    slot: usize,
}

/// How slowly a client sends: what came in the time that it was waited for. Time in which the upstream took nothing is
/// not the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trickle {
    waited: Duration,
    moved: u64,
}

/// A client that sends less than it must over this much waiting is too slow. As long as a body may stand still by
/// default, so that an honest client on a bad line is not judged by one bad moment.
const JUDGED_AFTER: Duration = Duration::from_secs(30);

/// A sweep that came this late was not the client's doing: the machine slept.
const LATE: Duration = Duration::from_secs(1);

impl Trickle {
    /// After so much more waiting; `None` when the client has sent less than `least` bytes a second.
    pub(crate) fn wait(self, more: Duration, least: u64) -> Option<Trickle> {
        let waited = self.waited + more.min(LATE);
        if waited < JUDGED_AFTER {
            return Some(Trickle { waited, ..self });
        }
        let enough = u128::from(least) * waited.as_millis() / 1000;
        (u128::from(self.moved) >= enough).then(Trickle::default)
    }

    /// After so many more bytes.
    pub(crate) fn moved(self, bytes: usize) -> Trickle {
        Trickle { moved: self.moved + bytes as u64, ..self }
    }
}

#[derive(Default)]
struct State {
    /// Whether a client's body is waited for.
    awaits_body: Cell<bool>,
    trickle: Cell<Trickle>,
    limit: Cell<Option<Duration>>,
    since: Cell<Option<Moment>>,
    expired: Cell<bool>,
    debt: Debt,
    waker: RefCell<Option<Waker>>,
}

/// What lies ready for a client that does not take it.
#[derive(Default)]
struct Debt {
    /// Its socket takes no more.
    by_socket: Cell<bool>,
    /// A piece of a body was given out, and nobody has asked for the next one yet.
    by_piece: Cell<bool>,
    /// How long the client has kept us waiting since it was judged last.
    waited: Cell<Duration>,
    /// It has been long enough to judge it.
    is_due: Cell<bool>,
}

impl Debt {
    fn is_open(&self) -> bool {
        self.by_socket.get() || self.by_piece.get()
    }

    fn wait(&self, more: Duration, limit: Duration) -> bool {
        self.waited.set(self.waited.get() + more.min(LATE));
        let is_due = self.waited.get() >= limit && !self.is_due.get();
        self.is_due.set(self.is_due.get() || is_due);
        is_due
    }

    fn set(&self, cell: &Cell<bool>, is_open: bool) {
        cell.set(is_open);
        if !self.is_open() {
            self.is_due.set(false);
        }
    }

    fn forget(&self) {
        self.by_socket.set(false);
        self.by_piece.set(false);
        self.forgive();
    }

    fn forgive(&self) {
        self.waited.set(Duration::ZERO);
        self.is_due.set(false);
    }
}

impl Deadline {
    /// From now on, `limit` may pass without progress.
    pub(crate) fn arm(&self, limit: Duration) {
        self.state.limit.set(Some(limit));
        self.state.since.set(None);
        self.state.expired.set(false);
        self.state.awaits_body.set(false);
        self.state.trickle.take();
        self.state.debt.forget();
    }

    /// From now on, `limit` may pass without progress, but no more than is left of what was armed. True when `limit` is less.
    pub(crate) fn shorten(&self, limit: Duration) -> bool {
        let passed = match (self.state.since.get(), self.all.swept.get()) {
            (Some(since), Some(now)) => now.since(since),
            _ => Duration::ZERO,
        };
        let is_less = self.state.limit.get().is_none_or(|armed| limit < armed.saturating_sub(passed));
        if is_less {
            self.arm(limit);
        }
        is_less
    }

    /// The limit that was armed.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.state.limit.get()
    }

    /// The client's socket takes no more of an answer, or takes it again. What is waited for meanwhile is the client, and
    /// the limit that was armed does not count.
    pub(crate) fn is_blocked(&self, is_blocked: bool) {
        self.owe(&self.state.debt.by_socket, is_blocked);
    }

    /// A piece of an answer was given out, or the next one was asked for.
    pub(crate) fn is_offered(&self, is_offered: bool) {
        self.owe(&self.state.debt.by_piece, is_offered);
    }

    fn owe(&self, cell: &Cell<bool>, is_open: bool) {
        if cell.get() != is_open {
            self.state.debt.set(cell, is_open);
            self.state.since.set(None);
        }
    }

    /// How long the client has kept us waiting, when it is time to judge it.
    pub(crate) fn debt_is_due(&self) -> Option<Duration> {
        let debt = &self.state.debt;
        (debt.is_due.get() && debt.is_open()).then(|| debt.waited.get())
    }

    /// The client takes enough: from now on it is waited for anew.
    pub(crate) fn forgive(&self) {
        self.state.debt.forgive();
    }

    /// Bytes of a body came; whoever takes them says when he waits for more.
    pub(crate) fn moved(&self, bytes: usize) {
        self.state.awaits_body.set(false);
        self.state.trickle.set(self.state.trickle.get().moved(bytes));
    }

    /// The next bytes of a body are waited for, and nobody but the client keeps us waiting.
    pub(crate) fn awaits_body(&self) {
        self.state.awaits_body.set(true);
    }

    /// Whether the client keeps us waiting for its body; otherwise it is whoever does not take what came of it.
    pub(crate) fn is_for_body(&self) -> bool {
        self.state.awaits_body.get()
    }

    /// Something moved: the limit counts from now.
    pub(crate) fn progress(&self) {
        self.state.since.set(None);
    }

    /// Nothing is waited for.
    pub(crate) fn disarm(&self) {
        self.state.limit.set(None);
        self.state.expired.set(false);
        self.state.awaits_body.set(false);
        self.state.debt.forget();
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.state.expired.get()
    }

    /// Who is woken when the deadline expires or the core stops.
    pub(crate) fn wakes(&self, waker: &Waker) {
        let mut known = self.state.waker.borrow_mut();
        match &*known {
            Some(known) if known.will_wake(waker) => {}
            _ => *known = Some(waker.clone()),
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.all.remove(self.slot);
    }
}

/// All deadlines of a core.
#[derive(Default)]
pub(crate) struct Deadlines {
    slots: RefCell<Slots>,
    /// Bytes a second that a client must send of a body, on average.
    body_rate_min: u64,
    /// How long a client may keep us waiting with an answer until it is judged.
    body_timeout: Duration,
    swept: Cell<Option<Moment>>,
}

#[derive(Default)]
struct Slots {
    states: Vec<Option<Rc<State>>>,
    free: Vec<usize>,
}

impl Deadlines {
    pub(crate) fn new(body_rate_min: u64, body_timeout: Duration) -> Deadlines {
        Deadlines { body_rate_min, body_timeout, ..Deadlines::default() }
    }

    pub(crate) fn add(self: &Rc<Self>) -> Deadline {
        let state = Rc::new(State::default());
        let mut slots = self.slots.borrow_mut();
        let slot = match slots.free.pop() {
            Some(slot) => {
                slots.states[slot] = Some(Rc::clone(&state));
                slot
            }
            None => {
                slots.states.push(Some(Rc::clone(&state)));
                slots.states.len() - 1
            }
        };
        Deadline { state, all: Rc::clone(self), slot }
    }

    /// Stamps what was armed since the last sweep and wakes what has taken too long.
    pub(crate) fn sweep(&self, now: Moment) {
        let since_last = self.swept.replace(Some(now)).map_or(Duration::ZERO, |last| now.since(last));
        for state in self.slots.borrow().states.iter().flatten() {
            let Some(limit) = state.limit.get() else { continue };
            if state.awaits_body.get() && !state.expired.get() {
                match state.trickle.get().wait(since_last, self.body_rate_min) {
                    Some(trickle) => state.trickle.set(trickle),
                    None => {
                        state.expired.set(true);
                        state.wake();
                        continue;
                    }
                }
            }
            if state.debt.is_open() {
                if state.debt.wait(since_last, self.body_timeout) {
                    state.wake();
                }
                continue;
            }
            match state.since.get() {
                None => state.since.set(Some(now)),
                Some(since) if !state.expired.get() && now.since(since) >= limit => {
                    state.expired.set(true);
                    state.wake();
                }
                Some(_) => {}
            }
        }
    }

    /// Wakes everyone, to look at something other than a deadline.
    pub(crate) fn wake_all(&self) {
        for state in self.slots.borrow().states.iter().flatten() {
            state.wake();
        }
    }

    fn remove(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        slots.states[slot] = None;
        slots.free.push(slot);
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests;
