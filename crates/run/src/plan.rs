//! What to do next: a pure function of what should run, what runs, and the time.
//!
//! It looks at everything each time and trusts no hint about what changed, so it reaches the same end from any state,
//! also one that a `kill -9` left behind. It does no I/O and cannot fail. Planning again before an action took effect
//! gives the same action again; every action is harmless when repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use prumo_clock::Moment;

use crate::desired::{Candidate, Desired, Listen, ServiceSpec, Version, Wanted};
use crate::observe::{Observed, Published, Replica, State};

/// One step towards what is desired.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a replica that waits to be started.
    Create {
        /// Of this service.
        service: String,
        /// Running this.
        version: Version,
    },
    /// Start the process of a waiting replica.
    Start(ReplicaId),
    /// Give a replica no new requests.
    Drain(ReplicaId),
    /// Ask its process to stop.
    Stop {
        /// Which replica.
        replica: ReplicaId,
        /// Whether it is started again afterwards.
        again: bool,
    },
    /// Kill its whole tree of processes.
    Kill(ReplicaId),
    /// Remove the traces of a replica that ended for good.
    Forget(ReplicaId),
    /// Make the candidate serve. This is the commit point of a deploy.
    Shift {
        /// Of this service.
        service: String,
    },
    /// Give the candidate up; what serves goes on serving.
    Abandon {
        /// Of this service.
        service: String,
        /// Why.
        because: Because,
    },
    /// The old replicas are gone: the deploy is done.
    Finish {
        /// Of this service.
        service: String,
    },
    /// Tell whoever sends requests where they may go.
    Publish(Published),
}

/// A replica by service and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaId {
    /// The service.
    pub service: String,
    /// The replica.
    pub replica: String,
}

/// Why a candidate is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// This replica was not healthy in time.
    Late {
        /// The replica; none was even made when absent.
        replica: Option<String>,
    },
    /// This replica ended again and again.
    Ended {
        /// The replica.
        replica: String,
    },
}

/// A candidate whose replica ended this often has failed. One end may be bad luck, such as a port that somebody took;
/// a program that dies three times is broken, and its deployer should not have to wait for the deadline to hear it.
const CANDIDATE_ENDS_MAX: u32 = 3;

/// A killed process is killed again after this long: a fork may have slipped through the first sweep.
const KILL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An unhealthy replica that stays so for this many times `unhealthy` checks is replaced. The factor is a guess: short
/// enough for a hang, long enough for a dependency that comes back by itself.
const REPLACE_AFTER_ROUNDS: u32 = 3;

/// How long a replica gets whose spec is lost; such a replica is only ever stopped.
const STOP_WITHOUT_SPEC: Duration = Duration::from_secs(10);

/// What to do next, in this order. Empty when everything is as it should be, for now.
pub fn plan(desired: &Desired, observed: &Observed, now: Moment) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut publish = Published::new();
    let unwanted = Wanted { stopped: true, ..Wanted::default() };
    let names: BTreeSet<&String> = desired.services.keys().chain(observed.services.keys()).collect();
    for name in names {
        let wanted = desired.services.get(name).unwrap_or(&unwanted);
        let replicas = observed.services.get(name).map_or(&[][..], Vec::as_slice);
        let published = observed.published.get(name);
        let mut service =
            Service { name, wanted, replicas, published, halt_by: desired.halt_by, now, actions: &mut actions };
        service.plan();
        if let Some(endpoints) = service.endpoints() {
            publish.insert(name.clone(), endpoints);
        }
    }
    if publish != observed.published {
        actions.push(Action::Publish(publish));
    }
    actions
}

/// One service while it is planned.
struct Service<'a> {
    name: &'a str,
    wanted: &'a Wanted,
    replicas: &'a [Replica],
    published: Option<&'a BTreeSet<String>>,
    halt_by: Option<Moment>,
    now: Moment,
    actions: &'a mut Vec<Action>,
}

impl<'a> Service<'a> {
    fn plan(&mut self) {
        if let Some(version) = self.serving() {
            self.hold(version, self.wanted.replicas);
            self.replace_hung(version);
            self.restart_late(version);
        }
        if let Some(candidate) = self.candidate() {
            self.hold(candidate.version, candidate.replicas);
            self.judge(candidate);
        }
        let replicas = self.replicas;
        for replica in replicas {
            if !self.retires(replica) {
                self.step(replica);
            }
        }
        if self.wanted.finishing.is_some() && self.replicas.iter().all(|replica| self.is_target(replica.version)) {
            self.actions.push(Action::Finish { service: self.name.to_owned() });
        }
    }

