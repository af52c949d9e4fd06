use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// How many of `wanted` second requests are allowed after `requests` spread over the seconds before `now`.
fn allowed(requests: u64, percent: f64, wanted: u64) -> u64 {
    let mut budget = Budget::default();
    for number in 0..requests {
        budget.request(at(50_000 + number * 9_000 / requests));
    }
    (0..wanted).filter(|_| budget.spend(percent, at(59_500))).count() as u64
}

/// Goal: a few are always allowed, then a share of the requests; none when switched off.
#[test]
fn a_share_and_a_few() {
    let check =
        |requests, percent, expected| assert_eq!(allowed(requests, percent, 10_000), expected, "{requests} {percent}");
    check(0, 20.0, 10);
    check(10, 20.0, 12);
    check(1_000, 20.0, 210);
    check(1_000, 0.5, 15);
    check(1_000, 0.0, 0);
}

/// Goal: ten seconds later both what was asked and what was spent are forgotten.
#[test]
fn forgets() {
    let mut budget = Budget::default();
    for _ in 0..100 {
        budget.request(at(1_000));
    }
    let spend = |budget: &mut Budget, now: u64| (0..100).filter(|_| budget.spend(20.0, at(now))).count();
    assert_eq!(spend(&mut budget, 1_000), 30);
    assert_eq!(spend(&mut budget, 10_900), 0);
    assert_eq!(spend(&mut budget, 11_000), 10, "the few are back, the share is gone");
    assert_eq!(spend(&mut budget, 1_000_000), 10);
    // The clock of a core does not go backwards; were it to, nothing is lost.
    assert_eq!(spend(&mut budget, 999_000), 0);
}
