//! The one file, as anybody might write it: reading it ends in a configuration or in mistakes that can be printed.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// An environment where `HOME` is set, `EMPTY` is empty, and nothing else is there.
fn environment(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/srv/shop".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fuzz_target!(|text: &str| {
    for overlay in [None, Some("staging")] {
        if let Err(mistakes) = prumo_config::read(text, "prumo.toml", overlay, &environment) {
            // Each mistake shows the offending line and a caret below it, which is where wide characters go wrong.
            assert!(!mistakes.to_string().is_empty(), "a refused file without a word why");
        }
    }
});
