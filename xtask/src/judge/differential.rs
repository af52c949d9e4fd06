//! `crates/edge/tests/differential.rs` with other requests in each round, for as long as somebody has time.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::failure::Failure;
use crate::program::Program;
use crate::stopwatch::Stopwatch;

/// Requests of one round.
const CASES: &str = "4000";

pub(super) fn run(lasts: Duration) -> Result<(), Failure> {
    let begun = Stopwatch::start();
    let mut rounds = 0;
    while begun.elapsed() < lasts {
        // Each hasher of the standard library has keys of its own.
        let seed = RandomState::new().hash_one(rounds) >> 16;
        Program::cargo()
            .args(["test", "--quiet", "--package", "prumo-edge", "--test", "differential"])
            .env("PRUMO_TEST_SEED", seed.to_string())
            .env("PRUMO_TEST_CASES", CASES)
            .run()
            .map_err(|failure| {
                failure.hint(format!("PRUMO_TEST_SEED={seed} PRUMO_TEST_CASES={CASES} does it again"))
            })?;
        rounds += 1;
    }
    println!("{rounds} rounds of {CASES} requests: prumo means by each what nginx and HAProxy mean");
    Ok(())
}
