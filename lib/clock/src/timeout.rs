//! A limit on how long a piece of work may take.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::Sleep;

pin_project! {
    /// Work with a limit; see [`Clock::timeout`](crate::Clock::timeout).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        work: F,
        limit: Sleep,
    }
}

impl<F> Timeout<F> {
    pub(crate) fn new(work: F, limit: Sleep) -> Timeout<F> {
        Timeout { work, limit }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// The work goes first: when it is done in the very moment of its deadline, it is done.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.limit).poll(context).map(|()| Err(Elapsed))
    }
}

/// The time given to a piece of work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the time given is over")
    }
}

impl Error for Elapsed {}

#[cfg(test)]
mod tests;
