use super::*;

/// Goal: a name with spaces and parentheses does not shift the fields that follow it.
#[test]
fn a_strange_name_is_read() {
    let text =
        "42 (a) b (c) S 1 42 7 0 -1 4194560 1 2 3 4 50 25 0 0 20 0 1 0 9999 1000000 300 18446744073709551615 0 0";
    let stat = parse_stat(42, text).unwrap();
    assert_eq!((stat.session, stat.start_ticks, stat.cpu_ticks, stat.zombie), (7, 9999, 75, false));
    assert_eq!(stat.memory_bytes, 300 * page_bytes());
    assert!(parse_stat(42, &text.replace(" S ", " Z ")).unwrap().zombie);
    assert_eq!(parse_stat(42, "42 (a"), None);
    assert_eq!(parse_stat(42, ""), None);
}

/// Goal: this very process is found, and a pid that cannot be is not.
#[test]
fn this_process_is_there() {
    let own = std::process::id();
    assert!(pids().contains(&own));
    assert!(stat(own).unwrap().memory_bytes > 0);
    assert_eq!(stat(u32::MAX), None);
    assert!(!boot_id().is_empty());
}
