//! How much may be asked a second time: a share of what is asked, so that retries never multiply an outage.

use prumo_clock::Moment;

/// Seconds that are looked back on.
const SECONDS: usize = 10;

/// Second requests that one core may always make within those seconds: at low traffic a share is nothing.
const ALWAYS: u64 = 10;

/// What one core asked one service for lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    slots: [Slot; SECONDS],
    second: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    again: u32,
}

impl Budget {
    /// A request came in.
    pub(crate) fn request(&mut self, now: Moment) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Whether one more may be asked again, or beside, at `percent` of all; counts it when it may.
    pub(crate) fn spend(&mut self, percent: f64, now: Moment) -> bool {
        self.slot(now);
        let sum = |read: fn(&Slot) -> u32| self.slots.iter().map(|slot| u64::from(read(slot))).sum::<u64>();
        let share = (sum(|slot| slot.requests) as f64 * percent / 100.0) as u64;
        let may = sum(|slot| slot.again) < ALWAYS + share && percent > 0.0;
        if may {
            self.slot(now).again += 1;
        }
        may
    }

    /// The slot of this second, with those forgotten that have become too old.
    fn slot(&mut self, now: Moment) -> &mut Slot {
        let second = now.nanos() / 1_000_000_000;
        let passed = second.saturating_sub(self.second);
        for step in 1..=passed.min(SECONDS as u64) {
            self.slots[((self.second + step) % SECONDS as u64) as usize] = Slot::default();
        }
        self.second = self.second.max(second);
        &mut self.slots[(self.second % SECONDS as u64) as usize]
    }
}

#[cfg(test)]
mod tests;
