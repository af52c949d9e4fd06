//! The handle that everybody holds.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use prumo_clock::Clock;
use prumo_drain::Stage;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::hold::Hold;
use crate::lane::Lane;
use crate::{Entry, LedgerError, Recorded, Table, Verdict, audit, file, table};

/// An open ledger. Clones share the file; it closes when its stage stops.
#[derive(Clone)]
pub struct Ledger {
    clock: Clock,
    writer: Lane,
    reader: Lane,
}

impl Ledger {
    /// Opens the ledger at `path`, making it when there is none, and brings its tables up to date. The file is held
    /// for this process until `stage` stops.
    ///
    /// # Errors
    /// [`LedgerError::Busy`], [`LedgerError::Newer`], [`LedgerError::Damaged`] or [`LedgerError::Full`]; the file is
    /// then as it was.
    pub fn open(path: &Path, clock: Clock, stage: &Stage, tables: &[&Table]) -> Result<Ledger, LedgerError> {
        let hold = Arc::new(Hold::take(path)?);
        let mut connection = file::open_to_write(path)?;
        table::migrate(path, &mut connection, tables, clock.wall())?;
        let reading = file::open_to_read(path)?;
        let writer = Lane::open("ledger-writer", path, connection, Arc::clone(&hold), stage)?;
        let reader = Lane::open("ledger-reader", path, reading, hold, stage)?;
        Ok(Ledger { clock, writer, reader })
    }

    /// Runs `work` in a transaction of its own. When this returns `Ok` the rows are on disk and survive any crash; when
    /// it returns an error nothing was written. `what` names the write in messages, such as ``release 2 of `api` ``.
    ///
    /// Waits while the queue is full. A caller that goes away meanwhile does not undo a write that is already queued.
    ///
    /// # Errors
    /// [`LedgerError::Full`] when the disk is full, [`LedgerError::Other`] with the reason when `work` fails.
    pub async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let transact = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let output = work(&transaction)?;
            transaction.commit()?;
            Ok(output)
        };
        self.writer.ask(what, transact).await
    }

    /// Runs `work` on a connection that cannot write. All its queries see the ledger at one point in time.
    ///
    /// # Errors
    /// [`LedgerError::Other`] with the reason when `work` fails.
    pub async fn read<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let look = move |connection: &mut Connection| {
            let snapshot = connection.transaction()?;
            work(&snapshot)
        };
        self.reader.ask("read", look).await
    }

    /// Appends to the audit log. To record what a write does, call [`audit::append`] inside that write instead, so that
    /// both happen or neither.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub async fn record(&self, entry: Entry) -> Result<(), LedgerError> {
        let at = self.clock.wall();
        self.write("the audit log", move |transaction| audit::append(transaction, &entry, at)).await
    }

    /// The audit log's entries after number `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub async fn entries(&self, after: u64, limit: u32) -> Result<Vec<Recorded>, LedgerError> {
        self.read(move |connection| audit::entries(connection, after, limit)).await
    }

    /// Checks the whole file and the audit log's chain; see [`audit::verify`].
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when the file is no sound database any more.
    pub async fn verify(&self) -> Result<Verdict, LedgerError> {
        self.read(audit::verify).await
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ledger").field("path", &self.writer.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
