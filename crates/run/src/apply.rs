//! Doing what was planned: the effects, each written down before it happens.

pub(crate) mod start;

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::desired::{Protocol, Version};
use crate::driver::output::Pipes;
use crate::driver::ports;
use crate::driver::tree::Tree;
use crate::journal::{DeployEnd, ReplicaRow};
use crate::observe::{Published, Replica};
use crate::owner::{Owner, Trace, replica_mut};
use crate::plan::{Action, Because, ReplicaId};
use crate::probe::{Bad, in_words};
use crate::release::{DeployError, DeployStep, Deployed, Fault};
use crate::run::Endpoint;

impl Owner {
    /// Applies one action. What fails here is seen again by the next round.
    pub(crate) async fn apply(&mut self, action: Action) {
        match action {
            Action::Create { service, version } => self.create(&service, version),
            Action::Start(id) => self.start(&id).await,
            Action::Drain(id) => self.drain(&id),
            Action::Stop { replica, again } => self.stop_replica(&replica, again),
            Action::Kill(id) => self.kill(&id),
            Action::Forget(id) => self.forget(&id).await,
            Action::Shift { service } => self.shift(&service).await,
            Action::Abandon { service, because } => self.abandon(&service, &because).await,
            Action::Finish { service } => self.finish(&service).await,
            Action::Publish(published) => self.publish(published),
        }
    }

    fn create(&mut self, service: &str, version: Version) {
        let Some(kept) = self.services.get_mut(service) else { return };
        kept.replicas_made += 1;
        let number = kept.replicas_made;
        let id = format!("{service}-{number}");
        let row = ReplicaRow {
            id: id.clone(),
            service: service.to_owned(),
            number,
            version,
            starts: 0,
            nonce: String::new(),
            port: None,
            process: None,
            ready: false,
        };
        self.traces.insert(id.clone(), Trace::new(row, self.clock.wall()));
        let replica = Replica::new(id, number, version, self.clock.now());
        self.observed.services.entry(service.to_owned()).or_default().push(replica);
    }

