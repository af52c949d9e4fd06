use super::*;

/// Goal: a seed gives the numbers that SplitMix64 gives everywhere, so that a printed seed means the same tomorrow.
#[test]
fn a_seed_gives_the_published_numbers() {
    let mut generator = Generator::new(1_234_567);
    let drawn: Vec<u64> = (0..3).map(|_| generator.draw()).collect();
    assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}

/// Goal: filling uses every byte, also where the length is no multiple of a word.
#[test]
fn filling_reaches_the_last_byte() {
    for length in [0, 1, 7, 8, 9, 33] {
        let mut bytes = vec![0; length];
        let mut rounds = 0;
        let mut generator = Generator::new(7);
        let mut seen = vec![false; length];
        while !seen.iter().all(|seen| *seen) && rounds < 20 {
            generator.fill(&mut bytes);
            seen.iter_mut().zip(&bytes).for_each(|(seen, byte)| *seen |= *byte != 0);
            rounds += 1;
        }
        assert!(seen.iter().all(|seen| *seen), "length {length}");
    }
}

/// Goal: draws stay below the bound, a bound of zero is no division by zero, and small bounds come out even.
#[test]
fn bounded_draws_are_even() {
    let mut generator = Generator::new(42);
    assert_eq!(below(0, || generator.draw()), 0);
    assert_eq!(below(1, || generator.draw()), 0);
    let mut counts = [0; 3];
    for _ in 0..30_000 {
        counts[below(3, || generator.draw()) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    assert!(below(u64::MAX, || generator.draw()) < u64::MAX);
}

/// Goal: a draw that would favour small numbers is drawn again.
#[test]
fn unfair_draws_are_rejected() {
    let mut draws = [0, 1 << 63].into_iter();
    assert_eq!(below(3, || draws.next().expect("two draws suffice")), 1);
}

/// Goal: the operating system's entropy differs from call to call, and so do the draws of a thread.
#[test]
fn the_system_gives_entropy() {
    let (mut one, mut other) = ([0; 32], [0; 32]);
    fill_from_system(&mut one);
    fill_from_system(&mut other);
    assert_ne!(one, other);
    assert_ne!(draw_for_this_thread(), draw_for_this_thread());
}
