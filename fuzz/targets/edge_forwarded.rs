//! The headers that a request comes with, a line each, from a stranger or from a trusted proxy.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let lines = input.split(|byte| *byte == b'\n');
    let headers: Vec<(Vec<u8>, Vec<u8>)> = lines.filter_map(header).collect();
    for trusted in [false, true] {
        prumo_edge::fuzz::forward_headers(&headers, trusted);
    }
});

fn header(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
}
