//! The head of a request on the fast path: what is plain, and what is written of it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| prumo_edge::fuzz::read_request_head(bytes));