    /// The version that should have replicas because it serves.
    fn serving(&self) -> Option<Version> {
        if self.wanted.stopped || self.halt_by.is_some() { None } else { self.wanted.serving }
    }

    /// The version that should have replicas because it is being brought up.
    fn candidate(&self) -> Option<Candidate> {
        if self.halt_by.is_some() { None } else { self.wanted.candidate }
    }

    fn is_target(&self, version: Version) -> bool {
        self.serving() == Some(version) || self.candidate().is_some_and(|candidate| candidate.version == version)
    }

    /// The replicas that count for a version.
    fn kept(&self, version: Version) -> impl Iterator<Item = &'a Replica> + use<'a> {
        self.replicas.iter().filter(move |replica| replica.version == version && !replica.state.is_leaving())
    }

    /// As many replicas as wanted, no more and no fewer. A hung one does not count: it is being replaced.
    fn hold(&mut self, version: Version, replicas: u32) {
        let hung = self.hung(version).map(|replica| &replica.id);
        let mut counted: Vec<&Replica> = self.kept(version).filter(|replica| Some(&replica.id) != hung).collect();
        let wanted = replicas as usize;
        for _ in counted.len()..wanted {
            self.actions.push(Action::Create { service: self.name.to_owned(), version });
        }
        counted.sort_by_key(|replica| (usefulness(replica), std::cmp::Reverse(replica.number)));
        for replica in counted.iter().take(counted.len().saturating_sub(wanted)) {
            self.retire(replica);
        }
    }

