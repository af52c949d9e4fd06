use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

/// Counts how many live, to see that nothing outlives a stop.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Goal: stages stop in the reverse of the order they were created, each after the one before it has ended.
#[tokio::test]
async fn stages_stop_in_reverse() {
    let drain = Drain::new(Clock::system());
    let order = Arc::new(Mutex::new(Vec::new()));
    for name in ["ledger", "run", "edge"] {
        let stage = drain.stage(name);
        let (stopping, order) = (stage.stopping(), Arc::clone(&order));
        stage.spawn(name, async move {
            stopping.wait().await;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            order.lock().unwrap().push(name);
        });
    }
    assert_eq!(drain.stages().iter().map(Stage::name).collect::<Vec<_>>(), ["ledger", "run", "edge"]);
    let report = drain.stop(LONG).await;
    assert_eq!(*order.lock().unwrap(), ["edge", "run", "ledger"]);
    assert_eq!(
        report.stages.iter().map(|stage| (stage.name, stage.finished)).collect::<Vec<_>>(),
        [("edge", 1), ("run", 1), ("ledger", 1)]
    );
    assert!(report.is_clean());
    assert!(drain.stages().is_empty());
}

/// Goal: at the deadline what has not ended is dropped and named, and nothing is left alive.
#[tokio::test]
async fn the_deadline_drops_what_is_left() {
    let (clock, simulation) = Clock::simulated(1, prumo_clock::Timestamp::default());
    let drain = Drain::new(clock);
    let stage = drain.stage("edge");
    let alive = Arc::new(AtomicUsize::new(0));
    for name in ["deaf", "polite", "deaf"] {
        let (stopping, keep) = (stage.stopping(), Alive::new(&alive));
        stage.spawn(name, async move {
            let _keep = keep;
            if name == "polite" { stopping.wait().await } else { pending().await }
        });
    }
    let (report, ()) = tokio::join!(drain.stop(Duration::from_secs(10)), simulation.run(Duration::from_secs(11)));
    assert_eq!(report.stages[0].abandoned, ["deaf", "deaf"]);
    assert_eq!(report.stages[0].finished, 1);
    assert!(!report.is_clean());
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

/// Goal: a stage that had no share of the deadline still gets a moment for its last words.
#[tokio::test]
async fn later_stages_keep_their_last_words() {
    let (clock, simulation) = Clock::simulated(1, prumo_clock::Timestamp::default());
    let drain = Drain::new(clock.clone());
    let (ledger, edge) = (drain.stage("ledger"), drain.stage("edge"));
    let stopping = ledger.stopping();
    ledger.spawn("flush", async move {
        stopping.wait().await;
        clock.sleep(LAST_WORDS / 2).await;
    });
    edge.spawn("deaf", pending());
    let (report, ()) = tokio::join!(drain.stop(Duration::ZERO), simulation.run(LONG));
    assert_eq!(report.to_string().lines().count(), 2);
    assert_eq!(report.stages[0].abandoned, ["deaf"]);
    assert_eq!((report.stages[1].finished, report.stages[1].abandoned.len()), (1, 0));
}

/// Goal: a second signal means now: a stop with an hour to go ends at once.
#[tokio::test]
async fn a_hurry_cuts_the_deadline() {
    let clock = Clock::system();
    let drain = Drain::new(clock.clone());
    drain.stage("edge").spawn("deaf", pending());
    let hurry = drain.hurry();
    let second_signal = async {
        clock.sleep(Duration::from_millis(5)).await;
        hurry.now();
    };
    let stop = clock.timeout(Duration::from_secs(60), drain.stop(LONG));
    let (report, ()) = tokio::join!(stop, second_signal);
    assert_eq!(report.expect("a minute is more than now").stages[0].abandoned, ["deaf"]);
}

/// Goal: a hurry before the stop counts too.
#[tokio::test]
async fn a_hurry_may_come_first() {
    let clock = Clock::system();
    let drain = Drain::new(clock.clone());
    drain.stage("edge").spawn("deaf", pending());
    drain.now();
    let report = clock.timeout(Duration::from_secs(60), drain.stop(LONG)).await.unwrap();
    assert_eq!(report.stages[0].abandoned, ["deaf"]);
}

/// Goal: work in flight may start tasks while its stage stops, and those are waited for as well.
#[tokio::test]
async fn tasks_started_while_stopping_are_waited_for() {
    let drain = Drain::new(Clock::system());
    let stage = drain.stage("edge");
    let (starter, stopping) = (stage.clone(), stage.stopping());
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    stage.spawn("connection", async move {
        stopping.wait().await;
        starter.spawn("last request", async move {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
        });
    });
    assert!(drain.stop(LONG).await.is_clean());
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

/// Goal: a thread that looks at its flag is joined; one that does not is named, and the stop does not wait for it.
#[tokio::test]
async fn threads_stop_within_the_deadline() {
    let (clock, simulation) = Clock::simulated(1, prumo_clock::Timestamp::default());
    let drain = Drain::new(clock);
    let stage = drain.stage("ledger");
    let stopping = stage.stopping();
    stage
        .thread("polite", move || {
            while !stopping.is_stopping() {
                std::thread::yield_now();
            }
        })
        .unwrap();
    let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
    stage.thread("deaf", move || held.recv().unwrap_or_default()).unwrap();
    // A thread ends when the machine gives it a turn; only then the deadline passes.
    let the_polite_one_has_ended = async {
        while stage.tasks().iter().any(|(name, _)| name == "polite") {
            tokio::task::yield_now().await;
        }
        simulation.run(LONG).await;
    };
    let (report, ()) = tokio::join!(drain.stop(Duration::from_secs(30)), the_polite_one_has_ended);
    assert_eq!((report.stages[0].finished, &report.stages[0].abandoned[..]), (1, &["deaf".to_owned()][..]));
    drop(release);
}

/// Goal: in a simulation the deadline passes when the test says so, to the millisecond.
#[tokio::test]
async fn the_deadline_follows_the_clock() {
    let (clock, simulation) = Clock::simulated(1, prumo_clock::Timestamp::default());
    let drain = Drain::new(clock);
    drain.stage("edge").spawn("deaf", pending());
    let (report, ()) = tokio::join!(drain.stop(Duration::from_secs(30)), simulation.run(Duration::from_secs(31)));
    assert_eq!(report.stages[0].took, Duration::from_secs(30));
}
