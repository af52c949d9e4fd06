//! The same key, the same upstream; unless that one is fuller than others may fairly be.
//!
//! Rendezvous hashing: key and upstream together give a score, and the highest wins. Who leaves takes only its own keys
//! along, and who comes takes an even share from everybody; there is no ring to keep. With bounded load a key whose
//! upstream is full goes to its second highest, always the same one.

/// How far above the mean an upstream's load may lie, in percent. Mirrokni, Thorup and Zadimoghaddam (2016) show that
/// any bound above zero keeps both properties; a quarter moves few keys and still stops a hot one.
const ABOVE_MEAN_PERCENT: u64 = 25;

/// A load that no key leaves its upstream for. With a handful of requests in flight the mean is about one, and every
/// second request of a client would lose its place and what is cached there; 16 are what a small app bears.
const ALWAYS: u64 = 16;

/// The upstream of `key`.
pub(super) fn choose(
    key: u64,
    count: usize,
    name: impl Fn(usize) -> u64,
    load: impl Fn(usize) -> u64,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    let each = || (0..count).filter(|&index| usable(index));
    let (members, total) = each().fold((0_u64, 1_u64), |(members, total), index| (members + 1, total + load(index)));
    let bound = (total * (100 + ABOVE_MEAN_PERCENT)).div_ceil(100 * members.max(1)).max(ALWAYS);
    let score = |index: usize| mix(key ^ name(index));
    // Somebody always has room: not all can be above the mean.
    each().filter(|&index| load(index) < bound).max_by_key(|&index| score(index))
}

/// A number for these bytes: FNV-1a, then mixed so that every bit counts. Keys are no secret, and who floods one replica
/// by inventing keys is stopped by the bound on its load.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

/// The finaliser of SplitMix64: one to one, so that counted inputs never meet.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
