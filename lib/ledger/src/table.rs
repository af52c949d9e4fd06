//! Tables, declared by their owners, and the steps that bring a file up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prumo_clock::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::{LedgerError, audit};

/// A table as its owner declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whose it is; also the name under which its steps are remembered.
    pub name: &'static str,
    /// SQL, one text for each step, oldest first. A step that was ever released is never changed: a change is the next
    /// step. Going back is not supported; an older prumo refuses the file instead.
    pub migrations: &'static [&'static str],
}

/// Remembers which steps a file has seen. It comes before every step, so it is made by hand.
const MIGRATION: &str = "
    CREATE TABLE IF NOT EXISTS migration (
        owner  TEXT    NOT NULL,
        step   INTEGER NOT NULL,
        digest BLOB    NOT NULL,
        at     INTEGER NOT NULL,
        PRIMARY KEY (owner, step)
    ) STRICT, WITHOUT ROWID";

/// Applies every step that the file has not seen, all in one transaction.
pub(crate) fn migrate(
    path: &Path,
    connection: &mut Connection,
    tables: &[&Table],
    now: Timestamp,
) -> Result<(), LedgerError> {
    let tables = with_own(path, tables)?;
    let failed = |error: rusqlite::Error| LedgerError::sqlite(path, "bringing it up to date", &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    transaction.execute_batch(MIGRATION).map_err(failed)?;
    let applied = read_applied(&transaction).map_err(failed)?;
    refuse_newer(path, &tables, &applied)?;
    for table in &tables {
        let steps = applied.get(table.name).map_or(&[][..], Vec::as_slice);
        refuse_changed(path, table, steps)?;
        for (step, sql) in (1..).zip(table.migrations).skip(steps.len()) {
            let what = format!("step {step} of `{}`", table.name);
            apply(&transaction, table.name, step, sql, now)
                .map_err(|error| LedgerError::sqlite(path, &what, &error))?;
            tracing::info!(table = table.name, step, "ledger brought up to date");
        }
    }
    transaction.commit().map_err(failed)
}

/// The given tables after the ledger's own, each name once.
fn with_own<'a>(path: &Path, tables: &[&'a Table]) -> Result<Vec<&'a Table>, LedgerError> {
    let mut names = BTreeSet::new();
    let all: Vec<&Table> = std::iter::once(&audit::TABLE).chain(tables.iter().copied()).collect();
    for table in &all {
        if !names.insert(table.name) {
            let why = format!("two tables have the name `{}`", table.name);
            return Err(LedgerError::Other { path: path.to_owned(), what: "opening it".to_owned(), why });
        }
    }
    Ok(all)
}

/// A step as the file remembers it.
struct Applied {
    step: i64,
    digest: Vec<u8>,
}

fn read_applied(transaction: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, Vec<Applied>>> {
    let mut applied: BTreeMap<String, Vec<Applied>> = BTreeMap::new();
    let mut query = transaction.prepare("SELECT owner, step, digest FROM migration ORDER BY owner, step")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        applied.entry(row.get(0)?).or_default().push(Applied { step: row.get(1)?, digest: row.get(2)? });
    }
    Ok(applied)
}

/// A file that has seen steps which this binary does not know belongs to a newer one, which may rely on them.
fn refuse_newer(path: &Path, tables: &[&Table], applied: &BTreeMap<String, Vec<Applied>>) -> Result<(), LedgerError> {
    for (owner, steps) in applied {
        let known = tables.iter().find(|table| table.name == owner).map_or(0, |table| table.migrations.len());
        let found = steps.len();
        if found > known {
            return Err(LedgerError::Newer {
                path: path.to_owned(),
                found: format!("step {found} of `{owner}`"),
                known: if known == 0 { format!("no `{owner}`") } else { format!("step {known}") },
            });
        }
    }
    Ok(())
}

fn refuse_changed(path: &Path, table: &Table, applied: &[Applied]) -> Result<(), LedgerError> {
    for ((step, sql), applied) in (1..).zip(table.migrations).zip(applied) {
        if applied.step != step {
            return Err(LedgerError::damaged(path, &format!("step {step} of `{}` is missing", table.name)));
        }
        if applied.digest != digest_of(sql) {
            let why = format!("step {step} of `{}` is not the step this prumo knows", table.name);
            return Err(LedgerError::damaged(path, &why));
        }
    }
    Ok(())
}

fn apply(transaction: &Transaction<'_>, owner: &str, step: i64, sql: &str, now: Timestamp) -> rusqlite::Result<()> {
    transaction.execute_batch(sql)?;
    let insert = "INSERT INTO migration (owner, step, digest, at) VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(insert, (owner, step, digest_of(sql), now.millis()))?;
    Ok(())
}

fn digest_of(sql: &str) -> Vec<u8> {
    Sha256::digest(sql).to_vec()
}

#[cfg(test)]
mod tests;
