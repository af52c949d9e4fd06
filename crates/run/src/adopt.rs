//! After a start of prumo: reading what was written down, finding what still runs, and killing what nobody knows.
//!
//! Nothing is restarted here. A replica whose process lives is taken over as it is; the plan decides about the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use prumo_clock::Clock;
use rustix::process::Signal;

use crate::desired::{Candidate, Check, Listen, ServiceSpec, Version, Wanted};
use crate::driver::environment::Environment;
use crate::driver::output::Pipes;
use crate::driver::proc;
use crate::driver::process::{Process, user_of};
use crate::driver::tree::{self, Marker, Member, Tree};
use crate::journal::{DeployRow, ReplicaRow, ServiceRow, Stopped};
use crate::observe::Replica;
use crate::owner::{Deploy, Owner, Resolved, Service, Trace, replica_mut};
use crate::plan::ReplicaId;
use crate::probe::Address;
use crate::release::{DeployStep, socket_path};

/// How long killed strays get to disappear before the start goes on without waiting for them.
const STRAYS_WITHIN: Duration = Duration::from_secs(2);
const STRAYS_PAUSE: Duration = Duration::from_millis(10);

/// Processes found by marker.
type Found = BTreeMap<Marker, Vec<Member>>;

impl Owner {
    /// Brings the state in line with what was written down and with what runs.
    pub(crate) async fn take_over(&mut self, rows: Vec<ServiceRow>) {
        let mut found = tree::marked(&self.site);
        for row in rows {
            self.take_over_service(row, &mut found).await;
        }
        end_strays(&self.site, found, &self.clock).await;
    }

    async fn take_over_service(&mut self, row: ServiceRow, found: &mut Found) {
        let name = row.name.clone();
        let spec = row.specs.values().next_back().cloned();
        let Some(spec) = spec else {
            tracing::error!(service = name, "no release of this service can be read from the ledger; deploy it again");
            return;
        };
        let mut service = Service::new(&self.settings, &spec);
        service.previous = row.previous;
        service.asked_release = row.asked_release;
        service.asked_replicas = row.asked_replicas;
        service.replicas_made = row.replicas_made;
        service.stopped = row.stopped;
        let under_way = row.candidate.as_ref().or(row.finishing.as_ref());
        service.deploy = under_way.map(|deploy| Deploy {
            row: deploy.clone(),
            step: if row.candidate.is_some() { DeployStep::Health } else { DeployStep::Drain },
            steps: None,
            reply: None,
        });
        self.services.insert(name.clone(), service);
        let candidate = row.candidate.as_ref();
        self.desired.services.insert(name.clone(), wanted_of(&row));
        let mut lost = Vec::new();
        for replica in &row.kept {
            if !self.take_over_replica(replica, found).await {
                lost.push(replica.version);
            }
        }
        if let Some(deploy) = candidate {
            self.go_on_or_give_up(&name, deploy, &lost).await;
        }
    }

    /// A deploy before its shift goes on when all it had started still runs and time is left.
    async fn go_on_or_give_up(&mut self, service: &str, deploy: &DeployRow, lost: &[Version]) {
        let passed = Duration::from_millis(u64::try_from(self.clock.wall().millis() - deploy.started_ms).unwrap_or(0));
        let within = self.desired.services.get(service).and_then(|wanted| wanted.specs.get(&deploy.version.release));
        let left = within.map_or(Duration::ZERO, |spec| spec.health.start_within.saturating_sub(passed));
        let give_up_at = self.clock.now() + left;
        let candidate = Candidate { version: deploy.version, replicas: deploy.replicas, give_up_at };
        self.wanted_mut(service).candidate = Some(candidate);
        if lost.contains(&deploy.version) || left.is_zero() {
            self.give_up(service, "prumo was restarted during the deploy, and its new replicas did not live on").await;
        } else {
            tracing::info!(
                service,
                release = deploy.version.release,
                "going on with a deploy that a restart interrupted"
            );
        }
    }

    /// Takes a replica over if its process lives; otherwise it waits to be started. True when it lives.
    async fn take_over_replica(&mut self, row: &ReplicaRow, found: &mut Found) -> bool {
        let id = ReplicaId { service: row.service.clone(), replica: row.id.clone() };
        let now = self.clock.now();
        self.traces.insert(row.id.clone(), Trace::new(row.clone(), self.clock.wall()));
        let replica = Replica::new(row.id.clone(), row.number, row.version, now);
        self.observed.services.entry(row.service.clone()).or_default().push(replica);
        let marker = Marker { site: self.site.clone(), replica: row.id.clone(), nonce: row.nonce.clone() };
        let members = found.get(&marker).cloned().unwrap_or_default();
        let process = self.leader_of(row, &members).and_then(|leader| {
            let groups = self.limits.groups(&row.id);
            Process::adopt(Tree { leader, marker: marker.clone(), groups }).ok()
        });
        let Some(process) = process else {
            if let Some(trace) = self.traces.get_mut(&row.id).filter(|trace| trace.row.starts > 0) {
                trace.last_exit = Some("ended while prumo was not running".to_owned());
                trace.row.process = None;
            }
            // What carries the marker stays among the strays too, and they are waited for.
            self.end_leftovers(row, marker);
            return false;
        };
        found.remove(&marker);
        self.adopt(&id, row, process).await;
        true
    }

