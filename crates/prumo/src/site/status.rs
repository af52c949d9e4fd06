//! What runs, in the words of the API.

use std::collections::BTreeMap;

use prumo_api::Refusal;
use prumo_api::ask::{DeployStatus, Finished, PlanReport, ReplicaStatus, ServiceStatus, SiteStatus};
use prumo_clock::Timestamp;
use prumo_run::Deployed;

use super::{KEEPER_GONE, Site};

impl Site {
    /// What runs, of all services or of one.
    pub(crate) async fn status(&self, service: Option<&str>) -> Result<SiteStatus, Refusal> {
        service.filter(|name| !self.config().outside.contains_key(*name)).map_or(Ok(()), |name| self.know(name))?;
        let mut services: Vec<ServiceStatus> = self.parts.run.status().into_iter().map(service_status).collect();
        services.extend(self.missing(&services));
        services.extend(self.outside());
        services.sort_by(|one, other| one.service.cmp(&other.service));
        self.note_ejections(&mut services);
        services.retain(|status| service.is_none_or(|name| name == status.service));
        let bound = self.parts.edge.addresses();
        Ok(SiteStatus {
            site: self.name(),
            file: self.parts.file.path().to_owned(),
            overlay: self.parts.file.overlay().map(str::to_owned),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            http: bound.http.first().map(ToString::to_string),
            https: bound.https.first().map(ToString::to_string),
            services,
            certificates: self.certificates(),
            maintenance: self.in_maintenance(),
            notes: self.notes(),
        })
    }

    /// A replica may be healthy in the eyes of its probe and fail the requests of people.
    fn note_ejections(&self, services: &mut [ServiceStatus]) {
        let (ejected, cores) = (self.parts.edge.ejected(), self.parts.edge.rounds().len());
        for service in services {
            let known = service.replicas.iter().map(|replica| &replica.replica);
            let failing = known.filter_map(|replica| Some((replica, ejected.get(replica)?)));
            let notes: Vec<String> = failing.map(|(replica, by)| ejection_in_words(replica, *by, cores)).collect();
            service.notes.extend(notes);
        }
    }

    /// Services of the file that run knows nothing of: they failed before a release was made.
    fn missing(&self, known: &[ServiceStatus]) -> Vec<ServiceStatus> {
        let config = self.config();
        let reasons = self.not_brought_up.read().expect("no holder of this lock panics");
        let missing =
            config.services.values().filter(|service| !known.iter().any(|status| status.service == service.name));
        let failed = missing.filter_map(|service| {
            let reason = reasons.get(&service.name)?;
            Some(ServiceStatus {
                service: service.name.clone(),
                state: "failed".to_owned(),
                release: None,
                previous: None,
                deploy: None,
                wanted: service.replicas,
                healthy: 0,
                notes: vec![reason.clone(), format!("`prumo deploy {}` tries again", service.name)],
                replicas: Vec::new(),
            })
        });
        failed.collect()
    }

    /// Services that somebody else runs, as the edge finds them.
    fn outside(&self) -> Vec<ServiceStatus> {
        let (config, reports) = (self.config(), self.parts.edge.outside_reports());
        let status = |name: &String| {
            let report = reports.get(name).cloned().unwrap_or_default();
            let well = report.upstreams.iter().filter(|(_, refusal)| refusal.is_none()).count();
            let refused = report.upstreams.iter().filter_map(|(id, why)| Some(format!("{id}: {}", why.as_ref()?)));
            ServiceStatus {
                service: name.clone(),
                state: if well > 0 { "outside" } else { "unreachable" }.to_owned(),
                release: None,
                previous: None,
                deploy: None,
                wanted: u32::try_from(report.upstreams.len()).unwrap_or(u32::MAX),
                healthy: u32::try_from(well).unwrap_or(u32::MAX),
                notes: report.lost.iter().cloned().chain(refused).collect(),
                replicas: Vec::new(),
            }
        };
        config.outside.keys().map(status).collect()
    }

    fn notes(&self) -> Vec<String> {
        let of_file = self.file_note.read().expect("no holder of this lock panics").clone();
        let keeper = self.has_lost_keeper().then(|| KEEPER_GONE.to_owned());
        of_file
            .into_iter()
            .chain(keeper)
            .chain(self.standing().note())
            .chain(self.certificate_notes())
            .chain(self.crowd_note())
            .collect()
    }

    /// That the file allows more connections than the system does.
    fn crowd_note(&self) -> Option<String> {
        let (wanted, possible) = (self.config().edge.connections_max, self.parts.edge.report().connections_max);
        (possible < wanted).then(|| {
            format!(
                "at most {possible} connections instead of {wanted}: prumo may not open so many files; raise `LimitNOFILE=` in its unit, or `ulimit -Hn` before it starts"
            )
        })
    }
}

fn ejection_in_words(replica: &str, by: usize, cores: usize) -> String {
    let whole = if by < cores { format!(" ({by} of {cores} cores)") } else { String::new() };
    format!("{replica} keeps failing requests and gets none for now{whole}: `prumo explain service.traffic`")
}

fn service_status(status: prumo_run::ServiceStatus) -> ServiceStatus {
    ServiceStatus {
        service: status.service,
        state: status.state.word().to_owned(),
        release: status.release,
        previous: status.previous,
        deploy: status.deploy.map(|deploy| DeployStatus {
            release: deploy.release,
            kind: deploy.kind,
            step: deploy.step,
        }),
        wanted: status.wanted,
        healthy: status.healthy,
        notes: status.notes,
        replicas: status.replicas.into_iter().map(replica_status).collect(),
    }
}

fn replica_status(status: prumo_run::ReplicaStatus) -> ReplicaStatus {
    ReplicaStatus {
        replica: status.replica,
        release: status.release,
        pid: status.pid,
        address: status.address,
        state: status.state.word().to_owned(),
        since: Timestamp::from_millis(status.since_ms).rfc3339(),
        restarts: status.restarts,
        last_exit: status.last_exit,
        last_check: status.last_check,
        memory_bytes: status.memory_bytes,
        limits: status.limits,
    }
}

/// The end of a deploy or a rollback.
pub(crate) fn finished(deployed: Vec<Deployed>, gone: &[String]) -> Finished {
    let mut messages: Vec<String> =
        deployed.iter().map(|one| format!("{}: release {} serves", one.service, one.release)).collect();
    messages.extend(gone.iter().map(|name| format!("{name}: gone from the file, stopped")));
    Finished { messages, releases: deployed.into_iter().map(|one| (one.service, one.release)).collect() }
}

/// What of the file a change left as it was: other services, routes that lead to none of those named, and what only a
/// start takes.
pub(crate) fn left_over(plan: &PlanReport) -> Option<String> {
    let subjects: Vec<&str> = plan.changes.iter().map(|change| change.subject.as_str()).collect();
    (!subjects.is_empty()).then(|| format!("not applied yet: {}; `prumo plan` says more", subjects.join(", ")))
}

/// The end of a restart.
pub(crate) fn restarted(deployed: &Deployed) -> Finished {
    let message = format!("{}: every replica was replaced, release {} serves", deployed.service, deployed.release);
    Finished { messages: vec![message], releases: BTreeMap::from([(deployed.service.clone(), deployed.release)]) }
}

/// A sentence and nothing else.
pub(crate) fn said(message: String) -> Finished {
    Finished { messages: vec![message], releases: BTreeMap::new() }
}
