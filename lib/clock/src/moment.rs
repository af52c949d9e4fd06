//! The monotonic scale: nanoseconds since an arbitrary origin.

use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A point on the monotonic scale, in nanoseconds since an arbitrary origin. Good for 584 years of uptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    nanos: u64,
}

impl Moment {
    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment { nanos }
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    /// Saturates: a deadline too far to name is a deadline that never comes.
    fn add(self, duration: Duration) -> Moment {
        Moment { nanos: self.nanos.saturating_add(nanos_of(duration)) }
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    /// The same as [`Moment::since`].
    fn sub(self, earlier: Moment) -> Duration {
        self.since(earlier)
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    /// Saturates at the origin.
    fn sub(self, duration: Duration) -> Moment {
        Moment { nanos: self.nanos.saturating_sub(nanos_of(duration)) }
    }
}

/// What the kernel's monotonic clock says.
pub(crate) fn since_boot() -> Duration {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(read.tv_sec).unwrap_or(0), u32::try_from(read.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanos)
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a scale begins, for conversion to and from [`Instant`].
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    instant: Instant,
}

/// Timers further away than this are clamped: `Instant` cannot name every moment a `u64` can. About thirty years, the
/// horizon tokio itself uses for "far future".
const HORIZON: Duration = Duration::from_secs(30 * 365 * 86_400);

impl Origin {
    /// The origin that all system clocks of the process share.
    pub(crate) fn process() -> Origin {
        static PROCESS: OnceLock<Origin> = OnceLock::new();
        *PROCESS.get_or_init(Origin::read_system)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the room that reads time")]
    pub(crate) fn read_system() -> Origin {
        Origin { instant: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the room that reads time")]
    pub(crate) fn now(self) -> Moment {
        self.moment_at(Instant::now())
    }

    pub(crate) fn instant_at(self, moment: Moment) -> Instant {
        self.instant + Duration::from_nanos(moment.nanos).min(HORIZON)
    }

    pub(crate) fn moment_at(self, instant: Instant) -> Moment {
        Moment { nanos: nanos_of(instant.saturating_duration_since(self.instant)) }
    }
}

#[cfg(test)]
mod tests;
