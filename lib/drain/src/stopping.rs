//! A flag that is raised once and can be waited for.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells a task that its stage is to stop. To look is one atomic load; to wait costs no task and no timer.
#[derive(Clone)]
pub struct Stopping {
    flag: Arc<Flag>,
}

impl Stopping {
    pub(crate) fn new(flag: Arc<Flag>) -> Stopping {
        Stopping { flag }
    }

    /// True from the moment the stage was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.flag.is_raised()
    }

    /// Completes when the stage is asked to stop, at once when it already was.
    pub async fn wait(&self) {
        self.flag.wait().await;
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stopping({})", self.is_stopping())
    }
}

/// What [`Stopping`] and [`Hurry`](crate::Hurry) look at.
#[derive(Default)]
pub(crate) struct Flag {
    raised: AtomicBool,
    change: Notify,
}

impl Flag {
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.change.notify_waiters();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    pub(crate) async fn wait(&self) {
        let mut change = pin!(self.change.notified());
        // In line before looking, so that a raise between the look and the wait is not missed.
        change.as_mut().enable();
        if !self.is_raised() {
            change.await;
        }
    }
}

#[cfg(test)]
mod tests;
