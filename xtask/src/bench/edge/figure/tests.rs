use super::*;

fn figure(goal: Goal, prumo: &[f64], nginx: &[&[f64]]) -> Figure {
    let mut measured = vec![Measured { proxy: PRUMO, values: prumo.to_vec() }];
    measured.extend(nginx.iter().map(|values| Measured { proxy: NGINX, values: values.to_vec() }));
    Figure { about: "a case".to_owned(), unit: "µs", measured, goal }
}

/// Goal: the median counts, beside the better of two builds, and a goal that is missed is not called reached.
#[test]
fn verdicts() {
    let times = Goal::TimesNginx { goal: 1.0, must: 1.25 };
    let check = |goal, prumo: &[f64], nginx: &[&[f64]], expected| {
        assert_eq!(figure(goal, prumo, nginx).verdict(), expected, "{prumo:?} {nginx:?}");
    };
    check(times, &[9.0, 30.0, 10.0], &[&[10.0], &[20.0]], "yes");
    check(times, &[12.0], &[&[10.0], &[20.0]], "no, but what it must");
    check(times, &[13.0], &[&[20.0], &[10.0]], "**no**");
    check(times, &[], &[&[10.0]], "not measured");
    check(Goal::AtMost { goal: 0.0, must: 0.0 }, &[0.0], &[], "yes");
    check(Goal::AtMost { goal: 0.0, must: 0.0 }, &[1.0], &[], "**no**");
    check(Goal::AtLeast { goal: 1000.0 }, &[1001.0], &[], "yes");
    check(Goal::AtLeast { goal: 1000.0 }, &[999.0], &[], "**no**");
}

/// Goal: a reader sees the middle and how far the rounds lay apart.
#[test]
fn cells() {
    let cell = |values: &[f64]| Measured { proxy: PRUMO, values: values.to_vec() }.cell();
    assert_eq!(cell(&[20.04, 19.0, 25.0]), "20.0 (19.0–25.0)");
    assert_eq!(cell(&[1.5]), "1.50");
    assert_eq!(cell(&[0.0]), "0");
}
