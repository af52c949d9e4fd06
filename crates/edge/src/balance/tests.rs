use super::*;

/// Goal: every usable upstream gets its turn, and unusable ones are passed over.
#[test]
fn round_robin_takes_turns() {
    let check = |turn: usize, usable: &[bool], expected: Option<usize>| {
        assert_eq!(round_robin(turn, usable.len(), |index| usable[index]), expected, "{turn} {usable:?}");
    };
    check(0, &[true, true, true], Some(0));
    check(1, &[true, true, true], Some(1));
    check(3, &[true, true, true], Some(0));
    check(1, &[true, false, true], Some(2));
    check(2, &[true, true, false], Some(0));
    check(0, &[false, false], None);
    check(0, &[], None);
    check(usize::MAX, &[true, true], Some(1));
}

/// Goal: the least busy usable upstream is chosen, and equals take turns.
#[test]
fn least_connections_finds_the_idlest() {
    let check = |turn: usize, loads: &[u64], usable: &[bool], expected: Option<usize>| {
        let found = least_connections(turn, loads.len(), |index| loads[index], |index| usable[index]);
        assert_eq!(found, expected, "{turn} {loads:?} {usable:?}");
    };
    check(0, &[3, 1, 2], &[true; 3], Some(1));
    check(0, &[3, 1, 2], &[true, false, true], Some(2));
    check(0, &[1, 1, 1], &[true; 3], Some(0));
    check(2, &[1, 1, 1], &[true; 3], Some(2));
    check(4, &[1, 1, 9], &[true; 3], Some(1));
    check(0, &[1], &[false], None);
    check(0, &[], &[], None);
}
