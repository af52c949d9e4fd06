//! A request to the admin listener, as anybody who reaches it might send one: it becomes a question or is refused.
//! The input is a method and a target in one line, and a body below it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prumo_api::route::{Found, Request, decode, encode, find};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(line) = std::str::from_utf8(&input[..end]) else { return };
    let body = input.get(end + 1..).unwrap_or_default();
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));

    assert_eq!(decode(&encode(target)).as_deref(), Some(target), "a name is not the same after its way through a URL");
    if let Found::Route(route, parameters) = find(method, path)
        && let Err(refusal) = (route.read)(&Request::new(parameters, query, body))
    {
        assert!(!refusal.message.is_empty(), "refused without a word why");
    }
});
