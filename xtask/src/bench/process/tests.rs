use super::ticks;

/// Goal: CPU time is found behind a process name that looks like more fields.
#[test]
fn cpu_time_is_found_behind_any_name() {
    let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 2 3 4 250 30 5 6 20 0 3 0 1 2 3\n";
    assert_eq!(ticks(stat), Some(280));
    assert_eq!(ticks("42 (a"), None);
}
