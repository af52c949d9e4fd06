//! What a client may put into a line of the access log, such as its `User-Agent`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The first byte is the longest that the value may become, the rest is the value.
    let Some((max, value)) = input.split_first() else { return };
    prumo_edge::fuzz::escape_json(value, usize::from(*max));
});
