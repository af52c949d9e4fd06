//! Whether the log is as it was recorded.

use std::path::Path;

use rusqlite::Connection;

use crate::audit::seal::{GENESIS, Seal, seal};
use crate::audit::{Head, SELECT, TABLE, read_head, read_row};
use crate::{LedgerError, Recorded, file};

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a broken log that nobody hears of is as good as an intact one"]
pub enum Verdict {
    /// Every entry is as it was recorded and none is missing.
    Intact {
        /// How many entries there are.
        entries: u64,
        /// The digest of the last one; note it elsewhere to be able to tell a log that was forged whole.
        head: Seal,
    },
    /// Somebody or something altered the log.
    Broken {
        /// The number of the first entry that is not as it should be.
        at: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Checks the file's structure, that the log's locks are in place, and the chain from the first entry to the head.
///
/// # Errors
/// What SQLite says when the file cannot be read as a database any more.
pub fn verify(connection: &Connection) -> rusqlite::Result<Verdict> {
    if let Some(broken) = check_structure(connection)? {
        return Ok(broken);
    }
    let mut last = Head { entries: 0, digest: GENESIS };
    let mut query = connection.prepare(&format!("{SELECT} ORDER BY seq"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let at = last.entries + 1;
        match read_row(row) {
            Ok(recorded) => match check_link(&last, &recorded) {
                Ok(()) => last = Head { entries: at, digest: recorded.digest },
                Err(why) => return Ok(Verdict::Broken { at, why }),
            },
            Err(error) if error.sqlite_error().is_some() => return Err(error),
            Err(error) => return Ok(Verdict::Broken { at, why: format!("it cannot be read: {error}") }),
        }
    }
    check_head(connection, &last)
}

/// [`verify`] for the file at `path`, also while another process holds it.
///
/// # Errors
/// [`LedgerError::Damaged`] when the file is no sound database any more.
pub fn verify_file(path: &Path) -> Result<Verdict, LedgerError> {
    let connection = file::open_to_read(path)?;
    verify(&connection).map_err(|error| LedgerError::sqlite(path, "verifying the audit log", &error))
}

/// A full check by SQLite, then the schema of the log compared with the one we would make today.
fn check_structure(connection: &Connection) -> rusqlite::Result<Option<Verdict>> {
    let check: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Ok(Some(Verdict::Broken { at: 0, why: format!("SQLite's own check finds: {check}") }));
    }
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(TABLE.migrations.join(";").as_str())?;
    if read_schema(connection)? != read_schema(&fresh)? {
        let why = "its table or the triggers that refuse changes were altered".to_owned();
        return Ok(Some(Verdict::Broken { at: 0, why }));
    }
    Ok(None)
}

fn read_schema(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut query = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE tbl_name IN ('audit', 'audit_head') AND sql IS NOT NULL ORDER BY name",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn check_link(last: &Head, recorded: &Recorded) -> Result<(), String> {
    let expected = last.entries + 1;
    if recorded.seq != expected {
        return Err(format!("entry {expected} is missing, entry {} follows", recorded.seq));
    }
    if recorded.previous != last.digest {
        return Err(format!("entry {expected} does not follow the entry before it"));
    }
    if recorded.digest != seal(recorded.previous, recorded.seq, recorded.at, &recorded.entry) {
        return Err(format!("entry {expected} is not what was recorded"));
    }
    Ok(())
}

fn check_head(connection: &Connection, last: &Head) -> rusqlite::Result<Verdict> {
    let at = last.entries + 1;
    let head = match read_head(connection) {
        Ok(head) => head,
        Err(error) if error.sqlite_error().is_some() => return Err(error),
        Err(error) => return Ok(Verdict::Broken { at, why: format!("the head cannot be read: {error}") }),
    };
    if head.entries != last.entries {
        let why = format!("the log ends with entry {}, its head says {}", last.entries, head.entries);
        return Ok(Verdict::Broken { at, why });
    }
    if head.digest != last.digest {
        return Ok(Verdict::Broken { at, why: "the head has another digest than the last entry".to_owned() });
    }
    Ok(Verdict::Intact { entries: last.entries, head: last.digest })
}

#[cfg(test)]
mod tests;
