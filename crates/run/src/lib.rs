//! Runs replicas: starts them, sees them healthy, brings up new releases without losing a request, and converges to
//! what is desired from whatever it finds.
//!
//! The flow of a change: `desired, observe → plan → apply`. One task owns the state and does nothing but
//! `select → event → apply`; [`plan`](plan::plan) is a pure function; releases and deploys are written down before
//! their effects. Below that, `driver` is the only place that starts, finds and ends processes.
//!
//! ```text
//! file ─► desired ─┐
//!                  ├─► plan ─► apply ─► driver ─► processes
//! watch, probe ─► observe ─┘      └─► journal, publish
//! ```
//!
//! What it deliberately does not do: read the file (it receives plain values), know who sends requests (it publishes
//! endpoints and asks how many requests are left), or run containers. When prumo ends, replicas go on; they are found
//! again at the next start.
//!
//! Start reading at [`plan`], then `owner.rs`.

pub mod desired;

pub mod observe;

pub mod plan;

mod apply;

mod release;

mod probe;

pub mod driver;

mod journal;

mod absent;
mod adopt;
mod owner;

mod awaited;
mod metrics;
mod run;
mod status;

pub use crate::absent::absent;
pub use crate::awaited::{Awaited, Scaled};
pub use crate::desired::{
    Check, Health, Listen, Protocol, Rate, Restart, Secret, SecretSource, ServiceSpec, Stop, StopSignal, Value,
};
pub use crate::driver::output::lines::Line;
pub use crate::driver::output::log::{Follow, Followed, Lines};
pub use crate::driver::process::Execution;
pub use crate::journal::TABLE;
pub use crate::probe::Address;
pub use crate::release::{DeployError, DeployStep, Deployed, Fault, Step, free_percent};
pub use crate::run::{
    Adopted, Adoption, Endpoint, InFlight, Publish, Run, Secrets, Serving, Settings, StartError, Traffic, Wiring,
    anything_runs,
};
pub use crate::status::{DeployStatus, ReplicaState, ReplicaStatus, ServiceState, ServiceStatus};
