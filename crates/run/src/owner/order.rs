//! What people ask for, and how it becomes desired.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::desired::{Candidate, ServiceSpec};
use crate::journal::{DeployRow, Kind, NewDeploy, Stopped};
use crate::owner::{Deploy, Owner, Resolved, Service};
use crate::release::{DeployError, DeployStep, Deployed, Fault, Prepared, Step, counted};

/// What people ask for.
pub(crate) enum Order {
    Begin(Box<Begin>),
    Scale { service: String, replicas: u32, from_file: bool, reply: oneshot::Sender<Result<(), DeployError>> },
    Stop { service: String, stopped: Stopped, reply: oneshot::Sender<Result<(), DeployError>> },
    Resume { service: String, reply: oneshot::Sender<Result<(), DeployError>> },
    Halt { within: Duration, reply: oneshot::Sender<()> },
}

/// A deploy, rollback or restart.
pub(crate) struct Begin {
    pub(crate) kind: Kind,
    pub(crate) prepared: Prepared,
    pub(crate) release: Option<u64>,
    pub(crate) by: String,
    pub(crate) steps: Option<mpsc::Sender<Step>>,
    pub(crate) reply: oneshot::Sender<Result<Deployed, DeployError>>,
}

impl Owner {
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Begin(begin) => self.begin(*begin).await,
            Order::Scale { service, replicas, from_file, reply } => {
                let scaled = self.scale(&service, replicas, from_file).await;
                // Whoever scaled and then asks for the status wants to see it.
                self.answer();
                drop(reply.send(scaled));
            }
            Order::Stop { service, stopped, reply } => match self.stop(&service, stopped).await {
                Ok(()) => {
                    if let Some(service) = self.services.get_mut(&service) {
                        service.stop_waiters.push(reply);
                    }
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            Order::Resume { service, reply } => drop(reply.send(self.resume(&service).await)),
            Order::Halt { within, reply } => {
                self.halt(within).await;
                self.halted.push(reply);
            }
        }
    }

    async fn begin(&mut self, begin: Begin) {
        let Begin { kind, prepared, release, by, steps, reply } = begin;
        let spec = Arc::new(prepared.spec);
        self.write_ends().await;
        if let Err(error) = self.may_begin(&spec.name) {
            drop(reply.send(Err(error)));
            return;
        }
        let name = spec.name.clone();
        let (from, replicas) = self.before(&spec, kind);
        let at_ms = self.clock.wall().millis();
        let new = NewDeploy { kind, spec: Arc::clone(&spec), release, from, replicas, by, at_ms };
        let version = match self.journal.begin(new).await {
            Ok(version) => version,
            Err(error) => {
                let message = format!("`{name}` was not deployed: the ledger cannot be written: {error}");
                let refused = DeployError::new(Fault::Ledger, &name, message);
                drop(reply.send(Err(
                    refused.hint("what serves goes on serving; free space on the disk of the state folder"),
                )));
                return;
            }
        };
        let row = DeployRow { version, kind, from, replicas, started_ms: at_ms };
        let deploy = Deploy { row, step: DeployStep::Start, steps, reply: Some(reply) };
        self.environments.insert(version.deploy, Resolved::Ready(Arc::new(prepared.environment)));
        self.accept(spec, deploy);
        tracing::info!(service = name, release = version.release, kind = kind.word(), "deploy begins");
        self.tell(&name, DeployStep::Start, format!("starting {}", counted(replicas)));
    }

    fn may_begin(&self, service: &str) -> Result<(), DeployError> {
        if self.desired.halt_by.is_some() {
            return Err(DeployError::new(Fault::Refused, service, "prumo is stopping and starts nothing new"));
        }
        if self.unwritten.iter().any(|end| end.service == service) {
            let message =
                format!("`{service}` was not deployed: the ledger does not take the end of the deploy before");
            return Err(DeployError::new(Fault::Ledger, service, message)
                .hint("what serves goes on serving; free space on the disk of the state folder"));
        }
        let Some(deploy) = self.services.get(service).and_then(|service| service.deploy.as_ref()) else {
            return Ok(());
        };
        let (kind, release) = (deploy.row.kind.word(), deploy.row.version.release);
        let message =
            format!("a {kind} of release {release} of `{service}` is under way, at the step {}", deploy.step.word());
        Err(DeployError::new(Fault::Refused, service, message)
            .hint("try again when it is done; `prumo status` shows how far it is"))
    }

