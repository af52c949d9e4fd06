//! Time for tests: it passes as it does outside, but for moments in which the machine stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prumo_clock::{Clock, Simulation};

/// What moves the time of an edge in small steps. When the machine stands still for seconds, nothing that the edge waits
/// for runs out meanwhile, no kept connection becomes too old to be used, and no test depends on its being quick.
pub(super) struct Hand {
    is_over: Arc<AtomicBool>,
}

impl Hand {
    /// The most that passes at once: no more than the shortest time that tests set, and less than any that must not run out.
    const STEP_MAX: Duration = Duration::from_millis(50);

    pub(super) fn start() -> (Clock, Hand) {
        let system = Clock::system();
        // Certificates and logs are judged by today's date, and two edges are not to draw the same numbers.
        let (clock, simulation) = Clock::simulated(system.random(), system.wall());
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        std::thread::spawn(move || Hand::go_on(&simulation, &told));
        (clock, Hand { is_over })
    }

    fn go_on(simulation: &Simulation, is_over: &AtomicBool) {
        let mut last = Instant::now();
        while !is_over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
            let now = Instant::now();
            simulation.advance((now - last).min(Hand::STEP_MAX));
            last = now;
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}
