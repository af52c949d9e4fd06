//! The disk runs full while the ledger is open, and has space again later.
//!
//! As root the disk is a small `tmpfs` of its own. Otherwise the limit on file size (`ulimit -f`) of a child stands in:
//! the same write fails at the same place, with another error number.
#![allow(clippy::disallowed_methods, reason = "the test mounts a disk, and runs itself under a limit")]
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Drain;
use prumo_ledger::rusqlite::Connection;
use prumo_ledger::{Entry, Ledger, LedgerError, Table, Verdict};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const SHEETS: Table =
    Table { name: "sheet", migrations: &["CREATE TABLE sheet (number INTEGER PRIMARY KEY, filling BLOB) STRICT"] };

/// Something that can be full.
trait Disk {
    fn ledger(&self) -> PathBuf;
    fn fill(&self);
    fn make_space(&self);
}

/// Goal: a full disk is an error to the caller with nothing half written; reads go on; the same ledger writes again as
/// soon as there is space, and its audit chain is intact.
#[test]
fn a_full_disk_is_survived() {
    match SmallDisk::mount() {
        Some(disk) => block_on(story(&disk)),
        None => run_under_a_limit(),
    }
}

/// Goal: the limit on file size is survived in the same way, wherever the tests run.
#[test]
fn a_file_size_limit_is_survived() {
    run_under_a_limit();
}

async fn story(disk: &impl Disk) {
    let drain = Drain::new(Clock::system());
    let ledger = Ledger::open(&disk.ledger(), Clock::system(), &drain.stage("ledger"), &[&SHEETS]).unwrap();
    let mut written = 0;
    for round in 0..3 {
        write_sheet(&ledger).await.unwrap();
        ledger.record(entry()).await.unwrap();
        written += 1;
        disk.fill();
        let error = loop {
            match write_sheet(&ledger).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LedgerError::Full { .. }), "round {round}: {error}");
        assert!(error.hint().starts_with("make space"));
        assert!(write_sheet(&ledger).await.is_err(), "still full");
        assert_eq!(count(&ledger).await, written, "round {round}: reads go on and see what was acknowledged");
        disk.make_space();
        write_sheet(&ledger).await.expect("there is space again");
        written += 1;
        assert_eq!(count(&ledger).await, written);
    }
    assert!(matches!(ledger.verify().await.unwrap(), Verdict::Intact { entries: 3, .. }));
    drain.stop(Duration::from_secs(60)).await;
}

async fn write_sheet(ledger: &Ledger) -> Result<(), LedgerError> {
    let sql = "INSERT INTO sheet (filling) VALUES (randomblob(20000))";
    ledger.write("a sheet", move |transaction| transaction.execute(sql, []).map(|_| ())).await
}

async fn count(ledger: &Ledger) -> i64 {
    let count = |connection: &Connection| connection.query_row("SELECT count(*) FROM sheet", [], |row| row.get(0));
    ledger.read(count).await.unwrap()
}

fn entry() -> Entry {
    let [actor, action, subject, detail] = ["ana", "deploy", "api", ""].map(str::to_owned);
    Entry { actor, action, subject, detail }
}

/// A megabyte of memory mounted as a disk.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// The disk, or nothing when this user may not mount.
    fn mount() -> Option<SmallDisk> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk { folder })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Disk for SmallDisk {
    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[1; 1_024]).is_ok() {}
    }

    fn make_space(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "the disk is unmounted");
    }
}

/// A file size limit of this very process, which is why it runs in a child.
struct Limit {
    folder: TempDir,
    unlimited: Rlimit,
}

impl Disk for Limit {
    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// What the files have now, they may keep: growth fails.
    fn fill(&self) {
        let longest =
            fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).max();
        setrlimit(Resource::Fsize, Rlimit { current: longest, maximum: self.unlimited.maximum }).unwrap();
    }

    fn make_space(&self) {
        setrlimit(Resource::Fsize, self.unlimited).unwrap();
    }
}

fn run_under_a_limit() {
    // A write beyond the limit raises SIGXFSZ, which kills unless it is ignored; a shell can do that without `unsafe`.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact the_limited_child --nocapture"])
        .env("LEDGER_LIMITED", "1")
        .arg(env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// Goal: be the child of the test above, which starts it under a limit; elsewhere there is nothing to do.
#[test]
fn the_limited_child() {
    if env::var_os("LEDGER_LIMITED").is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    block_on(story(&Limit { folder, unlimited: getrlimit(Resource::Fsize) }));
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
