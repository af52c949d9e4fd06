//! The head of an HTTP/1 request, as its bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| prumo_edge::fuzz::judge_head(bytes));
