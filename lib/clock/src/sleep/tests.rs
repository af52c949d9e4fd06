use std::future::poll_fn;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::{Clock, Timestamp};

fn is_ready(sleep: &mut Sleep) -> bool {
    Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Goal: a sleep may be stored in a connection, sent to another thread, and boxed for hyper's timer.
#[test]
fn a_sleep_is_send_sync_and_unpin() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<Sleep>();
}

/// Goal: a reset sleep waits for its new deadline, forward, backward, and after it had ended.
#[test]
fn reset_moves_the_deadline() {
    let (clock, simulation) = Clock::simulated(1, Timestamp::default());
    let mut sleep = clock.sleep(Duration::from_secs(1));
    assert!(!is_ready(&mut sleep));
    sleep.reset(clock.now() + Duration::from_secs(5));
    assert_eq!(sleep.deadline().nanos(), 5_000_000_000);
    simulation.advance(Duration::from_secs(2));
    assert!(!is_ready(&mut sleep));
    sleep.reset(clock.now());
    assert!(is_ready(&mut sleep));
    sleep.reset(clock.now() + Duration::from_secs(1));
    assert!(!is_ready(&mut sleep));
    simulation.advance(Duration::from_secs(1));
    assert!(is_ready(&mut sleep));
}

/// Goal: a task that waits is woken when its deadline is moved to now, without polling again in between.
#[tokio::test]
async fn reset_wakes_the_waiter() {
    let (clock, simulation) = Clock::simulated(1, Timestamp::default());
    let mut sleep = clock.sleep(Duration::from_secs(60));
    let mut polls = 0;
    let mut earlier = Some(clock.now() + Duration::from_secs(1));
    poll_fn(|context| {
        polls += 1;
        let poll = Pin::new(&mut sleep).poll(context);
        if let Some(earlier) = earlier.take() {
            sleep.reset(earlier);
            simulation.advance(Duration::from_secs(1));
        }
        poll
    })
    .await;
    assert_eq!(polls, 2);
}

/// Goal: on the system clock a sleep never ends before its deadline, and resets before and after its first poll.
#[tokio::test]
async fn the_system_clock_sleeps() {
    let clock = Clock::system();
    let began = clock.now();
    clock.sleep(Duration::from_millis(20)).await;
    assert!(clock.now() - began >= Duration::from_millis(20));

    let mut sleep = clock.sleep(Duration::from_secs(3_600));
    sleep.reset(clock.now());
    (&mut sleep).await;
    sleep.reset(clock.now() + Duration::from_secs(3_600));
    assert!(!is_ready(&mut sleep));
    sleep.reset(clock.now());
    sleep.await;
}

/// Goal: a sleep says its deadline in debug output, and nothing of the executor.
#[test]
fn debug_says_the_deadline() {
    let sleep = Sleep::system(Moment::from_nanos(5));
    assert_eq!(format!("{sleep:?}"), "Sleep { deadline: Moment { nanos: 5 }, .. }");
}
