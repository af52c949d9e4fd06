use super::*;

/// Goal: two system clocks of one process tell comparable moments, and the wall clock is of this century.
#[test]
fn system_clocks_share_an_origin() {
    let (one, other) = (Clock::system(), Clock::system());
    let (first, second, third) = (one.now(), other.now(), one.now());
    assert!(first <= second && second <= third);
    assert!(third - first < Duration::from_secs(60));
    assert!((2024..2100).contains(&one.wall().civil().year));
}

/// Goal: jitter stays within its percentage, spreads over it, and keeps a duration it was not asked to change.
#[test]
fn jitter_stays_within_its_percentage() {
    let (clock, _simulation) = Clock::simulated(3, Timestamp::default());
    let cases = [(1_000, 0, 1_000, 1_000), (1_000, 20, 800, 1_200), (1_000, 100, 0, 2_000), (1_000, 900, 0, 2_000)];
    for (millis, percent, least, most) in cases {
        let drawn: Vec<Duration> = (0..500).map(|_| clock.jitter(Duration::from_millis(millis), percent)).collect();
        let (shortest, longest) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(*shortest >= Duration::from_millis(least) && *longest <= Duration::from_millis(most));
        let spread = Duration::from_millis(most - least);
        assert!(*longest - *shortest >= spread * 9 / 10, "{percent} % spreads only from {shortest:?} to {longest:?}");
    }
    assert!(clock.jitter(Duration::MAX, 50) > Duration::from_secs(1));
}

/// Goal: the clock converts to and from what hyper's timer speaks.
#[test]
fn instants_convert() {
    let (simulated, simulation) = Clock::simulated(1, Timestamp::default());
    simulation.advance(Duration::from_secs(5));
    for clock in [Clock::system(), simulated] {
        let deadline = clock.now() + Duration::from_secs(9);
        assert_eq!(clock.moment_at(clock.instant_at(deadline)), deadline);
    }
}

/// Goal: chance on the system clock is chance.
#[test]
fn the_system_clock_draws() {
    let clock = Clock::system();
    let mut bytes = [0; 16];
    clock.fill_random(&mut bytes);
    assert_ne!(bytes, [0; 16]);
    assert_ne!(clock.random(), clock.random());
    assert!(clock.random_below(10) < 10);
}

/// Goal: a clock in debug output says which kind it is.
#[test]
fn debug_says_which_clock() {
    let (simulated, _simulation) = Clock::simulated(1, Timestamp::default());
    assert_eq!(format!("{:?}", Clock::system()), "Clock(system)");
    assert_eq!(format!("{simulated:?}"), "Clock(simulated, 1970-01-01T00:00:00.000Z)");
}
