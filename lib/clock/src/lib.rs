//! Time and chance behind one seam.
//!
//! Whoever waits, measures or draws lots takes a [`Clock`]. In production it reads the machine; in a test it is a
//! simulation, where an hour passes when the test says so and a seed decides every draw, so that a failing run can be
//! run again.
//!
//! ```text
//! Clock ── now() ───────► Moment      monotonic, for measuring and for deadlines
//!       ── wall() ──────► Timestamp   what people read, may jump
//!       ── sleep() ─────► Sleep       a future, resettable
//!       ── random() ────► u64         for spreading load; never for secrets
//!       ── fill_random()► bytes       for secrets
//! ```
//!
//! What is deliberately not here: time zones (everything is UTC), calendars beyond the civil date, and periodic
//! tickers, because a loop that sleeps says better what it does when one round takes too long.
//!
//! Start reading at [`Clock`], then [`Simulation`].

mod chance;
mod moment;
mod simulation;
mod sleep;
mod timeout;
mod timestamp;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::moment::Origin;
use crate::simulation::World;

pub use crate::moment::Moment;
pub use crate::simulation::Simulation;
pub use crate::sleep::Sleep;
pub use crate::timeout::{Elapsed, Timeout};
pub use crate::timestamp::{Civil, Timestamp};

/// The only way to learn the time, to wait, or to draw lots. Cloning is cheap and every clone tells the same time.
#[derive(Clone)]
pub struct Clock {
    source: Source,
}

#[derive(Clone)]
enum Source {
    System,
    Simulated(Arc<World>),
}

impl Clock {
    /// The clock of this machine. All system clocks of one process share an origin, so their moments can be compared.
    pub fn system() -> Clock {
        Clock { source: Source::System }
    }

    /// A clock that stands still until its [`Simulation`] advances it, and draws every number from `seed`.
    pub fn simulated(seed: u64, start: Timestamp) -> (Clock, Simulation) {
        let world = Arc::new(World::new(seed, start));
        (Clock { source: Source::Simulated(Arc::clone(&world)) }, Simulation::new(world))
    }

    /// Now, on a scale that never goes backwards.
    pub fn now(&self) -> Moment {
        match &self.source {
            Source::System => Origin::process().now(),
            Source::Simulated(world) => world.now(),
        }
    }

    /// Now, as people write it. It may jump in either direction: never measure with it.
    pub fn wall(&self) -> Timestamp {
        match &self.source {
            Source::System => Timestamp::read_system(),
            Source::Simulated(world) => world.wall(),
        }
    }

    /// How long this machine has been up, not counting sleep: `CLOCK_MONOTONIC`, for those who compare it with their own
    /// reading, as systemd does. A simulation counts from its origin.
    pub fn since_boot(&self) -> Duration {
        match &self.source {
            Source::System => moment::since_boot(),
            Source::Simulated(world) => world.now().since(Moment::from_nanos(0)),
        }
    }

    /// Completes when `duration` has passed, counted from this call.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Completes at `deadline`, at once when it has passed.
    pub fn sleep_until(&self, deadline: Moment) -> Sleep {
        match &self.source {
            Source::System => Sleep::system(deadline),
            Source::Simulated(world) => Sleep::simulated(Arc::clone(world), deadline),
        }
    }

    /// Gives `work` at most `within`; work that is ready at once costs no timer.
    pub fn timeout<F: Future>(&self, within: Duration, work: F) -> Timeout<F> {
        Timeout::new(work, self.sleep(within))
    }

    /// A number for spreading load and breaking ties. Predictable: a secret comes from [`Clock::fill_random`].
    pub fn random(&self) -> u64 {
        match &self.source {
            Source::System => chance::draw_for_this_thread(),
            Source::Simulated(world) => world.random(),
        }
    }

    /// An evenly drawn number below `bound`; 0 when `bound` is 0.
    pub fn random_below(&self, bound: u64) -> u64 {
        chance::below(bound, || self.random())
    }

    /// `duration`, at random up to `percent` longer or shorter, so that many waiters do not come back at once.
    /// A percentage above 100 counts as 100.
    pub fn jitter(&self, duration: Duration, percent: u32) -> Duration {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2);
        let spread = u64::try_from(u128::from(nanos) * u128::from(percent.min(100)) / 100).unwrap_or(nanos);
        let drawn = self.random_below(spread.saturating_mul(2).saturating_add(1));
        Duration::from_nanos(nanos - spread + drawn)
    }

    /// Fills `bytes` with entropy of the operating system, fit for keys and tokens. A simulation fills from its seed.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        match &self.source {
            Source::System => chance::fill_from_system(bytes),
            Source::Simulated(world) => world.fill_random(bytes),
        }
    }

    /// `moment` for a library that speaks [`Instant`], such as hyper's timer.
    pub fn instant_at(&self, moment: Moment) -> Instant {
        self.origin().instant_at(moment)
    }

    /// The way back from [`Clock::instant_at`]. An instant before the origin becomes the origin.
    pub fn moment_at(&self, instant: Instant) -> Moment {
        self.origin().moment_at(instant)
    }

    fn origin(&self) -> Origin {
        match &self.source {
            Source::System => Origin::process(),
            Source::Simulated(world) => world.origin(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::System => formatter.write_str("Clock(system)"),
            Source::Simulated(world) => write!(formatter, "Clock(simulated, {})", world.wall()),
        }
    }
}
