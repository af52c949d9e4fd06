//! The path of a request for a file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| prumo_edge::fuzz::resolve_path(text));
