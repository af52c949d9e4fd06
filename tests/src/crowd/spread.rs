//! How measurements spread.

use std::time::Duration;

/// Many durations, told by their percentiles. Each is kept, so that none is rounded.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    nanos: Vec<u64>,
    is_sorted: bool,
}

impl Spread {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        self.nanos.push(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        self.is_sorted = false;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// The one that a share of all, such as 0.99, does not exceed; zero when there are none.
    pub fn at(&mut self, share: f64) -> Duration {
        if !std::mem::replace(&mut self.is_sorted, true) {
            self.nanos.sort_unstable();
        }
        let place = ((self.nanos.len() as f64 * share).ceil() as usize).clamp(1, self.nanos.len().max(1)) - 1;
        Duration::from_nanos(self.nanos.get(place).copied().unwrap_or(0))
    }

    /// In microseconds, for who compares.
    pub fn to_json(mut self) -> serde_json::Value {
        let mut micros = |share: f64| self.at(share).as_nanos() as f64 / 1e3;
        let [p50, p90, p95, p99, p999, max] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(&mut micros);
        serde_json::json!({
            "count": self.nanos.len(), "p50_us": p50, "p90_us": p90, "p95_us": p95, "p99_us": p99, "p999_us": p999, "max_us": max,
        })
    }
}

#[cfg(test)]
mod tests;
