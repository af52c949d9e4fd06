//! What must not be forgotten: one SQLite file, one writer, and an audit log that shows when it was altered.
//!
//! ```text
//! Ledger::open   hold ── file ── table: migrate forward ── two lanes
//! write(f)       queue ──► writer lane: one transaction, fsync ──► answer
//! read(f)        queue ──► reader lane: one snapshot ───────────► answer
//! record(entry)  a write that appends to the audit log's hash chain
//! ```
//!
//! A write that has returned is on disk; one that has not returned happened whole or not at all. When the disk is full
//! the caller gets [`LedgerError::Full`], nothing is half written, and the next write after space returned succeeds.
//!
//! What is deliberately not here: the tables themselves (each owner declares its [`Table`]), queries (each owner writes
//! its SQL), and anything with more than one process: a second one gets [`LedgerError::Busy`].
//!
//! The format is drawn in `docs/formats/ledger.md`. Start reading at [`Ledger`].

pub mod audit;

mod ledger;

mod hold;

mod file;

mod table;

mod lane;

mod error;

pub use crate::audit::{Entry, Recorded, Verdict};
pub use crate::error::LedgerError;
pub use crate::ledger::Ledger;
pub use crate::table::Table;
pub use rusqlite;
