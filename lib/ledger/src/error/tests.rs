use super::*;

const PATH: &str = "/state/ledger.db";

fn sqlite(code: i32) -> LedgerError {
    let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    LedgerError::sqlite(Path::new(PATH), "a release", &error)
}

/// Goal: each of SQLite's codes becomes the kind whose hint helps.
#[test]
fn codes_become_kinds() {
    let full = "the disk of the ledger /state/ledger.db is full; not written: a release";
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_FSYNC] {
        assert_eq!(sqlite(code).to_string(), full, "{code}");
    }
    for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ] {
        assert!(matches!(sqlite(code), LedgerError::Damaged { .. }), "{code}");
    }
    assert_eq!(sqlite(ffi::SQLITE_BUSY).to_string(), "the ledger /state/ledger.db is held by another process");
    for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR_LOCK] {
        assert!(matches!(sqlite(code), LedgerError::Other { .. }), "{code}");
    }
}

/// Goal: a full disk is a full disk, whichever call finds it.
#[test]
fn operating_system_errors_become_kinds() {
    for (code, full) in [(28, true), (122, true), (27, true), (13, false)] {
        let error = LedgerError::io(Path::new(PATH), "opening it", &io::Error::from_raw_os_error(code));
        assert_eq!(matches!(error, LedgerError::Full { .. }), full, "{error}");
    }
}

/// Goal: every kind says what happened and where in one line, and what to do next in another.
#[test]
fn every_kind_has_a_message_and_a_hint() {
    let path = PathBuf::from(PATH);
    let cases = [
        LedgerError::Full { path: path.clone(), what: "a release".to_owned() },
        LedgerError::Newer { path: path.clone(), found: "step 2".to_owned(), known: "step 1".to_owned() },
        LedgerError::damaged(&path, "it is torn"),
        LedgerError::Busy { path: path.clone(), holder: Some(5) },
        LedgerError::panicked(&path, "a release"),
        LedgerError::Stopped,
    ];
    for error in cases {
        let message = error.to_string();
        assert!(message.contains(PATH) || error == LedgerError::Stopped, "{message}");
        assert!(!message.contains('\n') && error.hint().len() > 20);
    }
}
