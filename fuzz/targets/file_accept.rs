//! Which codings are there, in a first byte, and the lines of `Accept-Encoding`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((there, lines)) = bytes.split_first() {
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        prumo_edge::fuzz::choose_coding(&lines, *there);
    }
});
