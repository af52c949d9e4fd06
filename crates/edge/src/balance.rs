//! Which upstream takes a request. Pure: what is known of each upstream, what the request is tied to, a draw and the
//! time come in as arguments.
//!
//! Three looks decide who may be chosen at all. An upstream that refuses connections is passed over while there is any
//! other: nobody is served there. An upstream that answers badly is ejected for a while, but when too few would be left
//! they all serve, because the fault is then hardly theirs, and the rest would drown. When nobody is left, all are asked.

pub(crate) mod budget;
pub(crate) mod hash;
mod peak_ewma;
pub(crate) mod recent;
mod standing;
pub(crate) mod sticky;
mod turns;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use prumo_clock::Moment;

pub(crate) use self::peak_ewma::PeakEwma;
pub(crate) use self::standing::{EjectRules, Seen, Sign, Standing};

/// From this many upstreams on, `auto` compares two at random by latency. With two there is little to learn that turns
/// do not give, and turns are what people expect to see.
const COMPARE_FROM: usize = 3;

/// When fewer percent of the upstreams that take connections are not ejected, all of them serve.
const USABLE_MIN_PERCENT: usize = 50;

/// What a choice looks at: an upstream, or a replica of the simulation.
pub(crate) trait Candidate {
    /// What hashing knows it by.
    fn name(&self) -> u64;
    /// Requests and tunnels in flight there, over all cores.
    fn load(&self) -> u64;
    /// Those of this core.
    fn own_load(&self) -> u64;
    /// What this core remembers of it.
    fn standing(&self) -> &Cell<Standing>;
}

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Auto,
    RoundRobin,
    LeastConnections,
    PeakEwma,
    /// The request is tied to this key.
    Hash(u64),
}

/// What a choice is made with, beside the upstreams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) policy: Policy,
    pub(crate) turn: usize,
    /// An even draw.
    pub(crate) draw: u64,
    pub(crate) now: Moment,
    pub(crate) slow_start: Duration,
}

/// The candidate that takes the request; `may` leaves out those that were tried.
pub(crate) fn choose<C: Candidate>(candidates: &[Rc<C>], choice: Choice, may: impl Fn(usize) -> bool) -> Option<usize> {
    let Choice { turn, now, slow_start, .. } = choice;
    let look = Look::of(candidates, now, &may);
    let usable = |index: usize| may(index) && look.admits(&candidates[index].standing().get(), now);
    let weight = |index: usize| candidates[index].standing().get().weight(slow_start, now);
    let count = candidates.len();
    match choice.policy {
        Policy::Auto if count < COMPARE_FROM => turns::choose(candidates, turn, weight, usable),
        Policy::RoundRobin => turns::choose(candidates, turn, weight, usable),
        Policy::LeastConnections => {
            let load = |index: usize| (candidates[index].load() + 1) as f64 / weight(index);
            least(turn, count, load, usable)
        }
        Policy::Auto | Policy::PeakEwma => {
            let cost = |index: usize| {
                let candidate = &candidates[index];
                candidate.standing().get().latency.cost(candidate.own_load(), now) / weight(index)
            };
            peak_ewma::better_of_two(choice.draw, count, look.usable, cost, usable)
        }
        Policy::Hash(key) => {
            let name = |index: usize| candidates[index].name();
            hash::choose(key, count, name, |index| candidates[index].own_load(), usable)
        }
    }
}

/// Whether the candidate with a request's cookie may have it.
pub(crate) fn may_stay<C: Candidate>(candidates: &[Rc<C>], index: usize, now: Moment) -> bool {
    Look::of(candidates, now, |_| true).admits(&candidates[index].standing().get(), now)
}

/// Who may be chosen, see above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Well,
    Listening,
    All,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    tier: Tier,
    usable: usize,
}

impl Look {
    fn of<C: Candidate>(candidates: &[Rc<C>], now: Moment, may: impl Fn(usize) -> bool) -> Look {
        let (mut all, mut listening, mut well) = (0, 0, 0);
        for (index, candidate) in candidates.iter().enumerate() {
            let standing = candidate.standing().get();
            if may(index) {
                all += 1;
                listening += usize::from(!standing.refuses(now));
                well += usize::from(!standing.refuses(now) && !standing.is_ejected(now));
            }
        }
        match () {
            () if well > 0 && well * 100 >= listening * USABLE_MIN_PERCENT => Look { tier: Tier::Well, usable: well },
            () if listening > 0 => Look { tier: Tier::Listening, usable: listening },
            () => Look { tier: Tier::All, usable: all },
        }
    }

    fn admits(self, standing: &Standing, now: Moment) -> bool {
        match self.tier {
            Tier::Well => !standing.refuses(now) && !standing.is_ejected(now),
            Tier::Listening => !standing.refuses(now),
            Tier::All => true,
        }
    }
}

/// What answers usually take, after one more: each counts for a sixteenth.
pub(crate) fn follow(usual: Duration, latency: Duration) -> Duration {
    if usual.is_zero() { latency } else { (usual * 15 + latency) / 16 }
}

/// The usable one with the least load; of equals the first at or after `turn`, so that idle ones share.
fn least(turn: usize, count: usize, load: impl Fn(usize) -> f64, usable: impl Fn(usize) -> bool) -> Option<usize> {
    (0..count)
        .map(|step| turn.wrapping_add(step) % count)
        .filter(|&index| usable(index))
        .min_by(|&one, &other| load(one).total_cmp(&load(other)))
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
