//! Who of a connection's many streams has something to do.
//!
//! Each stream has a bell: a waker of its own, made once for its place and used by every stream that sits there. A bell
//! that rings sets a bit and wakes the connection's task, which then polls those that rang and nobody else. Bells that
//! ring while the task is running anyway wake nobody: they are seen before it rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

use atomic_waker::AtomicWaker;

/// As many places as there are bits.
pub(super) const BELLS: usize = 128;

/// The bells of one connection.
pub(super) struct Bells {
    board: Arc<Board>,
    wakers: Vec<Waker>,
}

#[derive(Default)]
struct Board {
    rung: [AtomicU64; BELLS / 64],
    is_running: AtomicBool,
    task: AtomicWaker,
}

struct Bell {
    board: Arc<Board>,
    place: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.board.ring(self.place);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.board.ring(self.place);
    }
}

impl Board {
    fn ring(&self, place: usize) {
        self.rung[place / 64].fetch_or(1 << (place % 64), Ordering::SeqCst);
        if !self.is_running.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Bells {
    pub(super) fn new() -> Bells {
        Bells { board: Arc::default(), wakers: Vec::new() }
    }

    /// The bell of a place below [`BELLS`].
    pub(super) fn waker(&mut self, place: usize) -> &Waker {
        while self.wakers.len() <= place {
            let bell = Bell { board: Arc::clone(&self.board), place: self.wakers.len() };
            self.wakers.push(Waker::from(Arc::new(bell)));
        }
        &self.wakers[place]
    }

    /// Rings a bell by hand.
    pub(super) fn ring(&self, place: usize) {
        self.board.ring(place);
    }

    /// The connection's task runs: it will look at the bells.
    pub(super) fn begin(&self, task: &Waker) {
        self.board.task.register(task);
        self.board.is_running.store(true, Ordering::SeqCst);
    }

    /// All that rang since the last look.
    pub(super) fn take(&self) -> Rung {
        Rung(std::array::from_fn(|index| self.board.rung[index].swap(0, Ordering::SeqCst)))
    }

    /// The task rests, or comes again at once for what rang since its last look.
    pub(super) fn rest(&self) {
        self.board.is_running.store(false, Ordering::SeqCst);
        if self.board.rung.iter().any(|rung| rung.load(Ordering::SeqCst) != 0) {
            self.board.task.wake();
        }
    }
}

/// Places whose bells rang, in their order.
pub(super) struct Rung([u64; BELLS / 64]);

impl Rung {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl Iterator for Rung {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let (index, word) = self.0.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        Some(index * 64 + bit)
    }
}

#[cfg(test)]
mod tests;
