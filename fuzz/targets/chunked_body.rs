//! A chunked body on the fast path, cut in two anywhere; the first byte says where.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((cut, body)) = bytes.split_first() {
        prumo_edge::fuzz::read_chunked_body(body, usize::from(*cut));
    }
});
