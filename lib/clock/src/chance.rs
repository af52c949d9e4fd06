//! Chance: a small generator for spreading load, and the operating system's entropy for secrets.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications for each number, every seed is good,
/// and it passes BigCrush. Predictable by design; it never makes a secret.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    pub(crate) const fn new(seed: u64) -> Generator {
        Generator { state: seed }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Draws from a generator of this thread, seeded once by the operating system: a request that needs a number takes no
/// lock and makes no system call.
pub(crate) fn draw_for_this_thread() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed_from_system());
    }
    STATE.with(|state| {
        let mut generator = Generator::new(state.get());
        let drawn = generator.draw();
        state.set(generator.state);
        drawn
    })
}

/// An even draw below `bound` (Lemire's multiplication, rejecting the few draws that would favour small numbers).
pub(crate) fn below(bound: u64, mut draw: impl FnMut() -> u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    let unfair_below = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(draw()) * u128::from(bound);
        let low = product as u64;
        if low >= unfair_below {
            return (product >> 64) as u64;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the room that reads chance")]
pub(crate) fn fill_from_system(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("Linux always gives entropy after boot; without it no key may be made");
}

fn seed_from_system() -> u64 {
    let mut seed = [0; 8];
    fill_from_system(&mut seed);
    u64::from_le_bytes(seed)
}

#[cfg(test)]
mod tests;
