use super::{mebibytes, median};

/// Goal: the median is the middle, whatever the order.
#[test]
fn the_median_is_the_middle() {
    assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    assert!((median(&[4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < f64::EPSILON);
    assert!(median(&[]).is_nan());
}

/// Goal: sizes are printed as people write them.
#[test]
fn sizes_are_readable() {
    assert_eq!(mebibytes(10 << 20), "10.0 MiB");
}
