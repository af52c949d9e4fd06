//! What differs from run to run, replaced by a name for it.

use std::sync::LazyLock;

use regex_lite::Regex;

/// What is known by what stands around it, and what stands for it: named first, because any of these numbers may be equal to a port of the site.
const BY_THEIR_PLACE: [(&str, &str); 15] = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    (r"\bpid \d+", "pid [PID]"),
    (r#""pid":\d+"#, r#""pid":[PID]"#),
    (r#""memory_bytes":\d+"#, r#""memory_bytes":[BYTES]"#),
    (r"\b\d+\.\d MB", "[MEMORY]"),
    (r"\b\d+\.\d ms", "[MS]"),
    (r#""response_time_ms":[0-9.e-]+"#, r#""response_time_ms":[MS]"#),
    // Said by the clock: on a slow machine there are more of them.
    (r"(?m)^ *\d+\.\ds  \S+  (release \d+  )?waiting(:| for) .*\n?", ""),
    (r"(?m)^ *\d+\.\ds  ", "[SECONDS]  "),
    (r"\bprumo_[A-Za-z0-9_-]{16,}", "[TOKEN]"),
    (r"\b[0-9a-f]{64}\b", "[HASH]"),
    (r"\brequest [0-9a-f]{32}\b", "request [REQUEST]"),
    (r"\b\d+(\.\d+)? % free\b", "[PERCENT] free"),
    (r"\b\d+ of \d+ cores?\b", "[CORES]"),
    (r"\bprumo \d+\.\d+\.\d+", "prumo [VERSION]"),
];

/// What is left when the site's own ports and folders have their names.
const AFTERWARDS: [(&str, &str); 3] = [
    (r"\b127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
    // Columns are as wide as their widest cell, which a name of another length changes.
    (r"(\[[A-Z]+\]) {2,}", "$1  "),
    (r"(?m)[ \t]+$", ""),
];

/// The text with names for what differs. `known` are the ports, programs and folder of the site.
pub(super) fn normal(text: &str, known: &[(&str, String)]) -> String {
    static FIRST: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(&BY_THEIR_PLACE));
    static LAST: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(&AFTERWARDS));
    let mut text = named(text.to_owned(), &FIRST);
    for (name, value) in known {
        let is_port = value.bytes().all(|byte| byte.is_ascii_digit());
        // A port is only a port behind a colon or in front of nothing else that is a number.
        text = match is_port {
            true => Regex::new(&format!(r"\b{value}\b"))
                .expect("digits are a pattern")
                .replace_all(&text, *name)
                .into_owned(),
            false => text.replace(value, name),
        };
    }
    named(text, &LAST)
}

fn compiled(patterns: &[(&str, &'static str)]) -> Vec<(Regex, &'static str)> {
    patterns.iter().map(|(pattern, name)| (Regex::new(pattern).expect("the patterns are good"), *name)).collect()
}

fn named(mut text: String, patterns: &[(Regex, &str)]) -> String {
    for (pattern, name) in patterns {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}
