//! Waiting: one future for both clocks, so that it can be stored, named and reset.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::Moment;
use crate::moment::Origin;
use crate::simulation::{Ticket, World};

/// Completes at its deadline. It is `Unpin`, so a connection can keep one in a field and [`Sleep::reset`] it for each
/// request instead of making another.
pub struct Sleep {
    deadline: Moment,
    timer: Timer,
}

enum Timer {
    /// Made at the first poll: most timeouts are dropped before anybody waits for them.
    System(Option<Pin<Box<tokio::time::Sleep>>>),
    Simulated(Arc<World>, Option<Ticket>),
}

impl Sleep {
    pub(crate) fn system(deadline: Moment) -> Sleep {
        Sleep { deadline, timer: Timer::System(None) }
    }

    pub(crate) fn simulated(world: Arc<World>, deadline: Moment) -> Sleep {
        Sleep { deadline, timer: Timer::Simulated(world, None) }
    }

    /// When this sleep ends.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Moves the deadline, also of a sleep that has ended. A task that already waits is woken by the new deadline.
    pub fn reset(&mut self, deadline: Moment) {
        self.deadline = deadline;
        match &mut self.timer {
            Timer::System(Some(timer)) => timer.as_mut().reset(tokio_instant(deadline)),
            Timer::System(None) => {}
            Timer::Simulated(world, ticket) => {
                if let Some(old) = ticket.take() {
                    *ticket = world.move_sleeper(old, deadline);
                }
            }
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        match &mut self.timer {
            Timer::System(timer) => timer.get_or_insert_with(|| tokio_sleep(deadline)).as_mut().poll(context),
            Timer::Simulated(world, ticket) => world.poll_sleeper(ticket, deadline, context.waker()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Timer::Simulated(world, Some(ticket)) = &self.timer {
            world.forget_sleeper(*ticket);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the room that sleeps")]
fn tokio_sleep(deadline: Moment) -> Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep_until(tokio_instant(deadline)))
}

fn tokio_instant(deadline: Moment) -> tokio::time::Instant {
    tokio::time::Instant::from_std(Origin::process().instant_at(deadline))
}

#[cfg(test)]
mod tests;
