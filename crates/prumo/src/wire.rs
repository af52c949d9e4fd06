//! Every arrow between the subsystems, one short function each. Who has read this file has seen the system.
//!
//! ```text
//!             prumo.toml
//!                 │ config reads
//!      routes ┌───┴────┐ services
//!             ▼        ▼
//! request → edge      run → replicas
//!             ▲        │ healthy replicas become upstreams
//!             ├────────┘
//!             └────────▶ requests in flight tell run when a replica is drained
//! ```
//!
//! The receiver names the type it wants, and the function here converts. Nothing here decides anything.

mod counters;
mod front;
mod services;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prumo_api::ask::{AuditVerdict, ExecEnvironment};
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::{Clock, Timestamp};
use prumo_config::Config;
use prumo_edge::{Edge, Upstream};
use prumo_ledger::Table;
use prumo_run::{Address, Execution, InFlight, Secret, SecretSource, ServiceSpec, Wiring};

pub(crate) use counters::edge_counters;
pub(crate) use front::{
    certificates as certificates_for_the_edge, client_certificates as client_certificates_for_the_edge,
    maintenance as maintenance_for_the_edge, networks as networks_for_the_edge, outside as outside_for_the_edge,
    routes as routes_for_the_edge, settings as settings_for_the_edge, traffic as traffic_for_the_edge,
};

pub(crate) use services::health;

use crate::handover::elders::Elders;
use crate::handover::{Known, Place};
use crate::secrets::Secrets;

/// The tables of the ledger, declared by their owners.
pub(crate) fn tables() -> [&'static Table; 2] {
    [&prumo_api::token::TABLE, &prumo_run::TABLE]
}

/// The services of the file become what run keeps running.
pub(crate) fn services_for_run(config: &Config, base: &Path) -> Vec<ServiceSpec> {
    config.services.values().map(|service| service_for_run(service, base)).collect()
}

/// One of them.
pub(crate) fn service_for_run(service: &prumo_config::Service, base: &Path) -> ServiceSpec {
    services::service(service, base)
}

/// What run needs from the others.
pub(crate) fn run_wiring(edge: &Edge, elders: &Elders, secrets: Secrets, clock: &Clock) -> Wiring {
    Wiring {
        publish: replicas_become_upstreams(edge, elders),
        traffic: traffic_tells_run(edge, elders),
        secrets: secrets_reach_replicas(secrets, clock),
    }
}

/// Run's healthy replicas become the edge's upstreams, also in processes that still finish their requests.
fn replicas_become_upstreams(edge: &Edge, elders: &Elders) -> prumo_run::Publish {
    let (edge, elders) = (edge.clone(), elders.clone());
    Arc::new(move |endpoints| {
        let upstreams =
            endpoints.iter().map(|(service, replicas)| (service.clone(), replicas.iter().map(upstream).collect()));
        let upstreams: BTreeMap<String, Vec<Upstream>> = upstreams.collect();
        let generation = edge.upstreams(upstreams.clone());
        elders.publish(generation, upstreams);
        generation
    })
}

/// An upstream, for another process of prumo.
pub(crate) fn known(upstream: &Upstream) -> Known {
    let place = match &upstream.address {
        prumo_edge::Address::Tcp(address) => Place::Tcp(*address),
        prumo_edge::Address::Unix(path) => Place::Unix(path.clone()),
    };
    Known { id: upstream.id.clone(), place, h2: upstream.protocol == prumo_edge::Protocol::H2 }
}

/// The same from another process.
pub(crate) fn known_upstream(known: Known) -> Upstream {
    let address = match known.place {
        Place::Tcp(address) => prumo_edge::Address::Tcp(address),
        Place::Unix(path) => prumo_edge::Address::Unix(path),
    };
    let protocol = if known.h2 { prumo_edge::Protocol::H2 } else { prumo_edge::Protocol::H1 };
    Upstream { protocol, ..Upstream::new(known.id, address) }
}

fn upstream(endpoint: &prumo_run::Endpoint) -> Upstream {
    let address = match &endpoint.address {
        Address::Tcp(address) => prumo_edge::Address::Tcp(*address),
        Address::Unix(path) => prumo_edge::Address::Unix(path.clone()),
    };
    let protocol = match endpoint.protocol {
        prumo_run::Protocol::H1 => prumo_edge::Protocol::H1,
        prumo_run::Protocol::H2 => prumo_edge::Protocol::H2,
    };
    Upstream { protocol, ..Upstream::new(&endpoint.id, address) }
}

/// The edge's requests in flight tell run when a replica is drained.
fn traffic_tells_run(edge: &Edge, elders: &Elders) -> prumo_run::Traffic {
    let (edge, elders) = (edge.clone(), elders.clone());
    Arc::new(move |replica, generation| {
        let (settled, count) = edge.drained(replica, generation);
        let (elders_settled, theirs) = elders.drained(replica, generation);
        InFlight {
            settled: settled && elders_settled,
            requests: count.requests + theirs.requests,
            tunnels: count.tunnels + theirs.tunnels,
        }
    })
}

/// The store's secrets reach the replicas that name them.
fn secrets_reach_replicas(secrets: Secrets, clock: &Clock) -> prumo_run::Secrets {
    let clock = clock.clone();
    Arc::new(move |source| match source {
        SecretSource::Named(name) => secrets.value(name).map(Secret::new).map_err(|refusal| match refusal.kind {
            RefusalKind::NoSuchThing => format!("{}: `prumo secret set {name}` stores it", refusal.message),
            _ => refusal.message,
        }),
        elsewhere => prumo_run::driver::secret::fetch(elsewhere, &clock),
    })
}

/// What a service gives its processes, for a command that runs as the service would.
pub(crate) fn execution(environment: ExecEnvironment) -> Execution {
    Execution {
        environment: environment.environment,
        folder: environment.folder,
        user: environment.user,
        group: environment.group,
    }
}

/// The clock's minute, as the file's calendar understands it.
pub(crate) fn calendar_minute(now: Timestamp) -> prumo_config::Civil {
    let civil = now.civil();
    prumo_config::Civil {
        minute: civil.minute,
        hour: civil.hour,
        day: civil.day,
        month: civil.month,
        weekday: civil.weekday,
    }
}

/// A step of a deploy, for whoever asked for it.
pub(crate) fn step(step: prumo_run::Step) -> prumo_api::ask::Step {
    prumo_api::ask::Step {
        service: step.service,
        release: step.release,
        step: step.step.word().to_owned(),
        message: step.message,
        waiting: false,
    }
}

/// What keeps the edge from opening, for whoever asked.
pub(crate) fn edge_refusal(error: &prumo_edge::EdgeError) -> Refusal {
    use prumo_edge::EdgeError::{AddressTaken, NotWanted};
    let is_refused = matches!(error, AddressTaken { .. } | NotWanted { .. });
    let kind = if is_refused { RefusalKind::Refused } else { RefusalKind::Failed };
    Refusal::new(kind, error.to_string()).hint(error.hint())
}

/// The ledger's verdict on its audit log, for whoever asked.
pub(crate) fn audit_verdict(verdict: Result<prumo_ledger::Verdict, prumo_ledger::LedgerError>) -> AuditVerdict {
    use prumo_ledger::Verdict::{Broken, Intact};
    match verdict {
        Ok(Intact { entries, head }) => AuditVerdict { intact: true, entries, message: head.to_string() },
        Ok(Broken { at, why }) => AuditVerdict { intact: false, entries: at, message: why },
        Err(error) => AuditVerdict { intact: false, entries: 0, message: error.to_string() },
    }
}
