use super::*;

/// A candidate as tests like to write it.
struct Known {
    name: u64,
    load: u64,
    standing: Cell<Standing>,
}

impl Candidate for Known {
    fn name(&self) -> u64 {
        self.name
    }

    fn load(&self) -> u64 {
        self.load
    }

    fn own_load(&self) -> u64 {
        self.load
    }

    fn standing(&self) -> &Cell<Standing> {
        &self.standing
    }
}

/// The circumstance of one candidate: well, ejected or refusing, with this load.
#[derive(Clone, Copy, Debug)]
enum Is {
    Well(u64),
    Ejected,
    Refusing,
    Tried,
}
use Is::{Ejected, Refusing, Tried, Well};

const START: Moment = Moment::from_nanos(1_000_000_000_000);
const RULES: EjectRules = EjectRules { after: 1, first: Duration::from_secs(10), most: Duration::from_secs(60) };

fn candidates(them: &[Is]) -> Vec<Rc<Known>> {
    let make = |(number, is): (usize, &Is)| {
        let mut standing = Standing::new(Moment::from_nanos(0));
        let seen = Seen { latency: Duration::ZERO, usual: Duration::ZERO, may_eject: true, now: START };
        match is {
            Ejected => drop(standing.note(Sign::Bad, seen, RULES)),
            Refusing => drop(standing.note(Sign::Refused, seen, RULES)),
            Well(_) | Tried => {}
        }
        let load = if let Well(load) = is { *load } else { 0 };
        Rc::new(Known { name: hash::mix(number as u64), load, standing: Cell::new(standing) })
    };
    them.iter().enumerate().map(make).collect()
}

fn ask(policy: Policy, turn: usize, draw: u64, them: &[Is]) -> Option<usize> {
    let choice = Choice { policy, turn, draw, now: START, slow_start: Duration::ZERO };
    choose(&candidates(them), choice, |index| !matches!(them[index], Tried))
}

/// Goal: every usable upstream gets its turn, and unusable ones are passed over.
#[test]
fn round_robin_takes_turns() {
    let check = |turn: usize, them: &[Is], expected: Option<usize>| {
        assert_eq!(ask(Policy::RoundRobin, turn, 0, them), expected, "{turn} {them:?}");
    };
    check(0, &[Well(0); 3], Some(0));
    check(1, &[Well(0); 3], Some(1));
    check(3, &[Well(0); 3], Some(0));
    check(1, &[Well(0), Tried, Well(0)], Some(2));
    check(2, &[Well(0), Well(0), Tried], Some(0));
    check(0, &[Tried, Tried], None);
    check(0, &[], None);
    check(usize::MAX, &[Well(0), Well(0)], Some(1));
}

/// Goal: the least busy usable upstream is chosen, and equals take turns.
#[test]
fn least_connections_finds_the_idlest() {
    let check = |turn: usize, them: &[Is], expected: Option<usize>| {
        assert_eq!(ask(Policy::LeastConnections, turn, 0, them), expected, "{turn} {them:?}");
    };
    check(0, &[Well(3), Well(1), Well(2)], Some(1));
    check(0, &[Well(3), Tried, Well(2)], Some(2));
    check(0, &[Well(1); 3], Some(0));
    check(2, &[Well(1); 3], Some(2));
    check(4, &[Well(1), Well(1), Well(9)], Some(1));
    check(0, &[Tried], None);
    check(0, &[], None);
}

/// Goal: who refuses is asked last; who is ejected is asked when too few others are left.
#[test]
fn three_looks() {
    let check = |them: &[Is], expected: &[usize]| {
        for policy in [Policy::RoundRobin, Policy::LeastConnections, Policy::PeakEwma, Policy::Hash(7)] {
            let mut found: Vec<usize> = (0..200)
                .filter_map(|turn| {
                    let policy = if let Policy::Hash(_) = policy { Policy::Hash(turn as u64) } else { policy };
                    ask(policy, turn, hash::mix(turn as u64), them)
                })
                .collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, expected, "{policy:?} {them:?}");
        }
    };
    check(&[Well(0), Ejected], &[0]);
    check(&[Well(0), Refusing], &[0]);
    check(&[Ejected, Refusing], &[0]);
    check(&[Refusing, Refusing], &[0, 1]);
    check(&[Ejected, Ejected], &[0, 1]);
    // Half of those that listen are well: they serve alone.
    check(&[Well(0), Well(0), Ejected, Ejected], &[0, 1]);
    // A third: all that listen serve.
    check(&[Well(0), Ejected, Ejected], &[0, 1, 2]);
    check(&[Well(0), Ejected, Ejected, Refusing], &[0, 1, 2]);
    // One that takes no connection is no reason to spare the others.
    check(&[Well(0), Refusing, Refusing], &[0]);
    check(&[Tried, Ejected], &[1]);
    check(&[Tried, Tried], &[]);
}

/// Goal: `auto` takes turns with two upstreams and compares with three.
#[test]
fn auto_compares_from_three_on() {
    let busy = [Well(9), Well(0)];
    assert_eq!([0, 1].map(|turn| ask(Policy::Auto, turn, 0, &busy)), [Some(0), Some(1)]);
    let busy = [Well(0), Well(9), Well(0)];
    for turn in 0..100 {
        assert_ne!(ask(Policy::Auto, turn, hash::mix(turn as u64), &busy), Some(1), "never the busier of two");
    }
}

/// Goal: what is usual follows slowly, and begins at once.
#[test]
fn usual_latency_follows() {
    let check = |usual: u64, latency: u64, expected: u64| {
        assert_eq!(
            follow(Duration::from_micros(usual), Duration::from_micros(latency)),
            Duration::from_micros(expected)
        );
    };
    check(0, 500, 500);
    check(1600, 1600, 1600);
    check(1600, 3200, 1700);
}