    fn drain(&mut self, id: &ReplicaId) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let Some(replica) = replica_mut(&mut self.observed, id) else { return };
        replica.drain(now);
        if let Some(trace) = self.traces.get_mut(&id.replica) {
            trace.since = wall;
        }
        self.tell(&id.service, DeployStep::Drain, format!("{} finishes its requests", id.replica));
    }

    fn stop_replica(&mut self, id: &ReplicaId, again: bool) {
        let signal = self.spec_of(id).map_or(Signal::TERM, |spec| spec.stop.signal.into());
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let Some(trace) = self.traces.get_mut(&id.replica) else { return };
        trace.end_probe();
        trace.since = wall;
        if let Some(tree) = &trace.tree {
            tree.signal_leader(signal);
        }
        if let Some(replica) = replica_mut(&mut self.observed, id) {
            replica.stop(again, now);
        }
        self.tell(&id.service, DeployStep::Stop, format!("{} was asked to stop", id.replica));
    }

    fn kill(&mut self, id: &ReplicaId) {
        let now = self.clock.now();
        if let Some(tree) = self.traces.get(&id.replica).and_then(|trace| trace.tree.as_ref()) {
            let count = tree.signal_all(Signal::KILL);
            tracing::warn!(
                service = id.service,
                replica = id.replica,
                count,
                "replica did not stop in time and was killed"
            );
        }
        if let Some(replica) = replica_mut(&mut self.observed, id) {
            replica.killed(now);
        }
    }

    async fn forget(&mut self, id: &ReplicaId) {
        if let Some(mut trace) = self.traces.remove(&id.replica) {
            trace.remove_process();
        }
        if let Some(kept) = self.services.get(&id.service) {
            kept.log.forget(&id.replica);
        }
        if let Some(replicas) = self.observed.services.get_mut(&id.service) {
            replicas.retain(|replica| replica.id != id.replica);
        }
        Pipes::of(&self.run_folder(), &id.replica).remove();
        let _ = std::fs::remove_dir_all(self.run_folder().join(&id.replica));
        self.limits.groups(&id.replica).remove();
        if let Err(error) = self.journal.forget(&id.replica).await {
            // The next prumo finds a row without a process and forgets it then.
            tracing::debug!(replica = id.replica, %error, "the row of a replica stays for now");
        }
        self.drop_unused(&id.service);
    }

    async fn shift(&mut self, service: &str) {
        let Some(row) =
            self.services.get(service).and_then(|kept| kept.deploy.as_ref()).map(|deploy| deploy.row.clone())
        else {
            return;
        };
        if let Err(error) = self.journal.shift(service, row.clone()).await {
            let message = self.failure(service, row.version.release, "could not be written down as serving");
            let failed = DeployError::new(Fault::Ledger, service, message).because(vec![error.to_string()]);
            self.fail(service, failed).await;
            return;
        }
        let wanted = self.wanted_mut(service);
        let before = wanted.serving;
        wanted.serving = Some(row.version);
        wanted.candidate = None;
        wanted.finishing = Some(row.version);
        wanted.replicas = row.replicas;
        wanted.stopped = false;
        let asked = wanted.specs.get(&row.version.release).map(|spec| spec.replicas);
        if let Some(kept) = self.services.get_mut(service) {
            kept.shifted(&row, before, asked);
        }
        tracing::info!(service, release = row.version.release, "deploy shifts: the new release serves");
        self.tell(service, DeployStep::Shift, "it serves from here on".to_owned());
    }

    async fn finish(&mut self, service: &str) {
        let Some(deploy) = self.services.get(service).and_then(|kept| kept.deploy.as_ref()) else {
            self.wanted_mut(service).finishing = None;
            return;
        };
        let row = deploy.row.clone();
        self.end_deploy(service, row.version.deploy, "done", String::new()).await;
        self.tell(service, DeployStep::Done, "nothing is left of what served before".to_owned());
        self.wanted_mut(service).finishing = None;
        self.drop_unused(service);
        tracing::info!(service, release = row.version.release, "deploy done");
        let Some(kept) = self.services.get_mut(service) else { return };
        kept.deploys_done += 1;
        kept.last_failure = None;
        if let Some(reply) = kept.deploy.take().and_then(|deploy| deploy.reply) {
            let (release, replicas) = (row.version.release, row.replicas);
            drop(reply.send(Ok(Deployed { service: service.to_owned(), release, before: row.from, replicas })));
        }
    }

    async fn abandon(&mut self, service: &str, because: &Because) {
        let Some(candidate) = self.desired.services.get(service).and_then(|wanted| wanted.candidate) else { return };
        let release = candidate.version.release;
        let within = self.desired.services.get(service).and_then(|wanted| wanted.specs.get(&release));
        let within = within.map_or_else(String::new, |spec| in_words(spec.health.start_within));
        let (what, blamed) = match because {
            Because::Late { replica } => (format!("did not become healthy within {within}"), replica.as_ref()),
            Because::Ended { replica } => ("ended again and again while it started".to_owned(), Some(replica)),
        };
        let message = self.failure(service, release, &what);
        let mut failed = DeployError::new(Fault::Unhealthy, service, message);
        if let Some(replica) = blamed {
            let lines = self.services.get(service).map(|kept| kept.log.last_of(replica)).unwrap_or_default();
            failed = failed.because(self.reasons(replica)).lines(lines);
        }
        self.fail(service, failed.hint(format!("`prumo logs {service}` shows everything it printed"))).await;
    }

    /// Gives a deploy up for a reason that is not the app's. Nothing happens when none is before its shift.
    pub(crate) async fn give_up(&mut self, service: &str, why: &str) {
        let Some(candidate) = self.desired.services.get(service).and_then(|wanted| wanted.candidate) else { return };
        let message = self.failure(service, candidate.version.release, "was given up");
        let failed = DeployError::new(Fault::Interrupted, service, message).because(vec![why.to_owned()]);
        self.fail(service, failed.hint(format!("`prumo deploy {service}` begins again"))).await;
    }

    /// Ends a deploy that did not shift. Its replicas are no longer wanted, and the next round stops them.
    async fn fail(&mut self, service: &str, failed: DeployError) {
        let wanted = self.wanted_mut(service);
        let Some(candidate) = wanted.candidate.take() else { return };
        tracing::error!(
            service,
            release = candidate.version.release,
            why = failed.message,
            because = failed.because.join("; "),
            "deploy failed"
        );
        self.end_deploy(service, candidate.version.deploy, "failed", failed.message.clone()).await;
        let Some(kept) = self.services.get_mut(service) else { return };
        kept.deploys_failed += 1;
        kept.last_failure = Some((candidate.version.release, failed.message.clone()));
        if let Some(reply) = kept.deploy.take().and_then(|deploy| deploy.reply) {
            drop(reply.send(Err(failed)));
        }
    }

    async fn end_deploy(&mut self, service: &str, deploy: u64, outcome: &'static str, message: String) {
        let at_ms = self.clock.wall().millis();
        self.unwritten.push(DeployEnd { service: service.to_owned(), deploy, outcome, message, at_ms, told: false });
        self.write_ends().await;
    }

    /// Writes down how deploys ended. What the ledger does not take is tried again in the next round: a deploy that a
    /// person was told has failed must not come back to life with the next start.
    pub(crate) async fn write_ends(&mut self) {
        while let Some(end) = self.unwritten.first_mut() {
            if let Err(error) = self.journal.end(end).await {
                if !std::mem::replace(&mut end.told, true) {
                    let (service, outcome) = (&end.service, end.outcome);
                    tracing::warn!(service, outcome, %error, "the end of a deploy is not written down yet");
                }
                return;
            }
            self.unwritten.remove(0);
        }
    }

    /// "release 2 of `api` did not become healthy within 30s; release 1 still serves".
    fn failure(&self, service: &str, release: u64, what: &str) -> String {
        let wanted = self.desired.services.get(service);
        let serving = wanted.filter(|wanted| !wanted.stopped).and_then(|wanted| wanted.serving);
        let now = serving
            .map_or_else(|| "nothing serves".to_owned(), |version| format!("release {} still serves", version.release));
        format!("release {release} of `{service}` {what}; {now}")
    }

    /// Everything known about why a replica is not healthy.
    fn reasons(&self, replica: &str) -> Vec<String> {
        let Some(trace) = self.traces.get(replica) else { return Vec::new() };
        let mut reasons = Vec::new();
        if let Some(check) = &trace.last_check {
            let elsewhere =
                trace.tree.as_ref().filter(|_| matches!(check, Bad::NobodyListens(_))).map(listens_elsewhere);
            reasons.push(format!("{replica}: {check}{}", elsewhere.unwrap_or_default()));
        }
        if let Some(exit) = &trace.last_exit {
            reasons.push(format!("{replica}: {exit}"));
        }
        reasons
    }

    fn endpoint(&self, service: &str, replica: &str) -> Option<Endpoint> {
        let trace = self.traces.get(replica)?;
        let specs = &self.desired.services.get(service)?.specs;
        // A release whose definition is lost speaks what nearly all do.
        let protocol = specs.get(&trace.row.version.release).map_or(Protocol::default(), |spec| spec.protocol);
        Some(Endpoint { id: trace.endpoint_id(), address: trace.address.clone()?, protocol })
    }

    fn publish(&mut self, published: Published) {
        let mut endpoints = BTreeMap::new();
        for (service, replicas) in &published {
            let ready = replicas.iter().filter_map(|replica| self.endpoint(service, replica));
            endpoints.insert(service.clone(), ready.collect::<Vec<Endpoint>>());
        }
        let generation = (self.wiring.publish)(&endpoints);
        for (id, trace) in &mut self.traces {
            let named = published.get(&trace.row.service).is_some_and(|replicas| replicas.contains(id));
            trace.left_at = if named { None } else { trace.left_at.or(Some(generation)) };
        }
        self.observed.published = published;
    }
}

/// Where a program listens that does not listen where it should.
fn listens_elsewhere(tree: &Tree) -> String {
    let found: Vec<String> = ports::listening(tree).iter().map(u16::to_string).collect();
    match found.as_slice() {
        [] => "; the process listens on no port at all".to_owned(),
        found => format!("; the process listens on {}", found.join(", ")),
    }
}
