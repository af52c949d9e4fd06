use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// Goal: a deadline expires once, after its limit and not before, and progress puts it off.
#[test]
fn deadlines_expire_after_their_limit() {
    let all = Rc::new(Deadlines::default());
    let deadline = all.add();
    let woken = Arc::new(Counter(AtomicUsize::new(0)));
    deadline.wakes(&woken.clone().into());
    deadline.arm(Duration::from_millis(100));
    all.sweep(at(0));
    all.sweep(at(99));
    assert!(!deadline.is_expired());
    deadline.progress();
    all.sweep(at(150));
    all.sweep(at(249));
    assert!(!deadline.is_expired(), "progress was seen at 150");
    all.sweep(at(250));
    all.sweep(at(300));
    assert!(deadline.is_expired());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "woken once");
    deadline.arm(Duration::from_millis(100));
    assert!(!deadline.is_expired());
    deadline.disarm();
    all.sweep(at(1000));
    all.sweep(at(2000));
    assert!(!deadline.is_expired());
}

/// Goal: places of deadlines that are gone are used again.
#[test]
fn places_are_used_again() {
    let all = Rc::new(Deadlines::default());
    for _ in 0..100 {
        drop((all.add(), all.add()));
    }
    assert_eq!(all.slots.borrow().states.len(), 2);
}
