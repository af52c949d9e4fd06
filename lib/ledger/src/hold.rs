//! The exclusive hold: one process for one ledger.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::LedgerError;

/// Held as long as it lives, and let go by the kernel when the process dies in any way.
///
/// The lock is on a file of its own: closing any descriptor of the database file would drop SQLite's own locks on it.
pub(crate) struct Hold {
    _locked: File,
}

impl Hold {
    pub(crate) fn take(ledger: &Path) -> Result<Hold, LedgerError> {
        let path = hold_path(ledger);
        let failed = |error: std::io::Error| LedgerError::io(&path, "holding it for this process", &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::Busy { path: ledger.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_holder(&mut file);
        Ok(Hold { _locked: file })
    }
}

fn hold_path(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".hold");
    PathBuf::from(name)
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The number only makes the other's message better; on a full disk the hold is as good without it.
fn write_holder(file: &mut File) {
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::debug!(%error, "the hold does not say who holds it");
    }
}

#[cfg(test)]
mod tests;
