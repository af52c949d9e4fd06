//! The one room of xtask that reads time and waits. A chore runs on a real machine, so there is nothing to simulate.

use std::time::{Duration, Instant};

pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the room of xtask that reads time")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the room of xtask that reads time")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the room of xtask that waits")]
pub(crate) fn wait(duration: Duration) {
    std::thread::sleep(duration);
}

/// Ask until the answer is yes; false when it never was within the time.
pub(crate) fn wait_until(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let stopwatch = Stopwatch::start();
    while !holds() {
        if stopwatch.elapsed() > within {
            return false;
        }
        wait(Duration::from_millis(50));
    }
    true
}
