use super::super::figure::{Goal, Measured, NGINX};
use super::*;

/// Goal: a cost has a bar for each proxy but nginx, which is the line; what is no cost has none.
#[test]
fn bars() {
    let measured = |proxy, value| Measured { proxy, values: vec![value] };
    let cost = Figure {
        about: CASES[0].about.to_owned(),
        unit: "µs",
        measured: vec![measured(PRUMO, 9.0), measured(NGINX, 10.0), measured(CADDY, 60.0)],
        goal: Goal::None,
    };
    let other =
        Figure { about: "memory".to_owned(), unit: "MB", measured: vec![measured(PRUMO, 9.0)], goal: Goal::None };
    let chart = draw(&[cost, other]);
    assert_eq!(chart.matches("rx=").count(), 2, "{chart}");
    assert!(chart.contains(">0.90<") && chart.contains(">6.00<") && !chart.contains("memory"), "{chart}");
}
