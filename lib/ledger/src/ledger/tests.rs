use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::sync_channel;
use std::task::Poll;
use std::time::Duration;

use prumo_clock::Timestamp;
use prumo_drain::Drain;
use tempfile::TempDir;

use super::*;
use crate::rusqlite::Error;

const NOTES: Table =
    Table { name: "note", migrations: &["CREATE TABLE note (text TEXT NOT NULL CHECK (text <> '')) STRICT"] };

/// A ledger in a folder of its own, and the drain that stops it.
struct Desk {
    folder: TempDir,
    drain: Drain,
    ledger: Ledger,
}

impl Desk {
    fn new() -> Desk {
        let folder = TempDir::new().unwrap();
        let (drain, ledger) = open(&folder.path().join("ledger.db")).unwrap();
        Desk { folder, drain, ledger }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    async fn stop(&self) {
        let report = self.drain.stop(Duration::from_secs(60)).await;
        assert!(report.stages.iter().all(|stage| stage.abandoned.is_empty()), "{report}");
    }

    async fn reopen(self) -> Desk {
        self.stop().await;
        let (drain, ledger) = open(&self.path()).unwrap();
        Desk { folder: self.folder, drain, ledger }
    }

    async fn note(&self, text: &'static str) -> Result<(), LedgerError> {
        self.ledger.write("a note", move |transaction| insert(transaction, text)).await
    }

    async fn notes(&self) -> Vec<String> {
        self.ledger.read(all).await.unwrap()
    }
}

fn open(path: &Path) -> Result<(Drain, Ledger), LedgerError> {
    let drain = Drain::new(Clock::system());
    let (clock, _simulation) = Clock::simulated(1, Timestamp::from_millis(1_700_000_000_000));
    let ledger = Ledger::open(path, clock, &drain.stage("ledger"), &[&NOTES])?;
    Ok((drain, ledger))
}

fn insert(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO note VALUES (?1)", [text]).map(|_| ())
}

fn all(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare("SELECT text FROM note ORDER BY rowid")?;
    query.query_map([], |row| row.get(0))?.collect()
}

/// Goal: what was written is there for readers at once and after the ledger was closed and opened again.
#[tokio::test]
async fn writes_last() {
    let desk = Desk::new();
    desk.note("one").await.unwrap();
    assert_eq!(desk.notes().await, ["one"]);
    let desk = desk.reopen().await;
    desk.note("two").await.unwrap();
    assert_eq!(desk.notes().await, ["one", "two"]);
    desk.stop().await;
}

/// Goal: a write that fails half way leaves nothing, says what failed and where, and the next one succeeds.
#[tokio::test]
async fn a_failed_write_leaves_nothing() {
    let desk = Desk::new();
    let half = desk
        .ledger
        .write("two notes", |transaction| insert(transaction, "half").and_then(|()| insert(transaction, "")));
    let error = half.await.unwrap_err();
    let place = desk.path().display().to_string();
    assert_eq!(
        error.to_string(),
        format!("the ledger {place} failed at two notes: CHECK constraint failed: text <> ''")
    );
    let refused: Result<(), _> = desk.ledger.write("a check", |_| Err(Error::QueryReturnedNoRows)).await;
    assert!(matches!(refused, Err(LedgerError::Other { what, .. }) if what == "a check"));
    desk.note("whole").await.unwrap();
    assert_eq!(desk.notes().await, ["whole"]);
    desk.stop().await;
}

/// Goal: work that panics is rolled back and told to its asker, and the lanes go on for the others.
#[tokio::test]
async fn a_panic_fails_alone() {
    let desk = Desk::new();
    let panicking = desk.ledger.write("a bad day", |transaction| -> rusqlite::Result<()> {
        insert(transaction, "half")?;
        panic!("on purpose");
    });
    let error = panicking.await.unwrap_err();
    assert!(error.to_string().ends_with("failed at a bad day: the work on it panicked and was rolled back"), "{error}");
    assert!(desk.ledger.read(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await.is_err());
    desk.note("after").await.unwrap();
    assert_eq!(desk.notes().await, ["after"]);
    desk.stop().await;
}

/// Goal: a reader cannot write, whatever it tries.
#[tokio::test]
async fn readers_cannot_write() {
    let desk = Desk::new();
    for sql in ["INSERT INTO note VALUES ('x')", "DROP TABLE note", "PRAGMA user_version = 5"] {
        let tried = desk.ledger.read(move |connection| connection.execute_batch(sql)).await;
        assert!(matches!(tried, Err(LedgerError::Other { .. })), "{sql}: {tried:?}");
    }
    desk.stop().await;
}

/// Goal: all queries of one read see the ledger at one point in time, while writes go on.
#[tokio::test]
async fn a_read_is_a_snapshot() {
    let desk = Desk::new();
    desk.note("before").await.unwrap();
    let ((started, starts), (go_on, goes_on)) = (sync_channel(1), sync_channel(1));
    let reading = desk.ledger.read(move |connection| {
        let before = all(connection)?;
        started.send(()).expect("the test waits for it");
        goes_on.recv().expect("the test sends it");
        Ok((before, all(connection)?))
    });
    let writing = async {
        while starts.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        desk.note("during").await.unwrap();
        go_on.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(reading, writing);
    let (first, second) = read.unwrap();
    assert_eq!((first, desk.notes().await.len()), (second, 2));
    desk.stop().await;
}

/// A write on its way.
type Write<'a> = Pin<Box<dyn Future<Output = Result<(), LedgerError>> + 'a>>;

/// Polls each write once, so that it takes its place in the queue.
async fn queue_up(writes: &mut [Write<'_>]) {
    poll_fn(|context| {
        assert!(writes.iter_mut().all(|write| write.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
}

/// Goal: behind a slow write the queue fills to its bound and the others wait; at a stop what was queued is written,
/// what was not is told so, and neither is the other.
#[tokio::test]
async fn a_stop_writes_what_was_queued() {
    let desk = Desk::new();
    let ((started, starts), (release, held)) = (sync_channel(1), sync_channel::<()>(0));
    let slow = desk.ledger.write("a slow note", move |transaction| {
        started.send(()).expect("the test waits for it");
        held.recv().unwrap_or_default();
        insert(transaction, "slow")
    });
    let mut writes: Vec<Write<'_>> = vec![Box::pin(slow)];
    queue_up(&mut writes).await;
    starts.recv().unwrap();
    writes.extend((0..80).map(|_| -> Write<'_> { Box::pin(desk.note("queued")) }));
    queue_up(&mut writes[1..]).await;
    let stop = desk.drain.stop(Duration::from_secs(60));
    let answers = async {
        drop(release);
        let mut answers = Vec::new();
        for write in &mut writes {
            answers.push(write.await);
        }
        answers
    };
    let (_, answers) = tokio::join!(stop, answers);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(()) | Err(LedgerError::Stopped))), "{answers:?}");
    let written = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(written > 64, "the slow one and a full queue were written, not {written}");
    assert_eq!(desk.note("too late").await, Err(LedgerError::Stopped));
    drop(writes);
    let desk = desk.reopen().await;
    assert_eq!(desk.notes().await.len(), written, "every answered write is there and no other");
    desk.stop().await;
}

/// Goal: two owners of one ledger exclude each other; the second is told who holds it and gets in when it has stopped.
#[tokio::test]
async fn a_second_process_is_refused() {
    let desk = Desk::new();
    let error = open(&desk.path()).map(|_| ()).unwrap_err();
    assert_eq!(error, LedgerError::Busy { path: desk.path(), holder: Some(std::process::id()) });
    desk.reopen().await.stop().await;
}

/// Goal: the ledger and its logs are their owner's alone, also when the file was once readable by others (SEC-16).
#[tokio::test]
async fn the_files_are_private() {
    let desk = Desk::new();
    desk.note("one").await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in std::fs::read_dir(desk.folder.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    desk.stop().await;
    let path = desk.path();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let desk = desk.reopen().await;
    assert_eq!(mode(&path), 0o600);
    desk.stop().await;
}

/// Goal: a deed and its record are written together, the log is read page by page, and its chain verifies from inside
/// and from outside while the ledger is open.
#[tokio::test]
async fn deeds_are_recorded() {
    let desk = Desk::new();
    let entry = |action: &str| Entry {
        actor: "ana".to_owned(),
        action: action.to_owned(),
        subject: "api".to_owned(),
        detail: String::new(),
    };
    desk.ledger.record(entry("deploy")).await.unwrap();
    let deed = entry("rollback");
    let write = desk.ledger.write("a rollback", move |transaction| {
        insert(transaction, "rolled back")?;
        audit::append(transaction, &deed, Timestamp::from_millis(5))
    });
    write.await.unwrap();
    let entries = desk.ledger.entries(0, 10).await.unwrap();
    assert_eq!(entries.iter().map(|recorded| &*recorded.entry.action).collect::<Vec<_>>(), ["deploy", "rollback"]);
    assert_eq!(entries[0].at.rfc3339(), "2023-11-14T22:13:20.000Z");
    assert_eq!(desk.ledger.entries(1, 10).await.unwrap(), entries[1..]);
    let intact = Verdict::Intact { entries: 2, head: entries[1].digest };
    assert_eq!(desk.ledger.verify().await.unwrap(), intact);
    assert_eq!(audit::verify_file(&desk.path()).unwrap(), intact);
    desk.stop().await;
    assert_eq!(audit::verify_file(&desk.path()).unwrap(), intact);
}

/// Goal: a folder that is not there is an error with the path, not a crash.
#[tokio::test]
async fn a_missing_folder_is_said() {
    let error = open(Path::new("/nonexistent/ledger.db")).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger /nonexistent/ledger.db.hold failed at holding it for this process: No such file or directory (os error 2)"
    );
}

/// Goal: debug output names the file and nothing of its contents.
#[tokio::test]
async fn debug_names_the_file() {
    let desk = Desk::new();
    assert_eq!(format!("{:?}", desk.ledger), format!("Ledger {{ path: {:?}, .. }}", desk.path()));
    desk.stop().await;
}
