use super::*;

fn check(typed: &str, expected: Option<&str>) {
    let candidates = ["timeout", "header_timeout", "replicas", "to", "memory", "run"];
    assert_eq!(nearest(typed, candidates), expected, "{typed}");
}

/// Goal: slips of the finger and half-remembered names are understood, other words are left alone.
#[test]
fn slips() {
    check("timeout", Some("timeout"));
    check("timout", Some("timeout"));
    check("tiemout", Some("timeout"));
    check("TIMEOUT", Some("timeout"));
    check("time", Some("timeout"));
    check("replica", Some("replicas"));
    check("header", Some("header_timeout"));
    check("memory_max", Some("memory"));
    check("rn", Some("run"));
    check("ot", Some("to"));
    check("zzz", None);
    check("", None);
    check("über", None);
    check(&"timeout".repeat(20), None);
}
