//! Files written by older releases keep opening.
//!
//! `fixtures/v1.db` was written by the first version of the format and is never changed. To make the fixture of a new
//! version, write a new file with `LEDGER_FIXTURE=… cargo test -p prumo-ledger --test old_files` and commit it beside the
//! old ones.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use prumo_drain::Drain;
use prumo_ledger::rusqlite::Connection;
use prumo_ledger::{Entry, Ledger, LedgerError, Table, Verdict, audit, rusqlite};
use tempfile::TempDir;

const STEP_1: &str = "CREATE TABLE note (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
const STEP_2: &str = "ALTER TABLE note ADD COLUMN author TEXT NOT NULL DEFAULT 'unknown'";
const THEN: Table = Table { name: "note", migrations: &[STEP_1] };
const NOW: Table = Table { name: "note", migrations: &[STEP_1, STEP_2] };

/// Goal: the first version's file opens with all its rows, goes one step forward, and its audit log goes on.
#[tokio::test]
async fn version_1_opens_and_goes_forward() {
    let (_folder, path) = copy_of("v1.db");
    let (drain, ledger) = open(&path, &NOW).unwrap();
    let notes = ledger.read(read_notes).await.unwrap();
    assert_eq!(notes, ["1 first by unknown", "2 second by unknown"]);
    let entries = ledger.entries(0, 10).await.unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2].at.rfc3339(), "2026-01-02T03:04:05.000Z");
    assert_eq!(entries[2].digest.to_string(), "26bf659d03385843d526c431c56330b8cb1188a67b8386e1d38910619329c255");
    ledger.record(entry("reopen")).await.unwrap();
    assert!(matches!(ledger.verify().await.unwrap(), Verdict::Intact { entries: 4, .. }));
    drain.stop(Duration::from_secs(60)).await;
}

/// Goal: a file that a newer binary brought forward is refused by the older one, which says so and leaves it alone.
#[tokio::test]
async fn a_newer_file_is_refused() {
    let (_folder, path) = copy_of("v1.db");
    open(&path, &NOW).unwrap().0.stop(Duration::from_secs(60)).await;
    let before = fs::read(&path).unwrap();
    let error = open(&path, &THEN).map(|_| ()).unwrap_err();
    let (found, known) = ("step 2 of `note`".to_owned(), "step 1".to_owned());
    assert_eq!(error, LedgerError::Newer { path: path.clone(), found, known });
    assert!(fs::read(&path).unwrap() == before, "the refused file was touched");
}

/// Goal: a file of the present version can be made at any time, to be committed beside the old ones: with
/// `LEDGER_FIXTURE` it goes to that path, and otherwise it only shows that making it still works.
#[tokio::test]
async fn make_the_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        std::env::var_os("LEDGER_FIXTURE").map_or_else(|| folder.path().join("new.db"), std::path::PathBuf::from);
    let _ = fs::remove_file(&path);
    let (drain, ledger) = open(&path, &THEN).unwrap();
    let insert = "INSERT INTO note (text) VALUES ('first'), ('second')";
    ledger.write("notes", move |transaction| transaction.execute(insert, [])).await.unwrap();
    for action in ["deploy", "rollback", "deploy"] {
        ledger.record(entry(action)).await.unwrap();
    }
    drain.stop(Duration::from_secs(60)).await;
    println!("{:?} in {}", audit::verify_file(&path).unwrap(), path.display());
}

fn open(path: &Path, table: &Table) -> Result<(Drain, Ledger), LedgerError> {
    let drain = Drain::new(Clock::system());
    let (clock, _simulation) = Clock::simulated(1, Timestamp::from_millis(1_767_323_045_000));
    let ledger = Ledger::open(path, clock, &drain.stage("ledger"), &[table])?;
    Ok((drain, ledger))
}

fn read_notes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare("SELECT number || ' ' || text || ' by ' || author FROM note ORDER BY number")?;
    query.query_map([], |row| row.get(0))?.collect()
}

fn entry(action: &str) -> Entry {
    let [actor, action, subject, detail] = ["ana", action, "api", "release 1"].map(str::to_owned);
    Entry { actor, action, subject, detail }
}

fn copy_of(fixture: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(fixture);
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture), &path).unwrap();
    (folder, path)
}
