//! The prefix of a route and the path of a request, in two lines.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (prefix, path) = text.split_once('\n').unwrap_or((text, "/"));
    // The file refuses prefixes that do not begin with a slash.
    if prefix.starts_with('/') {
        prumo_edge::fuzz::match_prefix(prefix, path);
    }
});
