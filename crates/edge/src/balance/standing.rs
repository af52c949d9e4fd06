//! What one core remembers of one upstream: how quick it is, whether it fails, since when it may be used.

use std::time::Duration;

use prumo_clock::Moment;

use super::PeakEwma;

/// How long an upstream that takes no connection is passed over while there are others; doubled each time in a row.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// How often that is doubled: up to eight seconds, after which whoever comes back at that address is found.
const REFUSED_DOUBLINGS: u32 = 3;

/// A failure counts as this many times the usual latency, so that failing fast does not look like being quick. Each
/// further one in a row counts double: an upstream that fails everything has nothing in flight, and would outbid a busy one
/// that is well. In the simulation a plain ten still gave it a third of the requests.
const FAILURE_COSTS: u32 = 10;

/// How often that is doubled.
const FAILURE_DOUBLINGS: u32 = 6;

/// The least that a failure counts as.
const FAILURE_AT_LEAST: Duration = Duration::from_millis(100);

/// The smallest share of requests that an upstream gets when it begins to warm up.
const WEIGHT_MIN: f64 = 0.1;

/// When an upstream is ejected and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EjectRules {
    /// Failures in a row; 0 never ejects.
    pub(crate) after: u32,
    /// The first time.
    pub(crate) first: Duration,
    /// Doubled each time, up to this.
    pub(crate) most: Duration,
}

/// What a request told of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It serves.
    Good,
    /// It failed, or was too slow.
    Bad,
    /// It takes no connection.
    Refused,
    /// Somebody else was quicker: it takes at least this long.
    Slow,
}

/// What is remembered of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) latency: PeakEwma,
    /// What it has saved up in weighted turns.
    pub(super) credit: f64,
    /// When it appeared, or came back.
    since: Moment,
    ejected_until: Moment,
    refused_until: Moment,
    /// Bad signs in a row.
    failures: u32,
    /// Ejections that a long good time has not made good.
    ejections: u32,
    /// Refusals in a row.
    refusals: u32,
}

impl Standing {
    /// An upstream that appears now.
    pub(crate) fn new(now: Moment) -> Standing {
        Standing { since: now, ..Standing::default() }
    }

    pub(crate) fn is_ejected(&self, now: Moment) -> bool {
        now < self.ejected_until
    }

    /// When it may be chosen again.
    pub(crate) fn ejected_until(&self) -> Moment {
        self.ejected_until
    }

    pub(crate) fn refuses(&self, now: Moment) -> bool {
        now < self.refused_until
    }

    /// Its share of the requests, from a tenth when it has just appeared to one.
    pub(crate) fn weight(&self, slow_start: Duration, now: Moment) -> f64 {
        let age = now.since(self.since);
        if age >= slow_start { 1.0 } else { (age.as_secs_f64() / slow_start.as_secs_f64()).max(WEIGHT_MIN) }
    }

    /// Notes how a request went. True when it is ejected by this.
    pub(crate) fn note(&mut self, sign: Sign, seen: Seen, rules: EjectRules) -> bool {
        let Seen { latency, usual, may_eject, now } = seen;
        match sign {
            Sign::Good => {
                self.latency.observe(latency, now);
                self.failures = 0;
                self.refusals = 0;
                // It has served as long as it was out: the next ejection is a first one again.
                if self.ejections > 0 && now.since(self.ejected_until) > self.ejection(rules) {
                    self.ejections = 0;
                }
                false
            }
            Sign::Slow => {
                self.latency.observe(latency, now);
                false
            }
            Sign::Refused => {
                self.refused_until = now + REFUSED_FOR * (1 << self.refusals.min(REFUSED_DOUBLINGS));
                self.refusals = self.refusals.saturating_add(1);
                false
            }
            Sign::Bad => {
                let doubled = 1 << self.failures.min(FAILURE_DOUBLINGS);
                let cost = usual.saturating_mul(FAILURE_COSTS).max(FAILURE_AT_LEAST).saturating_mul(doubled);
                self.latency.observe(latency.max(cost), now);
                self.failures = self.failures.saturating_add(1);
                let is_due = rules.after > 0 && self.failures >= rules.after && !self.is_ejected(now);
                if is_due && may_eject {
                    self.eject(rules, now);
                }
                is_due && may_eject
            }
        }
    }

    fn eject(&mut self, rules: EjectRules, now: Moment) {
        self.ejections = self.ejections.saturating_add(1);
        self.ejected_until = now + self.ejection(rules);
        // It comes back on trial: little at first, and one more failure is enough.
        self.since = self.ejected_until;
        self.failures = rules.after - 1;
    }

    fn ejection(&self, rules: EjectRules) -> Duration {
        let doublings = self.ejections.saturating_sub(1).min(20);
        rules.first.saturating_mul(1 << doublings).min(rules.most)
    }
}

/// The circumstances of a sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) latency: Duration,
    /// What a good answer of the service takes.
    pub(crate) usual: Duration,
    /// Enough others would be left.
    pub(crate) may_eject: bool,
    pub(crate) now: Moment,
}

#[cfg(test)]
mod tests;
