//! Chance that can be repeated: every random choice of a test comes from a seed that its failure prints.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A sequence of numbers that looks random and is the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The sequence of this seed.
    pub fn of(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A duration below this one.
    pub fn duration_below(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap().max(1);
        Duration::from_micros(self.number() % most)
    }
}

/// The seed of this run: `PRUMO_TEST_SEED` to repeat one, else the time.
pub fn seed() -> u64 {
    match std::env::var("PRUMO_TEST_SEED") {
        Ok(text) => text.parse().expect("PRUMO_TEST_SEED is a number that an earlier run printed"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000_000,
    }
}
