use super::*;

/// Goal: a percentile is a value that was measured, and no more than the share of all lie below or at it.
#[test]
fn percentiles() {
    let mut spread = Spread::default();
    (1..=1000).rev().for_each(|millis| spread.add(Duration::from_millis(millis)));
    let at = [0.5, 0.99, 0.999, 1.0].map(|share| spread.at(share).as_millis());
    assert_eq!(at, [500, 990, 999, 1000]);
    assert_eq!(Spread::default().at(0.5), Duration::ZERO);
}
