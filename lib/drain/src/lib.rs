//! Every task and thread has a name and an owner, and stops.
//!
//! A process starts its stages in order, each with its tasks, and stops them in the reverse of that order: the stage
//! that takes in work stops first, the stage that keeps the records stops last.
//!
//! ```text
//! Drain ── stage("ledger") ── stage("run") ── stage("edge")      started in this order
//!                                               │ stop(deadline)
//!   finished, abandoned  ◄── ledger ◄── run ◄── edge             stopped in this order
//! ```
//!
//! To stop a stage is to raise its [`Stopping`] flag, wait until its tasks have ended, and drop those that have not
//! when the deadline passes or somebody is in a [`Hurry`]. A task that panics is logged and counted, and takes nobody
//! with it.
//!
//! What is deliberately not here: restarting a task that ended (its owner knows whether that is right), results of
//! tasks (send them through a channel), and priorities.
//!
//! Start reading at [`Drain`], then [`Stage`].

mod drain;
mod stage;

mod owned;
mod report;
mod signals;
mod stopping;

pub use crate::drain::{Drain, Hurry};
pub use crate::report::{Report, StageReport};
pub use crate::signals::{Signal, Signals, signals};
pub use crate::stage::{Stage, Task};
pub use crate::stopping::Stopping;
