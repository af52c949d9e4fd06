//! What watchers and probes report, and what it changes.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::environment::Environment;
use crate::driver::process::Exit;
use crate::journal::ReplicaRow;
use crate::observe::State;
use crate::owner::{Owner, Resolved, replica_mut};
use crate::plan::ReplicaId;
use crate::probe::Bad;
use crate::release::{DeployStep, counted};

/// What watchers and probes report.
pub(crate) enum Event {
    /// The process of a replica ended; what it left behind is being ended.
    Exited {
        service: String,
        replica: String,
        starts: u64,
    },
    /// Nothing of a replica lives any more.
    Ended {
        service: String,
        replica: String,
        starts: u64,
        exit: Exit,
        out_of_memory: bool,
        swept: usize,
    },
    Probed {
        service: String,
        replica: String,
        starts: u64,
        outcome: Result<(), Bad>,
    },
    Resolved {
        deploy: u64,
        environment: Result<Environment, String>,
    },
}

/// How long a note about a replica may take. Supervision must go on when the disk of the ledger hangs.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);

impl Owner {
    pub(super) async fn note(&mut self, event: Event) {
        match event {
            Event::Exited { service, replica, starts } => {
                let id = ReplicaId { service, replica };
                if self.is_current(&id, starts) {
                    self.note_exit(&id);
                }
            }
            Event::Ended { service, replica, starts, exit, out_of_memory, swept } => {
                let id = ReplicaId { service, replica };
                if self.is_current(&id, starts) {
                    self.note_end(&id, exit, out_of_memory, swept);
                }
            }
            Event::Probed { service, replica, starts, outcome } => {
                let id = ReplicaId { service, replica };
                if self.is_current(&id, starts) {
                    self.note_check(&id, outcome).await;
                }
            }
            Event::Resolved { deploy, environment } => {
                let resolved = match environment {
                    Ok(environment) => Resolved::Ready(Arc::new(environment)),
                    Err(why) => Resolved::Failed(why),
                };
                self.environments.insert(deploy, resolved);
                self.probe_adopted(deploy);
            }
        }
    }

    /// False for a report about an earlier start of a replica.
    fn is_current(&self, id: &ReplicaId, starts: u64) -> bool {
        self.traces.get(&id.replica).is_some_and(|trace| trace.row.starts == starts)
    }

    /// No more requests for a replica whose process is gone, however long what it left behind takes to end.
    fn note_exit(&mut self, id: &ReplicaId) {
        let (spec, now) = (self.spec_of(id), self.clock.now());
        let (Some(trace), Some(replica)) = (self.traces.get_mut(&id.replica), replica_mut(&mut self.observed, id))
        else {
            return;
        };
        trace.end_probe();
        let runs = matches!(replica.state, State::Starting { .. } | State::Healthy { .. } | State::Unhealthy { .. });
        if let Some(spec) = spec.filter(|_| runs) {
            trace.exited = true;
            replica.exited(&spec.restart, now);
        }
    }

    fn note_end(&mut self, id: &ReplicaId, exit: Exit, out_of_memory: bool, swept: usize) {
        let words = end_in_words(exit, out_of_memory, swept);
        let spec = self.spec_of(id);
        let (now, wall, clock) = (self.clock.now(), self.clock.wall(), self.clock.clone());
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        let by_itself = std::mem::take(&mut trace.exited);
        trace.remove_process();
        trace.last_exit = Some(words.clone());
        trace.since = wall;
        let Some(replica) = replica_mut(&mut self.observed, id) else { return };
        let asked = matches!(replica.state, State::Stopping { .. } | State::Draining { .. });
        let expected = asked && (!by_itself || replica.state.is_leaving());
        let was_looping = replica.crash_looping;
        match spec {
            Some(spec) => replica.ended(&spec.restart, now, |wait| clock.jitter(wait, 25)),
            None => replica.state = State::Gone,
        }
        if expected {
            tracing::info!(service = id.service, replica = id.replica, exit = words, "replica stopped");
            return;
        }
        if let Some(service) = self.services.get_mut(&id.service) {
            service.restarts += 1;
        }
        if replica.crash_looping && !was_looping {
            tracing::error!(
                service = id.service,
                replica = id.replica,
                exit = words,
                ends = replica.ends,
                "replica is in a crash loop"
            );
        } else {
            tracing::warn!(service = id.service, replica = id.replica, exit = words, "replica ended by itself");
        }
    }

    async fn note_check(&mut self, id: &ReplicaId, outcome: Result<(), Bad>) {
        let Some(spec) = self.spec_of(id) else { return };
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        let good = outcome.is_ok();
        let before = std::mem::replace(&mut trace.last_check, outcome.err());
        if let Some(Bad::NotAsked(why)) = &trace.last_check {
            if !matches!(before, Some(Bad::NotAsked(_))) {
                let (service, replica) = (&id.service, &id.replica);
                tracing::warn!(service, replica, why, "replica cannot be checked for now; it counts as it did");
            }
            return;
        }
        let Some(replica) = replica_mut(&mut self.observed, id) else { return };
        if !replica.probed(good, &spec.health, now) {
            return;
        }
        trace.since = wall;
        trace.row.ready = replica.state.is_healthy();
        let row = trace.row.clone();
        if good {
            tracing::info!(service = id.service, replica = id.replica, "replica is healthy");
        } else {
            let check = trace.last_check.as_ref().map(Bad::to_string);
            tracing::warn!(service = id.service, replica = id.replica, check, "replica is unhealthy");
        }
        self.keep_row(row).await;
        self.tell_health(&id.service);
    }

    /// Writes a replica down. When that fails, the replica runs on; the next prumo will not know it and replaces it.
    pub(crate) async fn keep_row(&self, row: ReplicaRow) {
        let replica = row.id.clone();
        match self.clock.timeout(LEDGER_PATIENCE, self.journal.keep(row)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(replica, %error, "a replica could not be written down"),
            Err(_) => tracing::warn!(replica, "a replica was not written down in time; the disk of the ledger is slow"),
        }
    }

    fn tell_health(&mut self, service: &str) {
        let Some(candidate) = self.desired.services.get(service).and_then(|wanted| wanted.candidate) else { return };
        let replicas = self.observed.services.get(service).map_or(&[][..], Vec::as_slice);
        let of_candidate = replicas.iter().filter(|replica| replica.version == candidate.version);
        let healthy = of_candidate.filter(|replica| replica.state.is_healthy()).count();
        self.tell(service, DeployStep::Health, format!("{healthy} of {} healthy", counted(candidate.replicas)));
    }
}

fn end_in_words(exit: Exit, out_of_memory: bool, swept: usize) -> String {
    let mut words = exit.to_string();
    if out_of_memory {
        words.push_str(" (out of memory: it reached its limit)");
    }
    match swept {
        0 => {}
        1 => words.push_str("; one process it had left behind was ended"),
        _ => words.push_str(&format!("; {swept} processes it had left behind were ended")),
    }
    words
}
