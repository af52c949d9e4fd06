//! The length of a file and a `Range`, in two lines.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (length, value) = text.split_once('\n').unwrap_or(("1000", text));
    prumo_edge::fuzz::read_range(value, length.parse().unwrap_or(u64::MAX));
});
