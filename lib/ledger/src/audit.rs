//! The audit log: append only, each entry sealed together with the one before.
//!
//! `digest = SHA-256(encoding of the entry with the digest before it)`, so that whoever knows the last digest knows
//! the whole log. The head, which is the number of entries and the last digest, is kept a second time so that a tail
//! cut off is missed too. Whoever can write the file can forge all of it: to be safe from them, note the head that
//! [`verify`] gives somewhere else and compare.

mod seal;
mod verify;

use prumo_clock::Timestamp;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row, Transaction};

use crate::Table;

pub use crate::audit::seal::{GENESIS, Seal};
pub use crate::audit::verify::{Verdict, verify, verify_file};

/// Something that somebody did, as its recorder tells it. No secret belongs in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who: a token's name, or `prumo` for what it did by itself.
    pub actor: String,
    /// The verb, such as `deploy`.
    pub action: String,
    /// To what, such as a service's name.
    pub subject: String,
    /// The rest, for people.
    pub detail: String,
}

impl Entry {
    /// An entry of these four.
    pub fn new(
        actor: impl Into<String>,
        action: impl Into<String>,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Entry {
        Entry { actor: actor.into(), action: action.into(), subject: subject.into(), detail: detail.into() }
    }
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When it was recorded, by the wall clock.
    pub at: Timestamp,
    /// What was recorded.
    pub entry: Entry,
    /// The digest of the entry before; zeros for the first.
    pub previous: Seal,
    /// The digest of this entry.
    pub digest: Seal,
}

/// Appends `entry` as part of `transaction`, so that a deed and its record are written both or neither.
///
/// # Errors
/// What SQLite says.
pub fn append(transaction: &Transaction<'_>, entry: &Entry, at: Timestamp) -> rusqlite::Result<()> {
    let head = read_head(transaction)?;
    let seq = head.entries + 1;
    let digest = seal::seal(head.digest, seq, at, entry);
    let mut insert = transaction.prepare_cached(
        "INSERT INTO audit (seq, at, actor, action, subject, detail, previous, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let Entry { actor, action, subject, detail } = entry;
    insert.execute((number(seq)?, at.millis(), actor, action, subject, detail, head.digest.0, digest.0))?;
    Ok(())
}

/// The entries after number `after`, oldest first, at most `limit`.
///
/// # Errors
/// What SQLite says.
pub fn entries(connection: &Connection, after: u64, limit: u32) -> rusqlite::Result<Vec<Recorded>> {
    let mut query = connection.prepare_cached(&format!("{SELECT} WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
    let rows = query.query_map((number(after)?, limit), read_row)?;
    rows.collect()
}

/// The audit log's own table. `WITHOUT ROWID` and `STRICT`, so that no byte of a stored row is without meaning.
pub(crate) const TABLE: Table = Table {
    name: "ledger",
    migrations: &["
    CREATE TABLE audit (
        seq      INTEGER NOT NULL PRIMARY KEY,
        at       INTEGER NOT NULL,
        actor    TEXT    NOT NULL,
        action   TEXT    NOT NULL,
        subject  TEXT    NOT NULL,
        detail   TEXT    NOT NULL,
        previous BLOB    NOT NULL,
        digest   BLOB    NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit_head (
        only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
        entries  INTEGER NOT NULL,
        digest   BLOB    NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO audit_head VALUES (1, 0, zeroblob(32));

    CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
    WHEN NOT EXISTS (SELECT 1 FROM audit_head WHERE entries = NEW.seq - 1 AND digest = NEW.previous)
    BEGIN SELECT RAISE(ABORT, 'the audit log takes entries only at its end'); END;

    CREATE TRIGGER audit_moves_head AFTER INSERT ON audit
    BEGIN UPDATE audit_head SET entries = NEW.seq, digest = NEW.digest; END;

    CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

    CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

    CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head
    BEGIN SELECT RAISE(ABORT, 'the audit log keeps its head'); END;
    "],
};

const SELECT: &str = "SELECT seq, at, actor, action, subject, detail, previous, digest FROM audit";

/// How far the log goes.
struct Head {
    entries: u64,
    digest: Seal,
}

fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    let mut query = connection.prepare_cached("SELECT entries, digest FROM audit_head WHERE only_row = 1")?;
    query.query_row([], |row| Ok(Head { entries: read_number(row, 0)?, digest: read_seal(row, 1)? }))
}

/// Reads without conversion: a number stored as text is an altered number.
fn read_row(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        seq: read_number(row, 0)?,
        at: Timestamp::from_millis(row.get(1)?),
        entry: Entry { actor: row.get(2)?, action: row.get(3)?, subject: row.get(4)?, detail: row.get(5)? },
        previous: read_seal(row, 6)?,
        digest: read_seal(row, 7)?,
    })
}

fn read_number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

fn read_seal(row: &Row<'_>, column: usize) -> rusqlite::Result<Seal> {
    let stored = row.get_ref(column)?;
    let bytes = if let ValueRef::Blob(bytes) = stored { <[u8; 32]>::try_from(bytes).ok() } else { None };
    let wrong = || rusqlite::Error::InvalidColumnType(column, "a digest of 32 bytes".to_owned(), Type::Blob);
    bytes.map(Seal).ok_or_else(wrong)
}

fn number(value: u64) -> rusqlite::Result<i64> {
    i64::try_from(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests;
