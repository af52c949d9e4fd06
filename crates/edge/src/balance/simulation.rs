//! A small world of replicas with queues, in virtual time and from a seed, to see what a policy is for.
//!
//! Requests arrive at random (a Poisson stream) and are given to a replica by the very functions of the edge. A replica
//! serves a few at a time and queues the others. What it takes is drawn from an exponential distribution, slowed by what
//! is wrong with it: it may be slow, pause like a garbage collector, or fail at once.

use std::cell::Cell;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use prumo_clock::Moment;

use super::{Candidate, Choice, EjectRules, Policy, Seen, Sign, Standing, choose, follow, hash};

mod tests;

/// Even draws from a seed.
struct Dice(u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        hash::mix(self.0)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }
}

/// What a replica is like.
#[derive(Clone, Copy, Debug)]
struct Nature {
    /// Its service times are multiplied by this.
    slowness: f64,
    /// Requests that it serves at a time.
    workers: usize,
    /// The share of requests that it fails at once.
    fails: f64,
    /// It stands still for so long, every so often, in seconds.
    pause: Option<(f64, f64)>,
}

const USUAL: Nature = Nature { slowness: 1.0, workers: 4, fails: 0.0, pause: None };

struct Replica {
    number: u64,
    nature: Nature,
    in_flight: Cell<u64>,
    busy: Cell<usize>,
    standing: Cell<Standing>,
    waiting: std::cell::RefCell<VecDeque<Request>>,
}

impl Candidate for Replica {
    fn name(&self) -> u64 {
        hash::mix(self.number)
    }

    fn load(&self) -> u64 {
        self.in_flight.get()
    }

    fn own_load(&self) -> u64 {
        self.in_flight.get()
    }

    fn standing(&self) -> &Cell<Standing> {
        &self.standing
    }
}

#[derive(Clone, Copy, Debug)]
struct Request {
    began: f64,
    /// What it would take at a usual replica, in seconds.
    work: f64,
    fails: bool,
}

/// An end of service: the earliest comes first.
struct End {
    at: f64,
    replica: usize,
    request: Request,
}

impl PartialEq for End {
    fn eq(&self, other: &End) -> bool {
        self.at == other.at
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &End) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &End) -> std::cmp::Ordering {
        other.at.total_cmp(&self.at)
    }
}

/// What is tried.
struct World {
    natures: Vec<Nature>,
    policy: Policy,
    /// Requests a second.
    rate: f64,
    /// Seconds.
    length: f64,
    eject_after: u32,
    /// The share of requests that take a hundred times as long.
    heavy: f64,
    /// A draw makes the key of a request, of so many.
    keys: u64,
    seed: u64,
}

/// What came of it.
#[derive(Debug)]
struct Result {
    /// Latencies of what was answered well, in milliseconds, sorted.
    latencies: Vec<f64>,
    failed: usize,
    /// How many each replica was given.
    given: Vec<usize>,
}

impl Result {
    fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * percent / 100.0) as usize;
        self.latencies[rank.min(self.latencies.len() - 1)]
    }

    fn share_of(&self, replica: usize) -> f64 {
        self.given[replica] as f64 / self.given.iter().sum::<usize>() as f64
    }
}

/// Usual service takes ten milliseconds.
const WORK: f64 = 0.010;

/// A fault answers as quickly as this.
const FAULT: f64 = 0.001;

fn moment(seconds: f64) -> Moment {
    Moment::from_nanos((seconds * 1e9) as u64)
}

impl World {
    fn new(policy: Policy, natures: &[Nature], rate: f64) -> World {
        World { natures: natures.to_vec(), policy, rate, length: 60.0, eject_after: 5, heavy: 0.0, keys: 1, seed: 1 }
    }

