use std::cell::Cell;
use std::time::Duration;

use prumo_clock::Moment;

use super::*;
use crate::balance::Standing;

struct Member(Cell<Standing>);

impl Candidate for Member {
    fn name(&self) -> u64 {
        0
    }

    fn load(&self) -> u64 {
        0
    }

    fn own_load(&self) -> u64 {
        0
    }

    fn standing(&self) -> &Cell<Standing> {
        &self.0
    }
}

fn turns(weights: &[f64], count: usize) -> Vec<usize> {
    let members: Vec<_> = weights.iter().map(|_| Rc::new(Member(Cell::default()))).collect();
    let mut turn = 0;
    let next = |_| {
        let chosen = choose(&members, turn, |index| weights[index], |index| weights[index] > 0.0).unwrap();
        turn = chosen + 1;
        chosen
    };
    (0..count).map(next).collect()
}

/// Goal: equal weights take turns, others are spread as evenly as their weights allow.
#[test]
fn weights_are_kept() {
    assert_eq!(turns(&[1.0, 1.0, 1.0], 6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(turns(&[1.0, 0.0, 1.0], 4), [0, 2, 0, 2]);
    assert_eq!(turns(&[1.0, 0.5], 6), [0, 1, 0, 0, 1, 0]);
    let share = |weights: &[f64], of: usize| turns(weights, 1000).iter().filter(|&&chosen| chosen == of).count();
    assert_eq!(share(&[1.0, 1.0, 0.1], 2), 48, "a tenth of a share");
    // An odd weight comes back to its turn again and again, never in a row.
    assert!(turns(&[1.0, 1.0, 0.1], 1000).windows(2).all(|pair| pair != [2, 2]));
}

/// Goal: a replica that has just appeared gets a tenth of its share, and then more from second to second.
#[test]
fn slow_start_grows() {
    let check = |age: u64, expected: f64| {
        let standing = Standing::new(Moment::from_nanos(0));
        let weight = standing.weight(Duration::from_secs(10), Moment::from_nanos(age * 1_000_000_000));
        assert!((weight - expected).abs() < 1e-9, "after {age} s: {weight}");
    };
    check(0, 0.1);
    check(1, 0.1);
    check(5, 0.5);
    check(10, 1.0);
    check(60, 1.0);
    assert_eq!(Standing::new(Moment::from_nanos(5)).weight(Duration::ZERO, Moment::from_nanos(5)), 1.0, "switched off");
}