    /// The unhealthy replica to be replaced next: one at a time, so that a dependency that is down does not take all
    /// replicas with it.
    fn hung(&self, version: Version) -> Option<&'a Replica> {
        if self.serving() != Some(version) {
            return None;
        }
        self.kept(version).find(|replica| {
            let rounds = self.spec(version).map_or(1, |spec| spec.health.unhealthy.max(1));
            let patience = rounds.saturating_mul(1 + REPLACE_AFTER_ROUNDS);
            matches!(replica.state, State::Unhealthy { .. }) && replica.bad >= patience
        })
    }

    /// Stops the hung replica once its replacement is up. If the replacement does not come up either, perhaps because
    /// the hung one holds what both need, the hung one goes first.
    fn replace_hung(&mut self, version: Version) {
        let Some(hung) = self.hung(version) else { return };
        let State::Unhealthy { since } = hung.state else { return };
        let others: Vec<&Replica> = self.kept(version).filter(|replica| replica.id != hung.id).collect();
        let settled = others.iter().all(|replica| matches!(replica.state, State::Healthy { .. }));
        let replaced = settled && others.len() >= self.wanted.replicas as usize;
        let patience = self.spec(version).map_or(STOP_WITHOUT_SPEC, |spec| {
            spec.health.every * (spec.health.unhealthy.max(1) * REPLACE_AFTER_ROUNDS) + spec.health.start_within
        });
        if replaced || self.now >= since + patience {
            self.retire(hung);
        }
    }

    /// A replica that never becomes healthy is started again, after a wait.
    fn restart_late(&mut self, version: Version) {
        let Some(spec) = self.spec(version) else { return };
        for replica in self.kept(version) {
            let State::Starting { since } = replica.state else { continue };
            if self.now >= since + spec.health.start_within {
                self.actions.push(Action::Stop { replica: self.id(replica), again: true });
            }
        }
    }

    /// Shifts to the candidate when all of it is healthy, or gives it up.
    fn judge(&mut self, candidate: Candidate) {
        let service = self.name.to_owned();
        let kept: Vec<&Replica> = self.kept(candidate.version).collect();
        let healthy = kept.iter().filter(|replica| replica.state.is_healthy()).count();
        if healthy >= candidate.replicas as usize {
            self.actions.push(Action::Shift { service });
        } else if let Some(broken) = kept.iter().find(|replica| replica.ends >= CANDIDATE_ENDS_MAX) {
            let because = Because::Ended { replica: broken.id.clone() };
            self.actions.push(Action::Abandon { service, because });
        } else if self.now >= candidate.give_up_at {
            let late = kept.iter().find(|replica| !replica.state.is_healthy());
            let because = Because::Late { replica: late.map(|replica| replica.id.clone()) };
            self.actions.push(Action::Abandon { service, because });
        }
    }

    /// The next step in the life of one replica.
    fn step(&mut self, replica: &Replica) {
        let target = self.is_target(replica.version);
        match replica.state {
            State::Waiting { until } if target => {
                if self.now >= until {
                    self.actions.push(Action::Start(self.id(replica)));
                }
            }
            State::Starting { .. } | State::Healthy { .. } | State::Unhealthy { .. } if target => {}
            State::Draining { since, quiet } => self.step_draining(replica, since, quiet),
            State::Stopping { since, killed, again } => self.step_stopping(replica, since, killed, again && !target),
            State::Gone => self.actions.push(Action::Forget(self.id(replica))),
            _ => self.retire(replica),
        }
    }

    fn step_draining(&mut self, replica: &Replica, since: Moment, quiet: bool) {
        let patience = self.spec(replica.version).map_or(Duration::ZERO, |spec| spec.drain);
        let over = quiet || self.now >= since + patience || self.is_halted();
        if over && !self.is_published(replica) {
            self.actions.push(Action::Stop { replica: self.id(replica), again: false });
        }
    }

    fn step_stopping(&mut self, replica: &Replica, since: Moment, killed: Option<Moment>, no_more_wanted: bool) {
        if no_more_wanted {
            self.actions.push(Action::Stop { replica: self.id(replica), again: false });
        }
        let patience = self.spec(replica.version).map_or(STOP_WITHOUT_SPEC, |spec| spec.stop.within);
        let due = match killed {
            None => self.now >= since + patience || self.is_halted(),
            Some(at) => self.now >= at + KILL_AGAIN_AFTER,
        };
        if due {
            self.actions.push(Action::Kill(self.id(replica)));
        }
    }

    /// The way out for a replica that is not wanted: first out of the routing, then asked to stop, then removed.
    fn retire(&mut self, replica: &Replica) {
        let id = self.id(replica);
        self.actions.push(match replica.state {
            State::Waiting { .. } | State::Gone => Action::Forget(id),
            // It may still answer requests that it got while it was published.
            State::Healthy { .. } | State::Unhealthy { .. } => Action::Drain(id),
            _ if self.is_published(replica) => Action::Drain(id),
            _ => Action::Stop { replica: id, again: false },
        });
    }

    /// Which replicas may get requests; `None` for a service that takes none. When no replica is healthy, the
    /// unhealthy ones are the last resort: a check may be wrong, and an app that answers badly beats none.
    fn endpoints(&self) -> Option<BTreeSet<String>> {
        let newest = self.wanted.serving.or(self.wanted.candidate.map(|candidate| candidate.version))?;
        if self.spec(newest)?.listen == Listen::Nothing {
            return None;
        }
        let Some(version) = self.serving() else { return Some(BTreeSet::new()) };
        if self.shifts() {
            // The next round publishes old and new in one step.
            return Some(self.published.cloned().unwrap_or_default());
        }
        let named = |healthy: bool| -> BTreeSet<String> {
            let fits = |replica: &&Replica| match replica.state {
                State::Healthy { .. } => healthy,
                State::Unhealthy { .. } => !healthy,
                _ => false,
            };
            let staying = self.kept(version).filter(fits).filter(|replica| !self.retires(replica));
            staying.map(|replica| replica.id.clone()).collect()
        };
        let healthy = named(true);
        Some(if healthy.is_empty() { named(false) } else { healthy })
    }

    /// True when this very round shifts the service.
    fn shifts(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Shift { service } if service == self.name))
    }

    /// True when this very round takes the replica out.
    fn retires(&self, replica: &Replica) -> bool {
        self.actions.iter().any(|action| match action {
            Action::Drain(id) | Action::Forget(id) | Action::Stop { replica: id, .. } => id.replica == replica.id,
            _ => false,
        })
    }

    fn is_published(&self, replica: &Replica) -> bool {
        self.published.is_some_and(|published| published.contains(&replica.id))
    }

    fn is_halted(&self) -> bool {
        self.halt_by.is_some_and(|deadline| self.now >= deadline)
    }

    fn spec(&self, version: Version) -> Option<&'a ServiceSpec> {
        self.wanted.specs.get(&version.release).map(|spec| &**spec)
    }

    fn id(&self, replica: &Replica) -> ReplicaId {
        ReplicaId { service: self.name.to_owned(), replica: replica.id.clone() }
    }
}

/// Which replica goes first when there are too many: the least useful one.
fn usefulness(replica: &Replica) -> u8 {
    match replica.state {
        State::Waiting { .. } | State::Gone => 0,
        State::Stopping { .. } | State::Draining { .. } => 1,
        State::Starting { .. } => 2,
        State::Unhealthy { .. } => 3,
        State::Healthy { .. } => 4,
    }
}

#[cfg(test)]
mod tests;
