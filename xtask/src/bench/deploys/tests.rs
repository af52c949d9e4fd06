use super::bound;

/// Goal: the rule of three is claimed only when nothing failed.
#[test]
fn the_rule_of_three_needs_no_failure() {
    assert_eq!(bound(0, 30_000), "< 1e-4");
    assert_eq!(bound(1, 30_000), "–");
    assert_eq!(bound(0, 0), "–");
}
