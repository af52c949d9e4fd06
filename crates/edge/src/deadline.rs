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

#[derive(Default)]
struct State {
    limit: Cell<Option<Duration>>,
    since: Cell<Option<Moment>>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// From now on, `limit` may pass without progress.
    pub(crate) fn arm(&self, limit: Duration) {
        self.state.limit.set(Some(limit));
        self.state.since.set(None);
        self.state.expired.set(false);
    }

    /// Something moved: the limit counts from now.
    pub(crate) fn progress(&self) {
        self.state.since.set(None);
    }

    /// Nothing is waited for.
    pub(crate) fn disarm(&self) {
        self.state.limit.set(None);
        self.state.expired.set(false);
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
}

#[derive(Default)]
struct Slots {
    states: Vec<Option<Rc<State>>>,
    free: Vec<usize>,
}

impl Deadlines {
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
        for state in self.slots.borrow().states.iter().flatten() {
            let Some(limit) = state.limit.get() else { continue };
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
