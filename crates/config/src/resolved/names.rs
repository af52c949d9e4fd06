//! The names of routes that the file gives none.

use std::collections::HashSet;

use super::{PathMatch, Route, Wanted};
use crate::settings::RouteTable;

/// What a reader would call a route without a name: its place, and the names of its conditions. Never their values.
pub(super) fn describe(table: &RouteTable) -> String {
    let host = table.host.as_deref().unwrap_or_default();
    let mut name = match &table.path {
        PathMatch::Prefix(path) => format!("{host}{path}"),
        other => format!("{host} {other}").trim_start().to_owned(),
    };
    let methods = table.when.method.iter().flatten().cloned();
    let names = table.when.header.iter().chain(&table.when.query).map(|condition| match condition.wanted {
        Wanted::Absent => format!("no {}", condition.name),
        _ => condition.name.clone(),
    });
    for word in methods.chain(names) {
        name.push(' ');
        name.push_str(&word);
    }
    name
}

/// Names tell routes apart in logs and metrics, so those that came out equal get a number.
pub(super) fn of_their_own(mut routes: Vec<Route>) -> Vec<Route> {
    let mut taken: HashSet<String> = HashSet::new();
    for route in &mut routes {
        let described = route.name.clone();
        let mut number = 1;
        while !taken.insert(route.name.clone()) {
            number += 1;
            route.name = format!("{described} ({number})");
        }
    }
    routes
}
