//! What a service's answers usually take, for hedging: a percentile of the last ones.

use std::time::Duration;

/// Answers that are looked back on: enough for a 99th percentile, few enough to follow a change within seconds.
const KEPT: usize = 128;

/// Fewer tell too little.
const NEEDED: usize = 32;

/// The percentile is found anew after this many answers.
const SORT_EVERY: usize = 16;

/// The latencies of the last answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    micros: Vec<u32>,
    next: usize,
    since_sorted: usize,
    found: Option<(u8, Duration)>,
}

impl Recent {
    pub(crate) fn observe(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        if self.micros.len() < KEPT {
            self.micros.push(micros);
        } else {
            self.micros[self.next] = micros;
        }
        self.next = (self.next + 1) % KEPT;
        self.since_sorted += 1;
    }

    /// That percentile of them; nothing as long as too few are known.
    pub(crate) fn percentile(&mut self, percent: u8) -> Option<Duration> {
        if self.micros.len() < NEEDED {
            return None;
        }
        if let Some((known, found)) = self.found
            && known == percent
            && self.since_sorted < SORT_EVERY
        {
            return Some(found);
        }
        let mut sorted = self.micros.clone();
        let rank = (sorted.len() * usize::from(percent)).div_ceil(100).clamp(1, sorted.len()) - 1;
        let (_, &mut micros, _) = sorted.select_nth_unstable(rank);
        let found = Duration::from_micros(u64::from(micros));
        self.found = Some((percent, found));
        self.since_sorted = 0;
        Some(found)
    }
}

#[cfg(test)]
mod tests;
