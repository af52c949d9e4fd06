//! A request and the routes that may take it, a line each.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| prumo_edge::fuzz::find_route(text));
