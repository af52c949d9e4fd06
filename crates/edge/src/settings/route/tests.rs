use super::*;

/// How many of `requests` each target gets.
fn check(weights: &[u32], requests: u64, expected: &[u64]) {
    let to = weights.iter().map(|weight| Target { service: String::new(), weight: *weight }).collect();
    let forward = Forward { to, ..Forward::to("") };
    let mut got = vec![0; weights.len()];
    for number in 0..requests {
        got[forward.choose(number)] += 1;
    }
    let off_by = got.iter().zip(expected).map(|(got, expected)| u64::abs_diff(*got, *expected)).max();
    assert!(off_by <= Some(2), "{weights:?}: {got:?}");
}

/// Goal: services share the requests by weight, exactly but for a few, also over few requests; weight 0 gets none.
#[test]
fn weights_are_kept() {
    check(&[1], 10, &[10]);
    check(&[90, 10], 100, &[90, 10]);
    check(&[90, 10], 1_000_000, &[900_000, 100_000]);
    check(&[1, 1, 1], 30, &[10, 10, 10]);
    check(&[999_999, 1], 1_000_000, &[999_999, 1]);
    check(&[0, 5], 100, &[0, 100]);
    check(&[5, 0], 100, &[100, 0]);
    check(&[3, 0, 7], 10, &[3, 0, 7]);
}

/// Goal: a service of weight 0 gets nothing at all, whatever the number.
#[test]
fn weight_zero_gets_nothing() {
    let to = [0, 5, 0].map(|weight| Target { service: String::new(), weight }).to_vec();
    let forward = Forward { to, ..Forward::to("") };
    assert!((0..10_000).chain([u64::MAX, u64::MAX / 2]).all(|number| forward.choose(number) == 1));
}
