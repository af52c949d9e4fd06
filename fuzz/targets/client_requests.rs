//! What an HTTP/1 client sends on one connection, cut in two anywhere; the first two bytes say where.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((cut, sent)) = bytes.split_first_chunk::<2>() {
        prumo_edge::fuzz::follow_requests(sent, usize::from(u16::from_le_bytes(*cut)));
    }
});
