use std::future::{pending, ready};
use std::time::Duration;

use super::*;
use crate::{Clock, Timestamp};

/// Goal: work that is ready in the moment of its deadline counts as done, and work that is not is given up.
#[tokio::test]
async fn work_goes_before_the_deadline() {
    let (clock, simulation) = Clock::simulated(1, Timestamp::default());
    assert_eq!(clock.timeout(Duration::ZERO, ready(5)).await, Ok(5));
    assert_eq!(clock.timeout(Duration::ZERO, pending::<()>()).await, Err(Elapsed));
    let limited = clock.timeout(Duration::from_secs(1), pending::<()>());
    let (result, ()) = tokio::join!(limited, async { simulation.advance(Duration::from_secs(1)) });
    assert_eq!(result.unwrap_err().to_string(), "the time given is over");
}

/// Goal: a timeout ends work that sleeps longer, on the system clock too.
#[tokio::test]
async fn the_system_clock_times_out() {
    let clock = Clock::system();
    assert_eq!(clock.timeout(Duration::from_millis(5), clock.sleep(Duration::from_secs(3_600))).await, Err(Elapsed));
    assert_eq!(clock.timeout(Duration::from_secs(3_600), clock.sleep(Duration::from_millis(5))).await, Ok(()));
}
