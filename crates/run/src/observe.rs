//! What runs: each replica as last seen, and how what is seen changes it.
//!
//! Everything here is a plain value. Processes, probes and traffic are looked at elsewhere; the owner of the state
//! writes down what they report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use prumo_clock::Moment;

use crate::desired::{Health, Restart, Version};

/// What runs on the site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The replicas of each service, in the order they were made.
    pub services: BTreeMap<String, Vec<Replica>>,
    /// What was last published: for each service the replicas that may get requests.
    pub published: Published,
}

/// For each service that listens, the replicas that may get requests.
pub type Published = BTreeMap<String, BTreeSet<String>>;

/// One replica. It keeps its name when its process is started again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    /// The name, unique on the site for ever.
    pub id: String,
    /// The number behind the name; later replicas have higher ones.
    pub number: u64,
    /// What it runs.
    pub version: Version,
    /// Where it is in its life.
    pub state: State,
    /// Good checks in a row.
    pub good: u32,
    /// Bad checks in a row.
    pub bad: u32,
    /// How often it ended by itself since it was made.
    pub ends: u32,
    /// How often in a row without a good while between; decides the wait.
    pub ends_in_a_row: u32,
    /// When it ended, the last few times: more than a rate is a crash loop.
    pub recent_ends: VecDeque<Moment>,
    /// True while it ends more often than its crash loop rate.
    pub crash_looping: bool,
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No process; to be started at this moment.
    Waiting {
        /// When.
        until: Moment,
    },
    /// A process that was never healthy.
    Starting {
        /// Since when.
        since: Moment,
    },
    /// A process that can serve.
    Healthy {
        /// Since when.
        since: Moment,
    },
    /// A process that was healthy before and fails its checks.
    Unhealthy {
        /// Since when.
        since: Moment,
    },
    /// Takes no new requests and finishes those it has.
    Draining {
        /// Since when.
        since: Moment,
        /// True when nobody sends it anything any more.
        quiet: bool,
    },
    /// Was asked to stop.
    Stopping {
        /// Since when.
        since: Moment,
        /// When it was last killed, if asking was not enough.
        killed: Option<Moment>,
        /// Whether its process is started again afterwards.
        again: bool,
    },
    /// Ended for good; its traces can be removed.
    Gone,
}

impl State {
    /// True while there is a process.
    pub fn has_process(self) -> bool {
        !matches!(self, State::Waiting { .. } | State::Gone)
    }

    /// True when the replica is on its way out.
    pub fn is_leaving(self) -> bool {
        matches!(self, State::Draining { .. } | State::Stopping { again: false, .. } | State::Gone)
    }

    /// True when it can serve.
    pub fn is_healthy(self) -> bool {
        matches!(self, State::Healthy { .. })
    }
}

impl Replica {
    /// A new replica that waits to be started now.
    pub fn new(id: String, number: u64, version: Version, now: Moment) -> Replica {
        Replica {
            id,
            number,
            version,
            state: State::Waiting { until: now },
            good: 0,
            bad: 0,
            ends: 0,
            ends_in_a_row: 0,
            recent_ends: VecDeque::new(),
            crash_looping: false,
        }
    }

    /// Its process was started.
    pub fn started(&mut self, now: Moment) {
        self.state = State::Starting { since: now };
        self.good = 0;
        self.bad = 0;
    }

    /// A check came back. True when the state changed.
    pub fn probed(&mut self, good: bool, health: &Health, now: Moment) -> bool {
        if good {
            self.good = self.good.saturating_add(1);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
            self.good = 0;
        }
        let next = match self.state {
            State::Starting { .. } | State::Unhealthy { .. } if self.good >= health.healthy.max(1) => {
                State::Healthy { since: now }
            }
            State::Healthy { .. } if self.bad >= health.unhealthy.max(1) => State::Unhealthy { since: now },
            same => same,
        };
        let changed = next != self.state;
        self.state = next;
        changed
    }

    /// Its process ended by itself; what that left behind may live a little longer. It serves no more from now on.
    pub fn exited(&mut self, restart: &Restart, now: Moment) {
        if matches!(self.state, State::Healthy { since } if now - since >= restart.backoff_max) {
            self.ends_in_a_row = 0;
        }
        self.state = State::Stopping { since: now, killed: None, again: true };
    }

    /// Its process and everything below it ended. The wait before the next start is `restart`'s, spread by `jitter`.
    pub fn ended(&mut self, restart: &Restart, now: Moment, jitter: impl FnOnce(Duration) -> Duration) {
        if self.state.is_leaving() {
            self.state = State::Gone;
            return;
        }
        let served_well = matches!(self.state, State::Healthy { since } if now - since >= restart.backoff_max);
        self.ends += 1;
        self.ends_in_a_row = if served_well { 1 } else { self.ends_in_a_row.saturating_add(1) };
        self.note_end(restart, now);
        let wait = if self.crash_looping { restart.backoff_max } else { restart.wait_after(self.ends_in_a_row) };
        self.state = State::Waiting { until: now + jitter(wait) };
    }

    /// It could not even be started: the same as ending at once.
    pub fn failed_to_start(&mut self, restart: &Restart, now: Moment, jitter: impl FnOnce(Duration) -> Duration) {
        self.ended(restart, now, jitter);
    }

    fn note_end(&mut self, restart: &Restart, now: Moment) {
        let rate = restart.crash_loop;
        self.recent_ends.push_back(now);
        while self.recent_ends.len() > rate.count as usize + 1 {
            self.recent_ends.pop_front();
        }
        let oldest = self.recent_ends.front().copied().unwrap_or(now);
        self.crash_looping = self.recent_ends.len() > rate.count as usize && now - oldest <= rate.per;
    }

    /// It is to take no new requests.
    pub fn drain(&mut self, now: Moment) {
        self.state = State::Draining { since: now, quiet: false };
    }

    /// It was asked to stop.
    pub fn stop(&mut self, again: bool, now: Moment) {
        self.state = State::Stopping { since: now, killed: None, again };
    }

    /// It was killed.
    pub fn killed(&mut self, now: Moment) {
        let (since, again) = match self.state {
            State::Stopping { since, again, .. } => (since, again),
            _ => (now, false),
        };
        self.state = State::Stopping { since, killed: Some(now), again };
    }

    /// Whether anybody still sends it something.
    pub fn traffic(&mut self, nobody_sends: bool) {
        if let State::Draining { quiet, .. } = &mut self.state {
            *quiet = nobody_sends;
        }
    }

    /// The process that was running when prumo ended still runs. `was_healthy` is what was written down then: a
    /// restart of prumo must not take a healthy replica out of service.
    pub fn adopted(&mut self, was_healthy: bool, now: Moment) {
        self.state = if was_healthy { State::Healthy { since: now } } else { State::Starting { since: now } };
    }
}

#[cfg(test)]
mod tests;
