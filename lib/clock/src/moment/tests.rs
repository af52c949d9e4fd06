use super::*;

/// Goal: arithmetic on moments saturates, so that a far deadline or an early subtraction never panics.
#[test]
fn arithmetic_saturates() {
    let cases = [
        (Moment::from_nanos(5) + Duration::from_nanos(7), 12),
        (Moment::from_nanos(5) + Duration::MAX, u64::MAX),
        (Moment::from_nanos(5) - Duration::from_nanos(3), 2),
        (Moment::from_nanos(5) - Duration::from_secs(1), 0),
    ];
    for (moment, nanos) in cases {
        assert_eq!(moment.nanos(), nanos);
    }
    let mut moment = Moment::default();
    moment += Duration::from_micros(1);
    assert_eq!(moment, Moment::from_nanos(1_000));
}

/// Goal: the distance to a moment that lies ahead is zero.
#[test]
fn distance_to_the_future_is_zero() {
    let (early, late) = (Moment::from_nanos(10), Moment::from_nanos(25));
    assert_eq!(late - early, Duration::from_nanos(15));
    assert_eq!(late.since(early), Duration::from_nanos(15));
    assert_eq!(early - late, Duration::ZERO);
}

/// Goal: a moment survives the way to an `Instant` and back, and one beyond every horizon becomes a far one.
#[test]
fn instants_and_moments_convert() {
    let origin = Origin::read_system();
    for nanos in [0, 1, 1_000_000_007, HORIZON.as_nanos() as u64] {
        assert_eq!(origin.moment_at(origin.instant_at(Moment::from_nanos(nanos))), Moment::from_nanos(nanos));
    }
    assert_eq!(origin.instant_at(Moment::from_nanos(u64::MAX)), origin.instant_at(Moment::default() + HORIZON));
}
