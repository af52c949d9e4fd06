use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::*;
use crate::{Clock, Sleep};

const START: Timestamp = Timestamp::from_millis(1_000_000);

/// Notes its name when woken: an executor with nothing behind it.
struct Bell {
    name: usize,
    rung: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap().push(self.name);
    }
}

fn wait(sleep: &mut Sleep, name: usize, rung: &Arc<Mutex<Vec<usize>>>) -> Poll<()> {
    let waker = Waker::from(Arc::new(Bell { name, rung: Arc::clone(rung) }));
    Pin::new(sleep).poll(&mut Context::from_waker(&waker))
}

/// Goal: sleepers wake in the order of their deadlines, equal ones in the order they came, and only when due.
#[test]
fn sleepers_wake_in_order() {
    let (clock, simulation) = Clock::simulated(1, START);
    let rung = Arc::default();
    let mut sleeps: Vec<Sleep> = [30, 10, 20, 10].map(|secs| clock.sleep(Duration::from_secs(secs))).into();
    for (name, sleep) in sleeps.iter_mut().enumerate() {
        assert_eq!(wait(sleep, name, &rung), Poll::Pending);
    }
    assert_eq!(simulation.next_wake(), Some(Moment::default() + Duration::from_secs(10)));
    simulation.advance(Duration::from_secs(25));
    assert_eq!(*rung.lock().unwrap(), [1, 3, 2]);
    assert_eq!(clock.now(), Moment::default() + Duration::from_secs(25));
    simulation.advance(Duration::from_secs(5));
    assert_eq!(*rung.lock().unwrap(), [1, 3, 2, 0]);
    assert!(sleeps.iter_mut().all(|sleep| wait(sleep, 9, &rung).is_ready()));
    assert_eq!(simulation.next_wake(), None);
}

/// Goal: a dropped sleeper leaves the queue, and a repeated poll keeps one place with the latest waker.
#[test]
fn a_sleeper_has_one_place() {
    let (clock, simulation) = Clock::simulated(1, START);
    let rung = Arc::default();
    let mut kept = clock.sleep(Duration::from_secs(1));
    let mut dropped = clock.sleep(Duration::from_secs(1));
    let _ = (wait(&mut kept, 0, &rung), wait(&mut kept, 1, &rung), wait(&mut dropped, 2, &rung));
    drop(dropped);
    simulation.advance(Duration::from_secs(2));
    assert_eq!(*rung.lock().unwrap(), [1]);
}

/// Goal: the wall clock jumps without monotonic time, and goes on from where it jumped.
#[test]
fn the_wall_clock_jumps_alone() {
    let (clock, simulation) = Clock::simulated(1, START);
    simulation.advance(Duration::from_secs(1));
    assert_eq!(clock.wall().millis(), 1_001_000);
    simulation.jump_wall(-500_000);
    assert_eq!(clock.wall().millis(), 501_000);
    assert_eq!(clock.now(), Moment::default() + Duration::from_secs(1));
    simulation.advance(Duration::from_secs(1));
    assert_eq!(clock.wall().millis(), 502_000);
}

/// Goal: while a simulation runs, a loop that sleeps for a second acts at every second, not once at the end.
#[tokio::test(flavor = "current_thread")]
async fn running_lets_tasks_act_at_their_own_moment() {
    let (clock, simulation) = Clock::simulated(1, START);
    let ticks = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&ticks);
    let tick = async move {
        loop {
            clock.sleep(Duration::from_secs(1)).await;
            seen.borrow_mut().push(clock.now().nanos() / 1_000_000_000);
        }
    };
    tokio::select! {
        () = tick => unreachable!("it ticks forever"),
        () = simulation.run(Duration::from_millis(5_500)) => {}
    }
    assert_eq!(*ticks.borrow(), [1, 2, 3, 4, 5]);
}

/// Goal: a task that is dropped with its last waker, and sleeps itself, does not lock the clock against itself.
#[test]
fn dropping_a_waker_may_drop_a_sleeper() {
    struct Nest {
        _sleep: Sleep,
    }
    impl Wake for Nest {
        fn wake(self: Arc<Self>) {}
    }
    let (clock, simulation) = Clock::simulated(1, START);
    let rung = Arc::default();
    let mut inner = clock.sleep(Duration::from_secs(1));
    let _ = wait(&mut inner, 0, &rung);
    let mut outer = clock.sleep(Duration::from_secs(2));
    let nest = Waker::from(Arc::new(Nest { _sleep: inner }));
    assert!(Pin::new(&mut outer).poll(&mut Context::from_waker(&nest)).is_pending());
    drop(nest);
    drop(outer);
    assert_eq!(simulation.next_wake(), None);
}

/// Goal: one seed gives one run, to the last draw and byte.
#[test]
fn a_seed_repeats_itself() {
    let run = |seed| {
        let (clock, _simulation) = Clock::simulated(seed, START);
        let mut bytes = [0; 20];
        clock.fill_random(&mut bytes);
        (clock.random(), clock.random_below(1_000_000), clock.jitter(Duration::from_secs(10), 20), bytes)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

proptest! {
    /// Goal: whatever the deadlines and however time is cut into pieces, the waking order is the sorted order.
    #[test]
    fn waking_order_is_sorted(deadlines in prop::collection::vec(0_u64..50, 1..40), pieces in prop::collection::vec(1_u64..20, 1..10)) {
        let (clock, simulation) = Clock::simulated(1, START);
        let rung = Arc::default();
        let mut sleeps: Vec<Sleep> = deadlines.iter().map(|secs| clock.sleep(Duration::from_secs(*secs))).collect();
        let mut waiting: Vec<usize> = Vec::new();
        for (name, sleep) in sleeps.iter_mut().enumerate() {
            if wait(sleep, name, &rung).is_pending() {
                waiting.push(name);
            }
        }
        pieces.iter().for_each(|piece| simulation.advance(Duration::from_secs(*piece)));
        let end = pieces.iter().sum::<u64>();
        waiting.retain(|name| deadlines[*name] <= end);
        waiting.sort_by_key(|name| deadlines[*name]);
        prop_assert_eq!(&*rung.lock().unwrap(), &waiting);
    }
}
