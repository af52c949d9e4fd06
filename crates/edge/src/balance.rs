//! Which upstream takes a request. Pure: what is healthy and how busy it is comes in as arguments.

/// The next usable upstream at or after `turn`, of `count`. The caller moves `turn` on to the one after it.
pub(crate) fn round_robin(turn: usize, count: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
    (0..count).map(|step| turn.wrapping_add(step) % count).find(|&upstream| usable(upstream))
}

/// The usable upstream with the least load; of equals the first at or after `turn`, so that idle upstreams share.
pub(crate) fn least_connections(
    turn: usize,
    count: usize,
    load: impl Fn(usize) -> u64,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    (0..count)
        .map(|step| turn.wrapping_add(step) % count)
        .filter(|&upstream| usable(upstream))
        .min_by_key(|&upstream| load(upstream))
}

#[cfg(test)]
mod tests;
