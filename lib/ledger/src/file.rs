//! Opening the file: what every connection is set to, and whether this is a ledger at all.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::LedgerError;

/// `prum` in the header of the file, where `file(1)` and we look for it.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"prum");

/// How long a connection waits for the other before it gives up. The hold keeps other processes away, so this only
/// bridges a checkpoint or somebody's `sqlite3` shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What every connection is set to. `synchronous` FULL is what makes a committed write survive a power cut.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 4194304;
";

/// Opens the file for the writer lane and makes it when there is none.
pub(crate) fn open_to_write(path: &Path) -> Result<Connection, LedgerError> {
    create_private(path).map_err(|error| LedgerError::io(path, "opening it", &error))?;
    let failed = |error: rusqlite::Error| LedgerError::sqlite(path, "opening it", &error);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    if !is_sound(&connection).map_err(failed)? {
        return Err(LedgerError::damaged(path, "SQLite's own check finds it damaged"));
    }
    claim(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let why = format!("the file system refuses SQLite's write-ahead log (it offers `{mode}`)");
        return Err(LedgerError::Other { path: path.to_owned(), what: "opening it".to_owned(), why });
    }
    Ok(connection)
}

/// Opens the file for the reader lane, or for a look from outside while another process holds it.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, LedgerError> {
    let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    opened.map_err(|error| LedgerError::sqlite(path, "opening it to read", &error))
}

/// SQLite's quick check: every page and record is well formed. It reads the whole file, which is a few megabytes.
fn is_sound(connection: &Connection) -> rusqlite::Result<bool> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(verdict == "ok")
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// The file is its owner's alone from its first byte; SQLite gives its log the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Marks an empty file as ours, and refuses the database of another program.
fn claim(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |error: rusqlite::Error| LedgerError::sqlite(path, "opening it", &error);
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if id != 0 || objects != 0 {
        return Err(LedgerError::damaged(path, "it is the database of another program"));
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)
}

#[cfg(test)]
mod tests;
