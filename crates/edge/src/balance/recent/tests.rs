use super::*;

/// Goal: a percentile of the last answers, once there are enough of them.
#[test]
fn percentiles() {
    let after = |millis: &mut dyn Iterator<Item = u64>, percent: u8| {
        let mut recent = Recent::default();
        millis.for_each(|millis| recent.observe(Duration::from_millis(millis)));
        recent.percentile(percent).map(|found| found.as_millis())
    };
    assert_eq!(after(&mut (1..=31), 95), None, "too few");
    assert_eq!(after(&mut (1..=100), 95), Some(95));
    assert_eq!(after(&mut (1..=100), 50), Some(50));
    assert_eq!(after(&mut (1..=100), 99), Some(99));
    assert_eq!(after(&mut (1..=1000), 50), Some(936), "only the last 128 count");
}

/// Goal: what was found is kept for some answers, then found anew.
#[test]
fn follows() {
    let mut recent = Recent::default();
    (0..128).for_each(|_| recent.observe(Duration::from_millis(10)));
    assert_eq!(recent.percentile(95), Some(Duration::from_millis(10)));
    (0..15).for_each(|_| recent.observe(Duration::from_millis(500)));
    assert_eq!(recent.percentile(95), Some(Duration::from_millis(10)));
    recent.observe(Duration::from_millis(500));
    assert_eq!(recent.percentile(95), Some(Duration::from_millis(500)));
}
