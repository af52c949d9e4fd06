//! The `Host` of a request, or the authority of its URL.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| prumo_edge::fuzz::normalise_host(text));