    /// Ends what a replica left behind that ended while prumo was away: also what no longer shows its marker.
    fn end_leftovers(&self, row: &ReplicaRow, marker: Marker) {
        let groups = self.limits.groups(&row.id);
        match row.process.as_ref().filter(|written| written.boot == self.boot) {
            Some(written) => {
                let leader = Member { pid: written.pid, start_ticks: written.start_ticks };
                Tree { leader, marker, groups }.signal_all(Signal::KILL);
            }
            None => groups.kill(),
        }
    }

    /// The leader, as written down. When prumo ended before it could write that down, it is the first of those that
    /// carry the marker: a program's own children may lead sessions too, but they start later.
    fn leader_of(&self, row: &ReplicaRow, members: &[Member]) -> Option<Member> {
        let leads = |member: &&Member| proc::stat(member.pid).is_some_and(|stat| stat.session == member.pid);
        match &row.process {
            None => members.iter().filter(leads).min_by_key(|member| member.start_ticks).copied(),
            Some(written) if written.boot != self.boot => None,
            Some(written) => {
                let stat = proc::stat(written.pid)?;
                let same = stat.start_ticks == written.start_ticks && !stat.zombie;
                same.then_some(Member { pid: stat.pid, start_ticks: stat.start_ticks })
            }
        }
    }

    async fn adopt(&mut self, id: &ReplicaId, row: &ReplicaRow, process: Process) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let pid = process.tree.leader.pid;
        let Some(spec) = self.spec_of(id) else { return };
        let reading = match Pipes::of(&self.run_folder(), &row.id).reopen() {
            Ok(read) => match self.services.get(&row.service) {
                Some(service) => Some(self.capture.read(read, &row.id, row.version.release, &service.log).await),
                None => None,
            },
            Err(error) => {
                tracing::warn!(replica = row.id, %error, "the output of a replica cannot be read any more");
                None
            }
        };
        let limits = self.limits.hold_words(&row.id, &spec);
        if let Some(trace) = self.traces.get_mut(&row.id) {
            trace.since = wall;
            trace.limits = limits;
            trace.address = match row.port {
                Some(port) => Some(Address::Tcp(([127, 0, 0, 1], port).into())),
                None if spec.listen == Listen::Socket => {
                    Some(Address::Unix(socket_path(&self.settings.state, &row.id)))
                }
                None => None,
            };
        }
        if let Some(replica) = replica_mut(&mut self.observed, id) {
            replica.adopted(row.ready, now);
        }
        self.watch(id, process, reading, &spec);
        if matches!(spec.health.check, Check::Command(_)) {
            // The command may need secrets, and the replicas that run must not wait for those.
            self.fetch_environment(id, row.version.deploy);
        } else {
            self.probe_as_it_is(id, &spec, Environment::default());
        }
        tracing::info!(service = row.service, replica = row.id, pid, "replica taken over");
    }

    /// Begins to check adopted replicas whose check needed an environment, now that it is there, or will not be.
    pub(crate) fn probe_adopted(&mut self, deploy: u64) {
        let environment = match self.environments.get(&deploy) {
            Some(Resolved::Ready(environment)) => Environment::clone(environment),
            _ => Environment::default(),
        };
        let adopted = self.traces.values().filter(|trace| trace.row.version.deploy == deploy);
        let unprobed = adopted.filter(|trace| trace.tree.is_some() && trace.probe.is_none());
        let ids: Vec<ReplicaId> = unprobed.map(Trace::id).collect();
        for id in ids {
            if let Some(spec) = self.spec_of(&id) {
                self.probe_as_it_is(&id, &spec, environment.clone());
            }
        }
    }

    fn probe_as_it_is(&mut self, id: &ReplicaId, spec: &ServiceSpec, environment: Environment) {
        // A user who was removed meanwhile fails the checks, which says more than failing here.
        let user = user_of(spec.user.as_deref(), spec.group.as_deref()).unwrap_or_default();
        self.probe(id, spec, environment, user);
    }
}

fn wanted_of(row: &ServiceRow) -> Wanted {
    Wanted {
        serving: row.serving,
        candidate: None,
        finishing: row.finishing.as_ref().map(|deploy| deploy.version),
        replicas: row.replicas,
        stopped: row.stopped != Stopped::No,
        specs: row.specs.clone(),
    }
}

/// Kills every process of this site that belongs to no replica, and waits a little until they are gone.
async fn end_strays(site: &str, strays: Found, clock: &Clock) {
    if strays.is_empty() {
        return;
    }
    let deadline = clock.now() + STRAYS_WITHIN;
    let mut left: Vec<(Marker, Vec<Member>)> = strays.into_iter().collect();
    for (marker, members) in &left {
        tracing::warn!(replica = marker.replica, count = members.len(), "ending processes that belong to no replica");
    }
    let names: Vec<Marker> = left.iter().map(|(marker, _)| marker.clone()).collect();
    while !left.is_empty() && clock.now() < deadline {
        left.iter().flat_map(|(_, members)| members).for_each(|member| tree::send(*member, Signal::KILL));
        clock.sleep(STRAYS_PAUSE).await;
        left = tree::marked(site).into_iter().filter(|(marker, _)| names.contains(marker)).collect();
    }
}
