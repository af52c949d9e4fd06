use super::*;

const RULES: EjectRules = EjectRules { after: 3, first: Duration::from_secs(10), most: Duration::from_secs(25) };

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn note(standing: &mut Standing, sign: Sign, now: u64) -> bool {
    let latency = Duration::from_millis(1);
    standing.note(sign, Seen { latency, usual: Duration::from_millis(50), may_eject: true, now: at(now) }, RULES)
}

/// Plays signs at seconds and says at which of them it was ejected.
fn ejections(signs: &[(u64, Sign)]) -> Vec<u64> {
    let mut standing = Standing::new(at(0));
    signs.iter().filter(|(now, sign)| note(&mut standing, *sign, *now)).map(|(now, _)| *now).collect()
}

/// Goal: failures in a row eject, one good answer between them does not let them count together.
#[test]
fn failures_in_a_row_eject() {
    use Sign::{Bad, Good, Refused, Slow};
    let check = |signs: &[(u64, Sign)], expected: &[u64]| assert_eq!(ejections(signs), expected, "{signs:?}");
    check(&[(1, Bad), (2, Bad)], &[]);
    check(&[(1, Bad), (2, Bad), (3, Bad)], &[3]);
    check(&[(1, Bad), (2, Bad), (3, Good), (4, Bad), (5, Bad)], &[]);
    check(&[(1, Bad), (2, Bad), (3, Slow), (3, Bad)], &[3]);
    // What was in flight when it was ejected does not count again.
    check(&[(1, Bad), (1, Bad), (1, Bad), (2, Bad), (3, Bad)], &[1]);
    // When it is back, one more failure is enough.
    check(&[(1, Bad), (1, Bad), (1, Bad), (12, Bad)], &[1, 12]);
    check(&[(1, Bad), (1, Bad), (1, Bad), (12, Good), (13, Bad), (13, Bad)], &[1]);
    check(&[(1, Refused), (2, Refused), (3, Refused), (4, Refused)], &[]);
}

/// Goal: the time out doubles up to its limit, and a good time as long makes it good again.
#[test]
fn ejections_grow() {
    let mut standing = Standing::new(at(0));
    let mut out_until = |signs: &[(u64, Sign)]| {
        for &(now, sign) in signs {
            note(&mut standing, sign, now);
        }
        standing.ejected_until()
    };
    assert_eq!(out_until(&[(100, Sign::Bad), (100, Sign::Bad), (100, Sign::Bad)]), at(110));
    assert_eq!(out_until(&[(111, Sign::Bad)]), at(131));
    assert_eq!(out_until(&[(132, Sign::Bad)]), at(157), "at most 25 seconds");
    assert_eq!(
        out_until(&[(158, Sign::Good), (200, Sign::Good), (201, Sign::Bad), (201, Sign::Bad), (201, Sign::Bad)]),
        at(211)
    );
}

/// Goal: nobody is ejected when too few would be left, or when it is switched off.
#[test]
fn ejection_has_limits() {
    let seen = Seen { latency: Duration::ZERO, usual: Duration::ZERO, may_eject: false, now: at(1) };
    let mut standing = Standing::new(at(0));
    for _ in 0..10 {
        assert!(!standing.note(Sign::Bad, seen, RULES));
        assert!(!standing.note(Sign::Bad, Seen { may_eject: true, ..seen }, EjectRules { after: 0, ..RULES }));
    }
    assert!(!standing.is_ejected(at(1)));
}

/// Goal: who takes no connection is left alone for a second, then longer, and is forgiven by one good answer.
#[test]
fn refusals_are_avoided() {
    let mut standing = Standing::new(at(0));
    note(&mut standing, Sign::Refused, 10);
    assert!(standing.refuses(at(10)) && !standing.refuses(at(11)));
    note(&mut standing, Sign::Refused, 20);
    assert!(standing.refuses(at(21)) && !standing.refuses(at(22)));
    for _ in 0..10 {
        note(&mut standing, Sign::Refused, 30);
    }
    assert!(standing.refuses(at(37)) && !standing.refuses(at(38)), "eight seconds at most");
    note(&mut standing, Sign::Good, 40);
    note(&mut standing, Sign::Refused, 50);
    assert!(!standing.refuses(at(51)));
}

/// Goal: failing fast costs more than answering.
#[test]
fn failures_are_not_quick() {
    let (mut good, mut bad) = (Standing::new(at(0)), Standing::new(at(0)));
    let seen = |latency: u64| Seen {
        latency: Duration::from_millis(latency),
        usual: Duration::from_millis(50),
        may_eject: false,
        now: at(1),
    };
    good.note(Sign::Good, seen(50), RULES);
    bad.note(Sign::Bad, seen(1), RULES);
    assert_eq!(bad.latency.cost(0, at(1)), 10.0 * good.latency.cost(0, at(1)));
}
