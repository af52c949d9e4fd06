use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Drain;

use super::*;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Goal: work is done on another thread, and the threads end with the cores.
#[test]
fn works_elsewhere() {
    let drain = Drain::new(Clock::system());
    let stage = drain.stage("readers");
    let (readers, waiting) = queue(2);
    waiting.start(&stage).expect("threads");
    let here = std::thread::current().id();
    let there = block_on(readers[0].run(|| std::thread::current().id())).expect("a reader");
    assert_ne!(here, there);
    drop(readers);
    let report = block_on(drain.stop(Duration::from_secs(60)));
    assert!(report.stages.iter().all(|stage| stage.abandoned.is_empty()), "{report:?}");
}

/// Goal: a core asks for no more at a time than its places; the rest wait for one.
#[test]
fn bounds_what_is_asked() {
    let drain = Drain::new(Clock::system());
    let stage = drain.stage("readers");
    let (readers, waiting) = queue(1);
    waiting.start(&stage).expect("threads");
    let done = Arc::new(AtomicUsize::new(0));
    block_on(async {
        let asked: Vec<_> = (0..ASKED_MAX * 3)
            .map(|_| {
                let done = Arc::clone(&done);
                Box::pin(readers[0].run(move || done.fetch_add(1, Ordering::SeqCst)))
            })
            .collect();
        for one in asked {
            one.await.expect("a reader");
        }
    });
    assert_eq!(done.load(Ordering::SeqCst), ASKED_MAX * 3);
    drop(readers);
    block_on(drain.stop(Duration::from_secs(60)));
}

/// Goal: who asks when nobody reads is told so.
#[test]
fn says_that_nobody_reads() {
    let (readers, waiting) = queue(1);
    drop(waiting);
    assert!(block_on(readers[0].run(|| ())).is_err());
}
