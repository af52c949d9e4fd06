//! What can go wrong, by what the reader does next.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why the ledger could not do as asked. `Display` says what happened; [`LedgerError::hint`] says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// The disk is full. Nothing was written; the same write succeeds when there is space again.
    Full {
        /// The ledger.
        path: PathBuf,
        /// What was being written.
        what: String,
    },
    /// The file was written by a newer prumo.
    Newer {
        /// The ledger.
        path: PathBuf,
        /// The newest step in the file that this binary does not know.
        found: String,
        /// How far this binary knows the steps of that table.
        known: String,
    },
    /// The file is not what a prumo wrote.
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Another process holds the ledger.
    Busy {
        /// The ledger.
        path: PathBuf,
        /// Who, when the holder could say so.
        holder: Option<u32>,
    },
    /// The ledger's stage has stopped, so that nothing is written any more.
    Stopped,
    /// Something else, most often SQL that fails.
    Other {
        /// The ledger.
        path: PathBuf,
        /// What was being done.
        what: String,
        /// What SQLite or the operating system said.
        why: String,
    },
}

impl LedgerError {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            LedgerError::Full { .. } => "make space on that disk; the next attempt then succeeds, no restart is needed",
            LedgerError::Newer { .. } => "start the newer prumo, or restore the ledger from before the upgrade",
            LedgerError::Damaged { .. } => {
                "keep a copy of the file, then restore the ledger from a backup or start with an empty state folder"
            }
            LedgerError::Busy { .. } => "stop the other process first, or give this one a state folder of its own",
            LedgerError::Stopped => "prumo is stopping; ask again when it is up",
            LedgerError::Other { .. } => "if the message does not name a cause you can remove, report it as a bug",
        }
    }

    pub(crate) fn damaged(path: &Path, why: &str) -> LedgerError {
        LedgerError::Damaged { path: path.to_owned(), why: why.to_owned() }
    }

    pub(crate) fn panicked(path: &Path, what: &str) -> LedgerError {
        let why = "the work on it panicked and was rolled back".to_owned();
        LedgerError::Other { path: path.to_owned(), what: what.to_owned(), why }
    }

    pub(crate) fn io(path: &Path, what: &str, error: &io::Error) -> LedgerError {
        let (path, what) = (path.to_owned(), what.to_owned());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                LedgerError::Full { path, what }
            }
            _ => LedgerError::Other { path, what, why: error.to_string() },
        }
    }

    pub(crate) fn sqlite(path: &Path, what: &str, error: &rusqlite::Error) -> LedgerError {
        let (path, what) = (path.to_owned(), what.to_owned());
        let why = error.to_string();
        match error.sqlite_error() {
            Some(code) if is_full(*code) => LedgerError::Full { path, what },
            Some(code) if is_damage(*code) => LedgerError::Damaged { path, why },
            Some(code) if code.code == ErrorCode::DatabaseBusy => LedgerError::Busy { path, holder: None },
            _ => LedgerError::Other { path, what, why },
        }
    }
}

/// SQLite says FULL for `ENOSPC` on most paths and a writing kind of IOERR on the others: quotas, size limits, and the
/// memory-mapped index of its log.
fn is_full(code: ffi::Error) -> bool {
    const WRITING: [i32; 7] = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    code.code == ErrorCode::DiskFull || WRITING.contains(&code.extended_code)
}

/// What was written does not come back.
fn is_damage(code: ffi::Error) -> bool {
    const READING: [i32; 4] =
        [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_IOERR_DATA];
    matches!(code.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) || READING.contains(&code.extended_code)
}

impl fmt::Display for LedgerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Full { path, what } => {
                write!(formatter, "the disk of the ledger {} is full; not written: {what}", path.display())
            }
            LedgerError::Newer { path, found, known } => {
                let path = path.display();
                write!(formatter, "the ledger {path} is from a newer prumo: it has {found}, this one knows {known}")
            }
            LedgerError::Damaged { path, why } => write!(formatter, "the ledger {} is damaged: {why}", path.display()),
            LedgerError::Busy { path, holder: Some(pid) } => {
                write!(formatter, "the ledger {} is held by process {pid}", path.display())
            }
            LedgerError::Busy { path, holder: None } => {
                write!(formatter, "the ledger {} is held by another process", path.display())
            }
            LedgerError::Stopped => formatter.write_str("the ledger has stopped and takes no more work"),
            LedgerError::Other { path, what, why } => {
                write!(formatter, "the ledger {} failed at {what}: {why}", path.display())
            }
        }
    }
}

impl Error for LedgerError {}

#[cfg(test)]
mod tests;
