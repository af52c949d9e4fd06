//! A lane: one thread that owns one connection and serves a queue with a bound.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use prumo_drain::{Stage, Stopping};
use rusqlite::Connection;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::LedgerError;
use crate::hold::Hold;

/// How many requests wait before the next asker has to. Chosen by hand: at a millisecond for each `fsync` the last in
/// line waits for a tenth of a second, and whoever asks faster than that should feel it.
const QUEUE: usize = 64;

/// The asking end of a lane.
#[derive(Clone)]
pub(crate) struct Lane {
    path: Arc<Path>,
    queue: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Lane {
    pub(crate) fn open(
        name: &'static str,
        path: &Path,
        connection: Connection,
        hold: Arc<Hold>,
        stage: &Stage,
    ) -> Result<Lane, LedgerError> {
        let failed = |error: std::io::Error| LedgerError::io(path, "starting its thread", &error);
        let (queue, jobs) = mpsc::channel(QUEUE);
        let stopping = stage.stopping();
        let serve = move || {
            let runtime = runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("a runtime without timers and I/O asks the system for nothing");
            runtime.block_on(serve(jobs, connection, &stopping));
            // Only now: the next process may not come in while a connection of this one is open.
            drop(hold);
        };
        stage.thread(name, serve).map_err(failed)?;
        Ok(Lane { path: path.into(), queue })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the lane's thread and waits for its answer.
    pub(crate) async fn ask<T, F>(&self, what: &'static str, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // When nobody waits any more the answer has nowhere to go.
            let _ = answer.send(work(connection));
        });
        self.queue.send(job).await.map_err(|_| LedgerError::Stopped)?;
        match answered.await {
            Ok(result) => result.map_err(|error| LedgerError::sqlite(&self.path, what, &error)),
            Err(_) => Err(LedgerError::panicked(&self.path, what)),
        }
    }
}

/// Serves until the stage stops, then what was queued by then.
async fn serve(mut jobs: mpsc::Receiver<Job>, mut connection: Connection, stopping: &Stopping) {
    loop {
        let next = tokio::select! {
            next = jobs.recv() => next,
            () = stopping.wait() => break,
        };
        match next {
            Some(job) => perform(job, &mut connection),
            None => break,
        }
    }
    jobs.close();
    while let Some(job) = jobs.recv().await {
        perform(job, &mut connection);
    }
    settle(&connection);
}

/// Brings SQLite's log into the file, so that a stopped ledger is one file, which can be copied. SQLite does it by
/// itself only when the connection that closes last may write. Nothing is lost when it fails: the next start does it.
fn settle(connection: &Connection) {
    if connection.is_readonly("main").unwrap_or(true) {
        return;
    }
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the ledger's log was not brought into its file");
    }
}

/// A job that panics fails alone: unwinding rolls its transaction back and drops its answer, and the lane goes on.
fn perform(job: Job, connection: &mut Connection) {
    if panic::catch_unwind(AssertUnwindSafe(|| job(connection))).is_err() {
        tracing::error!("work on the ledger panicked and was rolled back");
    }
}

#[cfg(test)]
mod tests;
