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

/// Goal: a limit is shortened to what is left of it or to the other, whichever is less.
#[test]
fn limits_are_shortened() {
    let check = |shorter: u64, expected: (bool, u64)| {
        let all = Rc::new(Deadlines::default());
        let deadline = all.add();
        deadline.arm(Duration::from_secs(10));
        all.sweep(at(0));
        all.sweep(at(6000));
        let is_less = deadline.shorten(Duration::from_secs(shorter));
        let ended = (6..100).find(|second| {
            all.sweep(at(second * 1000));
            deadline.is_expired()
        });
        assert_eq!((is_less, ended), (expected.0, Some(expected.1)), "{shorter} s after 6 of 10");
    };
    check(3, (true, 9));
    check(4, (false, 10));
    check(5, (false, 10));
    check(60, (false, 10));
    let all = Rc::new(Deadlines::default());
    assert!(all.add().shorten(Duration::from_secs(60)), "there was none");
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

/// Sends bursts of `bytes` every `every` for ten minutes to an upstream that takes all of it at once; says after how many
/// seconds it is cut.
fn cut_after(bytes: usize, every: Duration, least: u64) -> Option<u64> {
    let all = Rc::new(Deadlines::new(least, Duration::from_secs(30)));
    let deadline = all.add();
    deadline.arm(Duration::from_secs(3600));
    let sweeps_a_burst = u64::try_from(every.as_millis()).unwrap() / 50;
    for sweep in 0..10 * 60 * 20 {
        if sweep % sweeps_a_burst == 0 {
            deadline.moved(bytes);
        }
        deadline.awaits_body();
        all.sweep(at(sweep * 50));
        if deadline.is_expired() {
            return Some(sweep / 20);
        }
    }
    None
}

/// Goal: an honest slow client is never cut, however its bytes are spread; one that trickles is cut after half a minute.
#[test]
fn only_those_who_trickle_are_cut() {
    let check = |bytes: usize, every_ms: u64, expected: Option<u64>| {
        let every = Duration::from_millis(every_ms);
        assert_eq!(cut_after(bytes, every, 100), expected, "{bytes} bytes every {every:?}");
    };
    check(1024, 1000, None);
    check(52, 50, None);
    check(20 * 1024, 20_000, None);
    check(29 * 1024, 29_000, None);
    check(101, 1000, None);
    check(1, 1000, Some(30));
    check(1, 10_000, Some(30));
    check(50, 1000, Some(30));
    check(0, 1000, Some(30));
    assert_eq!(cut_after(0, Duration::from_secs(1), 0), None, "0 takes any rate");
}

/// Goal: time in which the upstream takes nothing, and time in which the machine slept, is not the client's.
#[test]
fn only_waiting_for_the_client_counts() {
    let all = Rc::new(Deadlines::new(100, Duration::from_secs(30)));
    let deadline = all.add();
    deadline.arm(Duration::from_secs(36_000));
    deadline.moved(1);
    (0..10_000).for_each(|second| all.sweep(at(second * 1000)));
    assert!(!deadline.is_expired(), "the upstream took nothing");
    deadline.awaits_body();
    all.sweep(at(20_000_000));
    assert!(!deadline.is_expired(), "the machine slept");
}

/// Goal: while bytes lie ready for a client, it is the client that is waited for; it is judged once in so much waiting, and
/// what the upstream may take counts only when nothing lies ready.
#[test]
fn a_client_that_takes_nothing_is_judged() {
    let all = Rc::new(Deadlines::new(100, Duration::from_secs(30)));
    let deadline = all.add();
    let woken = Arc::new(Counter(AtomicUsize::new(0)));
    deadline.wakes(&woken.clone().into());
    deadline.arm(Duration::from_secs(3600));
    let sweep_seconds = |seconds: std::ops::Range<u64>| {
        seconds.for_each(|second| (0..20).for_each(|part| all.sweep(at(second * 1000 + part * 50))));
    };
    sweep_seconds(0..100);
    assert_eq!(deadline.debt_is_due(), None, "the upstream is idle");
    deadline.is_blocked(true);
    sweep_seconds(100..129);
    assert_eq!(deadline.debt_is_due(), None);
    sweep_seconds(129..140);
    assert!(deadline.debt_is_due().is_some_and(|waited| waited >= Duration::from_secs(30)));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "woken once");
    deadline.forgive();
    sweep_seconds(140..160);
    deadline.is_blocked(false);
    sweep_seconds(160..200);
    deadline.is_offered(true);
    sweep_seconds(200..209);
    assert_eq!(deadline.debt_is_due(), None, "20 and 9 seconds");
    sweep_seconds(209..212);
    assert!(deadline.debt_is_due().is_some());
    deadline.is_offered(false);
    assert_eq!(deadline.debt_is_due(), None, "it has taken what there was");
    assert!(!deadline.is_expired());
    sweep_seconds(212..3811);
    assert!(!deadline.is_expired());
    sweep_seconds(3811..3814);
    assert!(deadline.is_expired(), "an hour after the client took the last");
}
