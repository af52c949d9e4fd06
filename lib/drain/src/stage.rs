//! A stage: the tasks that stop together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::Stopping;
use crate::owned::{Owned, Ticket, log_panic};
use crate::stopping::Flag;

/// The tasks that stop together. Clones are the same stage.
#[derive(Clone)]
pub struct Stage {
    roll: Arc<Roll>,
}

impl Stage {
    pub(crate) fn new(name: &'static str) -> Stage {
        Stage { roll: Arc::new(Roll::new(name)) }
    }

    /// The stage's name.
    pub fn name(&self) -> &'static str {
        self.roll.name
    }

    /// Starts a task on the current runtime. After the stage has stopped, the future is dropped instead.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the room that starts tasks")]
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, work: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(name.into(), |ticket| tokio::spawn(Owned::new(work, ticket)).abort_handle())
    }

    /// Starts a task on this thread, for what may not leave it. Meant for each connection: one allocation, and a lock
    /// that nobody holds for longer than a map insertion.
    ///
    /// # Panics
    /// Outside a tokio `LocalSet` or local runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the room that starts tasks")]
    pub fn spawn_local<F>(&self, name: impl Into<Cow<'static, str>>, work: F) -> Task
    where
        F: Future<Output = ()> + 'static,
    {
        self.start(name.into(), |ticket| tokio::task::spawn_local(Owned::new(work, ticket)).abort_handle())
    }

    /// Starts an operating system thread. It must look at [`Stage::stopping`]; it is joined when the stage stops.
    ///
    /// # Errors
    /// When the operating system gives no thread, or the stage has stopped.
    #[expect(clippy::disallowed_methods, reason = "this is the room that starts threads")]
    pub fn thread<F>(&self, name: impl Into<Cow<'static, str>>, work: F) -> io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let name = name.into();
        let Some(ticket) = Roll::enter(&self.roll, name.clone()) else {
            return Err(io::Error::other(format!("stage `{}` has stopped and starts no thread", self.name())));
        };
        let number = ticket.number();
        let body = move || {
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(work)) {
                ticket.panicked(payload.as_ref());
            }
        };
        let thread = std::thread::Builder::new().name(name.into_owned()).spawn(body)?;
        self.roll.keep_thread(number, thread);
        Ok(())
    }

    /// A flag to look at or wait for; every clone belongs to this stage.
    pub fn stopping(&self) -> Stopping {
        Stopping::new(Arc::clone(&self.roll.stopping))
    }

    /// What runs now: each name once, with how many tasks bear it, sorted.
    pub fn tasks(&self) -> Vec<(Cow<'static, str>, usize)> {
        let mut counts = BTreeMap::new();
        for entry in self.roll.lock().running.values() {
            *counts.entry(entry.name.clone()).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// How many tasks have panicked since the stage was created.
    pub fn panicked(&self) -> u64 {
        self.roll.panicked.load(Ordering::Relaxed)
    }

    fn start(&self, name: Cow<'static, str>, spawn: impl FnOnce(Ticket) -> AbortHandle) -> Task {
        let Some(ticket) = Roll::enter(&self.roll, name) else {
            return Task { abort: None };
        };
        let number = ticket.number();
        let abort = spawn(ticket);
        self.roll.keep_abort(number, &abort);
        Task { abort: Some(abort) }
    }

    /// Asks the tasks to stop and says how many there are.
    pub(crate) fn raise_stopping(&self) -> usize {
        self.roll.stopping.raise();
        self.roll.lock().running.len()
    }

    /// Completes when no task runs.
    pub(crate) async fn ended(&self) {
        loop {
            let mut change = pin!(self.roll.emptied.notified());
            change.as_mut().enable();
            if self.roll.lock().running.is_empty() {
                return;
            }
            change.await;
        }
    }

    /// Takes no new task from now on, if none runs; false when one does.
    pub(crate) fn close_if_ended(&self) -> bool {
        let mut state = self.roll.lock();
        state.closed |= state.running.is_empty();
        state.closed
    }

    /// Drops every task that still runs, takes no new one, and names those it dropped.
    pub(crate) fn abandon(&self) -> Vec<String> {
        let (names, aborts) = self.roll.abandon();
        for abort in aborts {
            abort.abort();
        }
        names
    }

    /// Waits for the last instructions of the threads whose work has ended.
    pub(crate) fn join_ended_threads(&self) {
        self.roll.join_ended_threads();
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stage").field("name", &self.name()).field("tasks", &self.tasks()).finish()
    }
}

/// A started task, for the owner who wants to end it before its stage stops. Dropping this does not end the task.
#[derive(Clone, Debug)]
pub struct Task {
    abort: Option<AbortHandle>,
}

impl Task {
    /// Drops the task at its next `await`.
    pub fn abort(&self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }

    /// True when the task has ended, or was never started because its stage had stopped.
    pub fn is_finished(&self) -> bool {
        self.abort.as_ref().is_none_or(AbortHandle::is_finished)
    }
}

/// Who is on stage: entered when a task starts, left when it is dropped, whatever the reason.
pub(crate) struct Roll {
    name: &'static str,
    stopping: Arc<Flag>,
    emptied: Notify,
    panicked: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    entered: u64,
    running: BTreeMap<u64, Entry>,
    threads: BTreeMap<u64, JoinHandle<()>>,
}

struct Entry {
    name: Cow<'static, str>,
    /// Known shortly after the start, and never for a thread.
    abort: Option<AbortHandle>,
}

impl Roll {
    fn new(name: &'static str) -> Roll {
        let panicked = AtomicU64::new(0);
        Roll { name, stopping: Arc::default(), emptied: Notify::new(), panicked, state: Mutex::default() }
    }

    /// A place on the roll, unless the stage is closed.
    fn enter(roll: &Arc<Roll>, name: Cow<'static, str>) -> Option<Ticket> {
        let mut state = roll.lock();
        if state.closed {
            drop(state);
            tracing::debug!(stage = roll.name, task = &*name, "not started: the stage has stopped");
            return None;
        }
        state.entered += 1;
        let number = state.entered;
        state.running.insert(number, Entry { name, abort: None });
        Some(Ticket::new(Arc::clone(roll), number))
    }

    pub(crate) fn leave(&self, number: u64) {
        let mut state = self.lock();
        let left = state.running.remove(&number);
        let empty = state.running.is_empty();
        drop(state);
        drop(left);
        if empty {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn count_panic(&self, number: u64, message: &str) {
        self.panicked.fetch_add(1, Ordering::Relaxed);
        let task = self.lock().running.get(&number).map(|entry| entry.name.clone()).unwrap_or_default();
        log_panic(self.name, &task, message);
    }

    /// Takes the handle of a task that has just started. The stage may have closed meanwhile.
    fn keep_abort(&self, number: u64, abort: &AbortHandle) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            abort.abort();
        } else if let Some(entry) = state.running.get_mut(&number) {
            entry.abort = Some(abort.clone());
        }
    }

    /// Keeps a thread to be joined, and joins those that have ended, so that the list stays as short as what runs.
    fn keep_thread(&self, number: u64, thread: JoinHandle<()>) {
        self.join_ended_threads();
        self.lock().threads.insert(number, thread);
    }

    /// A thread that has left the roll has a few instructions to go, so that joining it does not wait.
    fn join_ended_threads(&self) {
        let mut state = self.lock();
        let State { running, threads, .. } = &mut *state;
        let ended: Vec<_> = threads.extract_if(.., |number, _| !running.contains_key(number)).collect();
        drop(state);
        for (_, thread) in ended {
            thread.join().expect("the thread's work ran inside catch_unwind");
        }
    }

    fn abandon(&self) -> (Vec<String>, Vec<AbortHandle>) {
        let mut state = self.lock();
        state.closed = true;
        let names = state.running.values().map(|entry| entry.name.to_string()).collect();
        let aborts = state.running.values().filter_map(|entry| entry.abort.clone()).collect();
        (names, aborts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
