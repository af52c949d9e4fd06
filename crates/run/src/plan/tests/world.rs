//! A pretended machine for the plan: processes that start, fail, hang and ignore signals, people who deploy, scale and
//! stop, and a prumo that dies between any two actions. Everything follows from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::{Clock, Simulation, Timestamp};

use crate::desired::tests::spec;
use crate::desired::{Candidate, Desired, ServiceSpec, Version, Wanted};
use crate::observe::{Observed, Published, Replica, State};
use crate::plan::{Action, plan};

/// The one service of this world.
const NAME: &str = "api";

/// Steps of trouble, and then as many of calm as the longest way out may take.
const TROUBLED: u32 = 300;
const CALM: u32 = 3000;

pub(super) struct World {
    seed: u64,
    clock: Clock,
    simulation: Simulation,
    desired: Desired,
    observed: Observed,
    processes: BTreeMap<String, Process>,
    /// What survives prumo: replicas whose start was written down, and whether they were healthy.
    written: BTreeMap<String, (Replica, bool)>,
    /// Releases whose program works. The others never become healthy.
    good: BTreeMap<u64, bool>,
    made: u64,
    deploys: u64,
    troubled: bool,
}

/// A process of the pretended machine.
struct Process {
    asked_to_stop: bool,
    killed: bool,
    hung: bool,
    stubborn: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let (clock, simulation) = Clock::simulated(seed, Timestamp::from_millis(0));
        World {
            seed,
            clock,
            simulation,
            desired: Desired::default(),
            observed: Observed::default(),
            processes: BTreeMap::new(),
            written: BTreeMap::new(),
            good: BTreeMap::new(),
            made: 0,
            deploys: 0,
            troubled: true,
        }
    }

    pub(super) fn live(mut self) {
        self.deploy(true);
        for _ in 0..TROUBLED {
            self.trouble();
            self.turn();
        }
        self.troubled = false;
        for _ in 0..CALM {
            self.turn();
            if self.is_settled() {
                return;
            }
        }
        panic!("seed {}: never settled: {:#?} {:#?}", self.seed, self.desired, self.observed);
    }

    /// True with this probability, in percent.
    fn chance(&self, percent: u64) -> bool {
        self.clock.random_below(100) < percent
    }

    fn wanted(&mut self) -> &mut Wanted {
        self.desired.services.entry(NAME.to_owned()).or_default()
    }

    fn replicas(&mut self) -> &mut Vec<Replica> {
        self.observed.services.entry(NAME.to_owned()).or_default()
    }

    fn spec(&self) -> ServiceSpec {
        spec(NAME)
    }

    fn trouble(&mut self) {
        if self.chance(8) {
            let good = self.chance(60);
            self.deploy(good);
        }
        if self.chance(3) {
            // Not zero: a deploy to no replicas proves nothing, so a release that does not work would come to serve.
            let count = 1 + u32::try_from(self.clock.random_below(3)).unwrap();
            let wanted = self.wanted();
            wanted.replicas = count;
            if let Some(candidate) = &mut wanted.candidate {
                candidate.replicas = count;
            }
        }
        if self.chance(2) {
            let wanted = self.wanted();
            wanted.stopped = wanted.serving.is_some() && !wanted.stopped;
            wanted.candidate = None;
        }
        if self.chance(5) {
            self.restart_prumo();
        }
    }

    fn deploy(&mut self, good: bool) {
        let now = self.clock.now();
        let service = self.spec();
        if self.wanted().candidate.is_some() || self.wanted().finishing.is_some() {
            return;
        }
        self.deploys += 1;
        let version = Version { deploy: self.deploys, release: self.deploys };
        self.good.insert(version.release, good);
        let wanted = self.wanted();
        wanted.specs.insert(version.release, Arc::new(service.clone()));
        let replicas = if wanted.serving.is_some() { wanted.replicas } else { 2 };
        wanted.candidate = Some(Candidate { version, replicas, give_up_at: now + service.health.start_within });
    }

    /// A little time passes, things happen to processes, prumo sees them and acts.
    fn turn(&mut self) {
        self.simulation.advance(Duration::from_millis(100 + self.clock.random_below(900)));
        self.happen();
        self.look();
        for _ in 0..32 {
            let actions = plan(&self.desired, &self.observed, self.clock.now());
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.apply(action);
                if self.troubled && self.chance(1) {
                    self.restart_prumo();
                    return;
                }
            }
        }
        panic!("seed {}: the plan never comes to an end: {:#?}", self.seed, self.observed);
    }

    /// What processes do by themselves.
    fn happen(&mut self) {
        let clock = self.clock.clone();
        let chance = |percent: u64| clock.random_below(100) < percent;
        let troubled = self.troubled;
        for process in self.processes.values_mut() {
            process.hung = troubled && (process.hung || chance(1));
        }
        self.processes.retain(|_, process| {
            let obeys = process.asked_to_stop && !process.hung && !process.stubborn && chance(50);
            !(process.killed || obeys || (troubled && chance(1)))
        });
    }

    /// What prumo sees: ends, checks and traffic.
    fn look(&mut self) {
        let (now, service, clock) = (self.clock.now(), self.spec(), self.clock.clone());
        let published = self.observed.published.get(NAME).cloned().unwrap_or_default();
        let replicas = self.observed.services.entry(NAME.to_owned()).or_default();
        for replica in replicas.iter_mut() {
            match self.processes.get(&replica.id) {
                None if replica.state.has_process() => replica.ended(&service.restart, now, |wait| wait),
                None => {}
                Some(process) => {
                    let works = self.good.get(&replica.version.release) == Some(&true);
                    let good = works && !process.hung && clock.random_below(100) < 70;
                    if good || self.troubled || !works {
                        replica.probed(good, &service.health, now);
                    }
                    replica.traffic(!published.contains(&replica.id) && clock.random_below(2) == 0);
                }
            }
            if let Some((_, healthy)) = self.written.get_mut(&replica.id) {
                *healthy = replica.state.is_healthy();
            }
        }
    }

    fn apply(&mut self, action: Action) {
        self.judge(&action);
        let now = self.clock.now();
        match action {
            Action::Create { version, .. } => {
                self.made += 1;
                let replica = Replica::new(format!("{NAME}-{}", self.made), self.made, version, now);
                self.replicas().push(replica);
            }
            Action::Start(id) => self.start(&id.replica),
            Action::Drain(id) => self.replica(&id.replica).drain(now),
            Action::Stop { replica, again } => {
                if let Some(process) = self.processes.get_mut(&replica.replica) {
                    process.asked_to_stop = true;
                }
                self.replica(&replica.replica).stop(again, now);
            }
            Action::Kill(id) => {
                if let Some(process) = self.processes.get_mut(&id.replica) {
                    process.killed = true;
                }
                self.replica(&id.replica).killed(now);
            }
            Action::Forget(id) => {
                self.replicas().retain(|replica| replica.id != id.replica);
                self.written.remove(&id.replica);
            }
            Action::Shift { .. } => {
                let wanted = self.wanted();
                let candidate = wanted.candidate.take().unwrap();
                wanted.serving = Some(candidate.version);
                wanted.finishing = Some(candidate.version);
                wanted.replicas = candidate.replicas;
                wanted.stopped = false;
            }
            Action::Abandon { .. } => self.wanted().candidate = None,
            Action::Finish { .. } => self.wanted().finishing = None,
            Action::Publish(published) => self.observed.published = published,
        }
    }

    fn replica(&mut self, id: &str) -> &mut Replica {
        let seed = self.seed;
        let found = self.replicas().iter_mut().find(|replica| replica.id == id);
        found.unwrap_or_else(|| panic!("seed {seed}: an action names {id}, which is not there"))
    }

    fn start(&mut self, id: &str) {
        let (now, service, stubborn) = (self.clock.now(), self.spec(), self.chance(20));
        assert!(!self.processes.contains_key(id), "seed {}: {id} is started twice", self.seed);
        let fails = self.troubled && self.chance(5);
        let replica = self.replica(id);
        if fails {
            replica.failed_to_start(&service.restart, now, |wait| wait);
            return;
        }
        replica.started(now);
        let written = replica.clone();
        self.written.insert(id.to_owned(), (written, false));
        let process = Process { asked_to_stop: false, killed: false, hung: false, stubborn };
        self.processes.insert(id.to_owned(), process);
    }

    /// Prumo dies and another takes over: it knows what was written down and finds the processes that live.
    fn restart_prumo(&mut self) {
        let now = self.clock.now();
        self.observed = Observed { services: BTreeMap::new(), published: Published::new() };
        let mut lost = Vec::new();
        let mut replicas = Vec::new();
        for (id, (written, healthy)) in &self.written {
            let mut replica = Replica::new(id.clone(), written.number, written.version, now);
            if self.processes.contains_key(id) {
                replica.adopted(*healthy, now);
            } else {
                lost.push(replica.version);
            }
            replicas.push(replica);
        }
        replicas.sort_by_key(|replica| replica.number);
        *self.replicas() = replicas;
        let wanted = self.wanted();
        let gives_up = wanted.candidate.is_some_and(|candidate| lost.contains(&candidate.version));
        if gives_up {
            wanted.candidate = None;
        }
    }

    /// What no action may ever do.
    fn judge(&mut self, action: &Action) {
        let published = self.observed.published.get(NAME).cloned().unwrap_or_default();
        let wanted = self.desired.services.get(NAME).cloned().unwrap_or_default();
        let replicas = self.observed.services.get(NAME).cloned().unwrap_or_default();
        let find = |id: &str| replicas.iter().find(|replica| replica.id == id).cloned();
        match action {
            Action::Forget(id) => {
                assert!(!self.processes.contains_key(&id.replica), "seed {}: a living replica is forgotten", self.seed);
            }
            Action::Stop { replica, .. } => {
                let known = find(&replica.replica).map(|replica| replica.state);
                let late = matches!(known, Some(State::Starting { .. }));
                assert!(
                    late || !published.contains(&replica.replica),
                    "seed {}: a published replica is stopped",
                    self.seed
                );
            }
            Action::Drain(id) => {
                let leaving = find(&id.replica).filter(|replica| replica.state.is_healthy());
                let Some(leaving) = leaving.filter(|leaving| Some(leaving.version) == wanted.serving) else { return };
                let kept = replicas.iter().filter(|one| one.version == leaving.version && !one.state.is_leaving());
                let spare = kept.count() > wanted.replicas as usize;
                assert!(spare || wanted.stopped, "seed {}: a healthy replica of the serving release leaves", self.seed);
            }
            Action::Publish(published) => {
                let named = published.get(NAME).into_iter().flatten().filter_map(|id| find(id));
                let fits = |replica: Replica| Some(replica.version) == wanted.serving && replica.state.has_process();
                assert!(named.into_iter().all(fits), "seed {}: something that cannot serve is published", self.seed);
            }
            _ => {}
        }
    }

    fn is_settled(&mut self) -> bool {
        let wanted = self.wanted().clone();
        if wanted.candidate.is_some() || wanted.finishing.is_some() {
            return false;
        }
        let count = if wanted.stopped || wanted.serving.is_none() { 0 } else { wanted.replicas as usize };
        let serve = |replica: &Replica| Some(replica.version) == wanted.serving && replica.state.is_healthy();
        let replicas = self.replicas().clone();
        let published = self.observed.published.get(NAME).map_or(0, |published| published.len());
        replicas.len() == count
            && replicas.iter().all(serve)
            && self.processes.len() == count
            && published == count
            && plan(&self.desired, &self.observed, self.clock.now()).is_empty()
    }
}
