use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// Goal: a rise is believed at once, a fall little by little, and what is old is forgotten.
#[test]
fn rises_at_once_and_falls_slowly() {
    let mut latency = PeakEwma::default();
    let millis = |latency: &PeakEwma, now: u64| (latency.cost(0, at(now)) / 1e6).round();
    latency.observe(Duration::from_millis(10), at(0));
    assert_eq!(millis(&latency, 0), 10.0);
    latency.observe(Duration::from_millis(100), at(1));
    assert_eq!(millis(&latency, 1), 100.0, "at once");
    latency.observe(Duration::from_millis(10), at(2));
    assert_eq!(millis(&latency, 2), 100.0, "one quick answer is not believed");
    for step in 1..=100 {
        latency.observe(Duration::from_millis(10), at(2 + step * 100));
    }
    assert_eq!(millis(&latency, 10_002), 43.0, "ten seconds of quick answers are, to two thirds");
    assert_eq!(millis(&latency, 20_002), 16.0, "silence forgets as well");
}

/// Goal: load multiplies the cost, and nobody who was never measured gets more than one request.
#[test]
fn load_counts() {
    let mut measured = PeakEwma::default();
    measured.observe(Duration::from_millis(10), at(0));
    let cost = |latency: &PeakEwma, load: u64| latency.cost(load, at(0));
    assert_eq!(cost(&measured, 3), 4.0 * cost(&measured, 0));
    let fresh = PeakEwma::default();
    assert!(cost(&fresh, 0) < cost(&measured, 0));
    assert!(cost(&fresh, 1) > cost(&measured, 1000));
}

/// Goal: two different ones of the usable are compared, all as often, and the better wins.
#[test]
fn two_are_drawn() {
    let cost = |index: usize| index as f64;
    let mut chosen = [0_u32; 5];
    let mut number = 0_u64;
    for _ in 0..10_000 {
        number = crate::balance::hash::mix(number.wrapping_add(0x9E37_79B9_7F4A_7C15));
        chosen[better_of_two(number, 5, 4, cost, |index| index != 1).unwrap()] += 1;
    }
    assert_eq!((chosen[1], chosen[4]), (0, 0), "the unusable never, the worst never");
    // Of 6 pairs the best is in 3, the second decides 2, the third 1.
    for (index, expected) in [(0, 5_000), (2, 3_333), (3, 1_667)] {
        assert!(chosen[index].abs_diff(expected) < 250, "{index}: {chosen:?}");
    }
    assert_eq!(better_of_two(9, 3, 1, cost, |index| index == 2), Some(2));
    assert_eq!(better_of_two(9, 3, 0, cost, |_| false), None);
    assert_eq!(better_of_two(9, 0, 0, cost, |_| true), None);
}