    fn run(&self) -> Result {
        let make = |(number, nature): (usize, &Nature)| {
            Rc::new(Replica {
                number: number as u64 + 1,
                nature: *nature,
                in_flight: Cell::default(),
                busy: Cell::default(),
                standing: Cell::new(Standing::new(moment(0.0))),
                waiting: Default::default(),
            })
        };
        let replicas: Vec<Rc<Replica>> = self.natures.iter().enumerate().map(make).collect();
        let mut run = Run {
            world: self,
            dice: Dice(self.seed),
            result: Result { latencies: Vec::new(), failed: 0, given: vec![0; replicas.len()] },
            replicas,
            ends: BinaryHeap::new(),
            usual: Duration::ZERO,
            turn: 0,
        };
        run.go();
        run.result.latencies.sort_by(f64::total_cmp);
        run.result
    }
}

struct Run<'a> {
    world: &'a World,
    dice: Dice,
    replicas: Vec<Rc<Replica>>,
    ends: BinaryHeap<End>,
    result: Result,
    usual: Duration,
    turn: usize,
}

impl Run<'_> {
    fn go(&mut self) {
        let mut next = 0.0;
        while next < self.world.length {
            while self.ends.peek().is_some_and(|end| end.at <= next) {
                self.end();
            }
            self.arrive(next);
            next += self.dice.exponential(1.0 / self.world.rate);
        }
        while !self.ends.is_empty() {
            self.end();
        }
    }

    fn arrive(&mut self, now: f64) {
        let policy = match self.world.policy {
            Policy::Hash(_) => Policy::Hash(hash::mix(self.dice.draw() % self.world.keys)),
            other => other,
        };
        let choice =
            Choice { policy, turn: self.turn, draw: self.dice.draw(), now: moment(now), slow_start: Duration::ZERO };
        let index = choose(&self.replicas, choice, |_| true).expect("there are replicas");
        self.turn = index + 1;
        self.result.given[index] += 1;
        let replica = Rc::clone(&self.replicas[index]);
        replica.in_flight.set(replica.in_flight.get() + 1);
        let fails = self.dice.share() < replica.nature.fails;
        let mean = if self.dice.share() < self.world.heavy { WORK * 100.0 } else { WORK };
        let request = Request { began: now, work: self.dice.exponential(mean), fails };
        if replica.busy.get() < replica.nature.workers {
            self.serve(index, request, now);
        } else {
            replica.waiting.borrow_mut().push_back(request);
        }
    }

    fn serve(&mut self, index: usize, request: Request, now: f64) {
        let nature = self.replicas[index].nature;
        self.replicas[index].busy.set(self.replicas[index].busy.get() + 1);
        let work = if request.fails { FAULT } else { request.work * nature.slowness };
        let mut at = now + work;
        // Whatever is under way when the replica stands still, ends that much later.
        if let Some((length, every)) = nature.pause {
            let pause = (now / every).floor() * every;
            if now < pause + length {
                at += pause + length - now;
            } else if at > pause + every {
                at += length;
            }
        }
        self.ends.push(End { at, replica: index, request });
    }

    fn end(&mut self) {
        let Some(End { at, replica: index, request }) = self.ends.pop() else { return };
        let replica = Rc::clone(&self.replicas[index]);
        replica.in_flight.set(replica.in_flight.get() - 1);
        replica.busy.set(replica.busy.get() - 1);
        let latency = Duration::from_secs_f64(at - request.began);
        let sign = if request.fails { Sign::Bad } else { Sign::Good };
        let ejected = self.replicas.iter().filter(|one| one.standing.get().is_ejected(moment(at))).count();
        let may_eject = (ejected + 1) * 2 <= self.replicas.len();
        let rules = EjectRules {
            after: self.world.eject_after,
            first: Duration::from_secs(10),
            most: Duration::from_secs(300),
        };
        let mut standing = replica.standing.get();
        standing.note(sign, Seen { latency, usual: self.usual, may_eject, now: moment(at) }, rules);
        replica.standing.set(standing);
        if request.fails {
            self.result.failed += 1;
        } else {
            self.usual = follow(self.usual, latency);
            self.result.latencies.push(latency.as_secs_f64() * 1e3);
        }
        let next = replica.waiting.borrow_mut().pop_front();
        if let Some(next) = next {
            self.serve(index, next, at);
        }
    }
}