    /// The release that serves, and how many replicas the next one gets: a deploy makes the file true, a rollback or
    /// restart keeps as many as there are, which may be what a person scaled to.
    fn before(&self, spec: &ServiceSpec, kind: Kind) -> (Option<u64>, u32) {
        let wanted = self.desired.services.get(&spec.name);
        let serving = wanted.and_then(|wanted| wanted.serving);
        let replicas = match (wanted, serving) {
            (Some(wanted), Some(_)) if kind != Kind::Deploy => wanted.replicas,
            _ => spec.replicas,
        };
        (serving.map(|version| version.release), replicas)
    }

    /// Makes a deploy that is written down part of what is desired.
    pub(crate) fn accept(&mut self, spec: Arc<ServiceSpec>, deploy: Deploy) {
        let now = self.clock.now();
        let DeployRow { version, replicas, .. } = deploy.row;
        let service = self.services.entry(spec.name.clone()).or_insert_with(|| Service::new(&self.settings, &spec));
        service.log.keep(spec.log_keep);
        let wanted = self.desired.services.entry(spec.name.clone()).or_default();
        if wanted.serving.is_none() {
            wanted.replicas = replicas;
        }
        let give_up_at = now + spec.health.start_within;
        wanted.candidate = Some(Candidate { version, replicas, give_up_at });
        wanted.specs.insert(version.release, spec);
        service.deploy = Some(deploy);
    }

    async fn scale(&mut self, service: &str, replicas: u32, from_file: bool) -> Result<(), DeployError> {
        self.known(service)?;
        let asked = from_file.then_some(replicas);
        self.journal.scale(service, replicas, asked).await.map_err(|error| unwritten(service, &error))?;
        if let Some(wanted) = self.desired.services.get_mut(service) {
            wanted.replicas = replicas;
            if let Some(candidate) = &mut wanted.candidate {
                candidate.replicas = replicas;
            }
        }
        if let Some(service) = self.services.get_mut(service) {
            service.asked_replicas = asked.unwrap_or(service.asked_replicas);
            if let Some(deploy) = &mut service.deploy {
                deploy.row.replicas = replicas;
            }
        }
        tracing::info!(service, replicas, "service scaled");
        Ok(())
    }

    async fn stop(&mut self, service: &str, stopped: Stopped) -> Result<(), DeployError> {
        self.known(service)?;
        self.journal.stopped(service, stopped).await.map_err(|error| unwritten(service, &error))?;
        self.set_stopped(service, stopped);
        self.give_up(service, "the service was stopped").await;
        tracing::info!(service, "service stopped");
        Ok(())
    }

    async fn resume(&mut self, service: &str) -> Result<(), DeployError> {
        self.known(service)?;
        self.journal.stopped(service, Stopped::No).await.map_err(|error| unwritten(service, &error))?;
        self.set_stopped(service, Stopped::No);
        Ok(())
    }

    pub(crate) fn set_stopped(&mut self, service: &str, stopped: Stopped) {
        if let Some(wanted) = self.desired.services.get_mut(service) {
            wanted.stopped = stopped != Stopped::No;
        }
        if let Some(service) = self.services.get_mut(service) {
            service.stopped = stopped;
        }
    }

    async fn halt(&mut self, within: Duration) {
        let services: Vec<String> = self.desired.services.keys().cloned().collect();
        for service in services {
            self.give_up(&service, "prumo was asked to stop").await;
        }
        self.desired.halt_by = Some(self.clock.now() + within);
    }

    fn known(&self, service: &str) -> Result<(), DeployError> {
        if self.services.contains_key(service) { Ok(()) } else { Err(DeployError::no_service(service)) }
    }
}

fn unwritten(service: &str, error: &dyn std::fmt::Display) -> DeployError {
    let message = format!("`{service}` was not changed: the ledger cannot be written: {error}");
    DeployError::new(Fault::Ledger, service, message)
        .hint("what runs goes on running; free space on the disk of the state folder")
}
