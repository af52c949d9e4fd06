//! Following the file: what is unchanged is left alone, what is new or changed is deployed, what is gone is stopped.

use tokio::sync::{mpsc, oneshot};

use crate::desired::ServiceSpec;
use crate::journal::Stopped;
use crate::owner::Order;
use crate::release::{DeployError, Deployed};
use crate::run::Run;
use crate::status::View;

/// What became of a service of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The service.
    pub service: String,
    /// What happened to it.
    pub outcome: Adoption,
}

/// What happened to a service when its file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Nothing changed, so nothing was touched.
    Kept,
    /// Only the number of replicas changed.
    Scaled(u32),
    /// It was stopped because it left the file, and is back.
    Resumed,
    /// It was new or changed, and was deployed.
    Deployed(Deployed),
    /// It was new or changed, and its deploy failed; what served before still serves.
    Failed(DeployError),
    /// It is no longer in the file: its replicas finish and stop.
    Leaving,
}

/// A service of the file, or one that is no longer there.
enum Named {
    InFile(Box<ServiceSpec>),
    Gone(String),
}

impl Run {
    /// Makes what runs follow the file: what is unchanged is not touched, what is new or changed is deployed, what is
    /// gone is stopped. Returns when all of it has happened; services do not wait for each other.
    pub async fn adopt(&self, desired: Vec<ServiceSpec>) -> Vec<Adopted> {
        let snapshot = self.snapshot();
        let gone = snapshot.services.iter().filter(|(name, view)| {
            view.stopped != Stopped::NotInFile && !desired.iter().any(|spec| spec.name == **name)
        });
        let gone: Vec<Named> = gone.map(|(name, _)| Named::Gone(name.clone())).collect();
        let in_file = desired.into_iter().map(|spec| Named::InFile(Box::new(spec)));
        let named: Vec<Named> = gone.into_iter().chain(in_file).collect();
        let (results, mut arriving) = mpsc::channel(named.len().max(1));
        for named in named {
            let (run, results) = (self.clone(), results.clone());
            self.shared.stage.spawn("adopt", async move {
                drop(results.send(run.adopt_one(named).await).await);
            });
        }
        drop(results);
        let mut adopted = Vec::new();
        while let Some(result) = arriving.recv().await {
            adopted.push(result);
        }
        adopted
    }

    async fn adopt_one(&self, named: Named) -> Adopted {
        match named {
            Named::InFile(spec) => {
                let service = spec.name.clone();
                let outcome = self.follow(*spec).await.unwrap_or_else(Adoption::Failed);
                Adopted { service, outcome }
            }
            Named::Gone(service) => {
                let left = self.leave(&service).await;
                Adopted { service, outcome: left.map_or_else(Adoption::Failed, |()| Adoption::Leaving) }
            }
        }
    }

    async fn follow(&self, spec: ServiceSpec) -> Result<Adoption, DeployError> {
        let known = self.view(&spec.name).ok().filter(|view| view.is_from(&spec));
        let Some(view) = known else {
            let (steps, _) = mpsc::channel(1);
            return self.deploy_one(spec, &steps).await.map(Adoption::Deployed);
        };
        self.follow_numbers(&spec, &view).await
    }

    /// The definition is the same; it may still be back in the file, or want another number of replicas.
    async fn follow_numbers(&self, spec: &ServiceSpec, view: &View) -> Result<Adoption, DeployError> {
        let (service, replicas) = (spec.name.clone(), spec.replicas);
        let mut outcome = Adoption::Kept;
        if view.stopped == Stopped::NotInFile {
            let (reply, answer) = oneshot::channel();
            self.ask(&service, Order::Resume { service: service.clone(), reply }, answer).await?;
            outcome = Adoption::Resumed;
        }
        if view.asked_replicas != replicas {
            let (reply, answer) = oneshot::channel();
            let order = Order::Scale { service: service.clone(), replicas, from_file: true, reply };
            self.ask(&service, order, answer).await?;
            outcome = Adoption::Scaled(replicas);
        }
        Ok(outcome)
    }
}
