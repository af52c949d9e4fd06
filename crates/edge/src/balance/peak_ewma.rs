//! Power of two choices by latency and load: of two at random, the one that would be done sooner.
//!
//! Comparing two and not all keeps a quick upstream from being hit by everybody at once between two looks. The latency
//! is a moving average that follows a rise at once and a fall slowly: who has just been slow is trusted again little by
//! little.

use std::time::Duration;

use prumo_clock::Moment;

/// How long what was measured matters: after this time about a third of it is left. Finagle and linkerd chose ten
/// seconds; a pause of a garbage collector is forgotten within a minute, and a slow upstream is asked again now and then.
const MEMORY: Duration = Duration::from_secs(10);

/// More than any latency: nobody measured yet gets one request, and the next when that was answered.
const UNKNOWN: f64 = 1e15;

/// A moving average of latencies, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PeakEwma {
    nanos: f64,
    at: Moment,
}

impl PeakEwma {
    pub(crate) fn observe(&mut self, latency: Duration, now: Moment) {
        let nanos = latency.as_nanos() as f64;
        if nanos >= self.nanos {
            self.nanos = nanos;
        } else {
            let kept = kept_after(now.since(self.at));
            self.nanos = self.nanos * kept + nanos * (1.0 - kept);
        }
        self.at = now;
    }

    /// What it would cost to send one more request to an upstream with this load.
    pub(crate) fn cost(&self, load: u64, now: Moment) -> f64 {
        let load = load as f64;
        match self.nanos {
            0.0 if load == 0.0 => 0.0,
            0.0 => UNKNOWN * load,
            nanos => nanos * kept_after(now.since(self.at)) * (load + 1.0),
        }
    }
}

fn kept_after(passed: Duration) -> f64 {
    (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

/// Draws two of the `usable_count` usable ones and takes the one that costs less.
pub(super) fn better_of_two(
    draw: u64,
    count: usize,
    usable_count: usize,
    cost: impl Fn(usize) -> f64,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    let nth = |number: usize| match usable_count == count {
        true => Some(number),
        false => (0..count).filter(|&index| usable(index)).nth(number),
    };
    if usable_count < 2 {
        return nth(0).filter(|_| usable_count == 1);
    }
    let below = |draw: u64, bound: usize| ((u128::from(draw) * bound as u128) >> 64) as usize;
    let one = below(draw, usable_count);
    // Any but the first: drawn among one less, and moved on past it.
    let other = below(draw.rotate_left(32), usable_count - 1);
    let other = if other >= one { other + 1 } else { other };
    let (one, other) = (nth(one)?, nth(other)?);
    Some(if cost(other) < cost(one) { other } else { one })
}

#[cfg(test)]
mod tests;
