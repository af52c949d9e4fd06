//! A writer is killed with -9 again and again at random moments; the ledger is opened again each time.
//!
//! The writer is this test executable run again, as in redb's `crash_consistency.rs`: it prints each row that the
//! ledger has acknowledged, and the parent remembers. A failing run prints its seed; `LEDGER_CRASH_SEED` repeats it.
#![allow(clippy::disallowed_methods, reason = "the test starts and kills the process it is about")]
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use prumo_drain::Drain;
use prumo_ledger::rusqlite::{Connection, Transaction};
use prumo_ledger::{Entry, Ledger, Table, Verdict, audit, rusqlite};
use tempfile::TempDir;

const KILLS: u32 = 80;

/// Two rows in two tables, so that a torn write would show.
const SHEETS: Table = Table {
    name: "sheet",
    migrations: &["
        CREATE TABLE sheet (number INTEGER PRIMARY KEY, filling BLOB NOT NULL) STRICT;
        CREATE TABLE stub (number INTEGER NOT NULL REFERENCES sheet (number)) STRICT;"],
};

/// Goal: every acknowledged row survives `kill -9` at any moment, no row is torn, and the audit chain stays intact.
#[test]
fn acknowledged_rows_survive_a_kill() {
    let seed = env::var("LEDGER_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Clock::system().random());
    println!("LEDGER_CRASH_SEED={seed}");
    let (chance, _simulation) = Clock::simulated(seed, Timestamp::default());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let mut acknowledged = BTreeSet::new();
    for kill in 0..KILLS {
        // A third of the kills falls into opening and recovery, the others into writing. How many rows there are does not
        // depend on the speed of the machine.
        let rows_first = [0, 1, 3][kill as usize % 3];
        let delay = Duration::from_micros(chance.random_below(25_000));
        acknowledged.extend(write_until_killed(&path, rows_first, delay));
        check(&path, &acknowledged);
    }
    assert!(acknowledged.len() > 100, "only {} rows were acknowledged; the kills proved little", acknowledged.len());
}

/// Starts a writer, kills it a moment after so many rows, and returns what it was told is safe.
fn write_until_killed(path: &Path, rows_first: usize, delay: Duration) -> Vec<i64> {
    let mut writer = start_writer(path);
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged: Vec<i64> = lines.by_ref().filter_map(|line| row_in(&line)).take(rows_first).collect();
    thread::sleep(delay);
    writer.kill().unwrap();
    writer.wait().unwrap();
    acknowledged.extend(lines.filter_map(|line| row_in(&line)));
    acknowledged
}

/// The number in a line of the writer. A line that the kill cut short has no end mark and counts as not printed.
fn row_in(line: &str) -> Option<i64> {
    line.rsplit_once("row ")?.1.strip_suffix('.')?.parse().ok()
}

fn start_writer(path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_writer", "--nocapture"])
        .env("LEDGER_CRASH_FILE", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Opens what the killed writer left, and looks at every row.
fn check(path: &Path, acknowledged: &BTreeSet<i64>) {
    let rows = block_on(async {
        let (drain, ledger) = open(path);
        let rows = ledger.read(read_sheets).await.unwrap();
        let recorded = ledger.verify().await.unwrap();
        assert!(matches!(recorded, Verdict::Intact { entries, .. } if entries == rows.len() as u64), "{recorded:?}");
        drain.stop(Duration::from_secs(60)).await;
        rows
    });
    let found: BTreeSet<i64> = rows.iter().map(|(number, ..)| *number).collect();
    let lost: Vec<&i64> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for (number, filling, stubs) in rows {
        assert_eq!(filling, filling_of(number), "row {number} is torn");
        assert_eq!(stubs, 1, "row {number} was written without its stub");
    }
}

fn read_sheets(connection: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>, i64)>> {
    let sql = "SELECT number, filling, (SELECT count(*) FROM stub WHERE stub.number = sheet.number) FROM sheet";
    let mut query = connection.prepare(sql)?;
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// Goal: be the child of the test above: write rows and print each when it is acknowledged, until killed. Without a
/// parent that names a file there is nothing to do.
#[test]
fn the_writer() {
    let Some(path) = env::var_os("LEDGER_CRASH_FILE").map(PathBuf::from) else { return };
    block_on(async {
        let (_drain, ledger) = open(&path);
        loop {
            let number = ledger.write("a sheet", write_sheet).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "row {number}.").and_then(|()| out.flush()).expect("the parent reads until it kills");
        }
    });
}

fn write_sheet(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    let next = "SELECT coalesce(max(number), 0) + 1 FROM sheet";
    let number: i64 = transaction.query_row(next, [], |row| row.get(0))?;
    transaction.execute("INSERT INTO sheet VALUES (?1, ?2)", (number, filling_of(number)))?;
    transaction.execute("INSERT INTO stub VALUES (?1)", [number])?;
    let [actor, action, subject] = ["prumo", "write", "sheet"].map(str::to_owned);
    audit::append(transaction, &Entry { actor, action, subject, detail: number.to_string() }, Timestamp::default())?;
    Ok(number)
}

/// Bytes that depend on the row's number, over up to three pages.
fn filling_of(number: i64) -> Vec<u8> {
    let (chance, _simulation) = Clock::simulated(number as u64, Timestamp::default());
    let mut filling = vec![0; 100 + chance.random_below(9_000) as usize];
    chance.fill_random(&mut filling);
    filling
}

fn open(path: &Path) -> (Drain, Ledger) {
    let drain = Drain::new(Clock::system());
    let ledger = Ledger::open(path, Clock::system(), &drain.stage("ledger"), &[&SHEETS]).unwrap();
    (drain, ledger)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
