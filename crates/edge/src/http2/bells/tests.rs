use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn task() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

/// Goal: who rang is found once, in the order of the places, at both ends of the board.
#[test]
fn who_rang_is_found_once() {
    let mut bells = Bells::new();
    for place in [127, 3, 64, 0, 63, 3] {
        bells.waker(place).wake_by_ref();
    }
    assert_eq!(bells.take().collect::<Vec<_>>(), [0, 3, 63, 64, 127]);
    assert!(bells.take().is_empty());
}

/// Goal: a bell wakes the task while it rests, and not while it runs; what rang meanwhile wakes it when it rests.
#[test]
fn a_running_task_is_not_woken() {
    let (count, task) = task();
    let mut bells = Bells::new();
    bells.begin(&task);
    bells.waker(5).wake_by_ref();
    assert_eq!(count.0.load(Ordering::SeqCst), 0, "it runs");
    bells.rest();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "it rested without having looked");
    bells.begin(&task);
    assert_eq!(bells.take().collect::<Vec<_>>(), [5]);
    bells.rest();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "nothing is left");
    bells.waker(7).wake_by_ref();
    assert_eq!(count.0.load(Ordering::SeqCst), 2, "it rests");
}
