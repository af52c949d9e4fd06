//! A future on the roll of its stage: leaves it when dropped, and keeps its panic to itself.

use std::any::Any;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::stage::Roll;

pin_project! {
    /// The work of a task. A struct and not an `async` block, which would hold the work twice: a connection's future
    /// is large, and there are many.
    pub(crate) struct Owned<F> {
        #[pin]
        work: F,
        // Below the work, so that the task is still on the roll while its values are dropped.
        ticket: Ticket,
    }
}

impl<F> Owned<F> {
    pub(crate) fn new(work: F, ticket: Ticket) -> Owned<F> {
        Owned { work, ticket }
    }
}

impl<F: Future<Output = ()>> Future for Owned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match panic::catch_unwind(AssertUnwindSafe(|| this.work.poll(context))) {
            Ok(poll) => poll,
            Err(payload) => {
                this.ticket.panicked(payload.as_ref());
                Poll::Ready(())
            }
        }
    }
}

/// A place on the roll of a stage, given back when dropped.
pub(crate) struct Ticket {
    roll: Arc<Roll>,
    number: u64,
}

impl Ticket {
    pub(crate) fn new(roll: Arc<Roll>, number: u64) -> Ticket {
        Ticket { roll, number }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn panicked(&self, payload: &(dyn Any + Send)) {
        self.roll.count_panic(self.number, message_of(payload));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.roll.leave(self.number);
    }
}

pub(crate) fn log_panic(stage: &str, task: &str, message: &str) {
    tracing::error!(stage, task, why = message, "task panicked");
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is not text")
}

#[cfg(test)]
mod tests;
