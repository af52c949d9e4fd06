//! How long things took.

use std::time::Duration;

use super::Count;

/// Upper bounds in nanoseconds, seven in each decade from 100 µs (a static file) to 75 s (a timeout and what came with
/// it): a quantile read from them is off by at most a fifth.
pub(crate) const BOUNDS: [u64; BOUNDS_COUNT] = bounds();

const STEPS: [u64; 7] = [100, 150, 200, 250, 350, 500, 750];
const BOUNDS_COUNT: usize = STEPS.len() * 6;

const fn bounds() -> [u64; BOUNDS_COUNT] {
    let mut bounds = [0; BOUNDS_COUNT];
    let mut scale = 1_000;
    let mut at = 0;
    while at < BOUNDS_COUNT {
        bounds[at] = STEPS[at % STEPS.len()] * scale;
        at += 1;
        if at.is_multiple_of(STEPS.len()) {
            scale *= 10;
        }
    }
    bounds
}

/// The bounds that a scrape shows, as places in [`BOUNDS`]: 0.5 ms to 75 s. What is between them is for `prumo edge top`;
/// a scraper would pay for each of them with a series for each route.
pub(crate) const SHOWN: [usize; 16] = [5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33, 35, 38, 41];

/// A count for each bound, and one for what took longer. 352 bytes.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Count; BOUNDS_COUNT + 1],
    nanos: Count,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| Count::default()), nanos: Count::default() }
    }
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|&bound| bound < nanos)].add(1);
        self.nanos.add(nanos);
    }
}

/// What the histograms of several cores hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) buckets: [u64; BOUNDS_COUNT + 1],
    pub(crate) nanos: u64,
}

impl Sum {
    pub(crate) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Sum {
        let mut sum = Sum { buckets: [0; BOUNDS_COUNT + 1], nanos: 0 };
        for histogram in histograms {
            for (total, bucket) in sum.buckets.iter_mut().zip(&histogram.buckets) {
                *total += bucket.get();
            }
            sum.nanos = sum.nanos.wrapping_add(histogram.nanos.get());
        }
        sum
    }

    /// The shown bounds in seconds, each with how many took no longer.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        let mut next = 0;
        SHOWN.into_iter().map(move |place| {
            below += self.buckets[next..=place].iter().sum::<u64>();
            next = place + 1;
            (BOUNDS[place] as f64 / 1e9, below)
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the bounds grow, and those that are shown are the round ones.
    #[test]
    fn bounds_are_in_order() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        let shown: Vec<f64> = SHOWN.iter().map(|&place| BOUNDS[place] as f64 / 1e9).collect();
        let round = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 75.0];
        assert_eq!(shown, round);
    }

    /// Goal: what is observed is counted once, in the first bucket that holds it, and told cumulatively.
    #[test]
    fn counts_cumulatively() {
        let histogram = Histogram::default();
        for micros in [1, 500, 501, 1_000, 2_400, 74_000_000, 90_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let sum = Sum::of([&histogram].into_iter());
        let shown: Vec<(f64, u64)> = sum.shown().collect();
        assert_eq!(shown[..4], [(0.0005, 2), (0.001, 4), (0.0025, 5), (0.005, 5)]);
        assert_eq!(shown[15], (75.0, 6));
        assert_eq!(sum.count(), 7);
        assert!((sum.seconds() - 164.004_402).abs() < 1e-9, "{}", sum.seconds());
    }
}
