use tempfile::TempDir;

use super::*;

/// Goal: what a connection is set to is what durability rests on: the write-ahead log with a full `fsync`.
#[test]
fn connections_are_durable() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let writing = open_to_write(&path).unwrap();
    let reading = open_to_read(&path).unwrap();
    let cases = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
        ("busy_timeout", "5000"),
    ];
    for connection in [&writing, &reading] {
        for (setting, expected) in cases {
            let sql = format!(
                "SELECT CAST(x.{} AS TEXT) FROM pragma_{setting} AS x",
                if setting == "busy_timeout" { "timeout" } else { setting }
            );
            let found: String = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, expected, "{setting}");
        }
    }
}

/// Goal: a file that is no ledger is refused as damaged, with what it is, and stays as it was.
#[test]
fn other_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let place = path.display();
    let garbage = "no database at all, but long enough that SQLite looks at it".repeat(20).into_bytes();
    let other = |sql: &str| {
        let made = folder.path().join("other.db");
        let _ = fs::remove_file(&made);
        Connection::open(&made).unwrap().execute_batch(sql).unwrap();
        fs::read(made).unwrap()
    };
    let cases = [
        (garbage, format!("the ledger {place} is damaged: file is not a database")),
        (
            other("CREATE TABLE users (name)"),
            format!("the ledger {place} is damaged: it is the database of another program"),
        ),
        (
            other("PRAGMA application_id = 5"),
            format!("the ledger {place} is damaged: it is the database of another program"),
        ),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(open_to_write(&path).unwrap_err().to_string(), expected);
        assert_eq!(fs::read(&path).unwrap(), bytes, "untouched");
    }
}

/// Goal: a ledger whose pages were damaged is refused when it is opened, not at the first deploy.
#[test]
fn damaged_pages_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let connection = open_to_write(&path).unwrap();
    connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    connection.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..4_104].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open_to_write(&path), Err(LedgerError::Damaged { .. })));
}

/// Goal: a folder in the place of the file, and a reader without a file, are errors with the path.
#[test]
fn what_cannot_be_opened_is_said() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().display();
    let error = open_to_write(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("the ledger {place} failed at opening it: Is a directory (os error 21)"));
    assert!(matches!(open_to_read(&folder.path().join("absent.db")), Err(LedgerError::Other { .. })));
}
