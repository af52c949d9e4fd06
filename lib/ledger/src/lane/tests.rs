use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Drain;
use tempfile::TempDir;

use super::*;

/// Goal: a lane whose askers are all gone ends by itself, and a lane whose stage has stopped is not opened.
#[tokio::test]
async fn a_lane_ends_with_its_askers_or_its_stage() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let drain = Drain::new(Clock::system());
    let stage = drain.stage("ledger");
    let open = || {
        let hold = Arc::new(Hold::take(&path)?);
        Lane::open("lane", &path, Connection::open_in_memory().unwrap(), hold, &stage)
    };
    drop(open().unwrap());
    while !stage.tasks().is_empty() {
        tokio::task::yield_now().await;
    }
    let lane = open().unwrap();
    assert_eq!(lane.ask("a sum", |connection| connection.query_row("SELECT 1 + 1", [], |row| row.get(0))).await, Ok(2));
    drain.stop(Duration::from_secs(60)).await;
    let error = open().map(|_| ()).unwrap_err();
    assert!(
        error.to_string().ends_with("failed at starting its thread: stage `ledger` has stopped and starts no thread")
    );
}
