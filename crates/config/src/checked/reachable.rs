//! Whether a request can come to a route at all, or whether another one takes all of its requests; and how many routes
//! may stand so close together that each of them is judged for each request.

use std::collections::HashMap;
use std::ops::Range;

use super::{Reader, Section};
use crate::resolved::{Condition, PathMatch, Wanted};
use crate::settings::RouteTable;

/// Routes for one host and path: they differ only in their conditions, which are judged one after the other.
const SAME_PLACE_MAX: usize = 64;

/// Expressions of one host: those of the file's order are tried until one fits.
const EXPRESSIONS_MAX: usize = 32;

/// The routes that were read so far, by where they are for.
#[derive(Default)]
pub(super) struct Places {
    routes: HashMap<String, Vec<Stand>>,
    expressions: HashMap<String, usize>,
}

/// A route that was read, and where.
struct Stand {
    when: Vec<Demand>,
    span: Range<usize>,
}

/// One condition, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Demand {
    Method(Vec<String>),
    Header(Condition),
    Query(Condition),
}

/// Reports a route that no request can come to.
pub(super) fn check(route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let host = route.host.clone().unwrap_or_default();
    let place = match &route.path {
        PathMatch::Prefix(prefix) => format!("{host} /{}", prefix.trim_matches('/')),
        other => format!("{host} {other}"),
    };
    let when = demands(route);
    let key = ["when", "path", "host"].into_iter().find(|key| section.table.contains_key(*key)).unwrap_or_default();
    let span = section.place(key);
    // Said once; a file with very many is not read to its end for each of them.
    if reader.places.routes.get(&place).is_some_and(|stands| stands.len() > SAME_PLACE_MAX) {
        return;
    }
    let stands = reader.places.routes.entry(place).or_default();
    let same = stands.iter().find(|stand| stand.when == when).map(|stand| stand.span.clone());
    let wider = stands.iter().find(|stand| takes_all(&stand.when, &when)).map(|stand| stand.span.clone());
    let is_too_many = stands.len() == SAME_PLACE_MAX;
    stands.push(Stand { when, span: span.clone() });
    if let Some(line) = same.map(|other| reader.line_of(&other)) {
        let message = format!("there is already a route for the same requests, on line {line}");
        reader.report(
            span.clone(),
            message,
            "that one takes all of them: remove one, or change `host`, `path` or `when`",
        );
    } else if let Some(line) = wider.map(|other| reader.line_of(&other)) {
        let message = format!("no request comes to this route: the one on line {line} takes all that it would");
        reader.report(span.clone(), message, "put this one before that one, or change `when`");
    }
    if is_too_many {
        let message = format!("there are more than {SAME_PLACE_MAX} routes for the same host and path");
        reader.report(span.clone(), message, "let the service tell them apart, or give them paths of their own");
    }
    if matches!(route.path, PathMatch::Regex(_)) {
        let count = reader.places.expressions.entry(host).or_default();
        *count += 1;
        if *count == EXPRESSIONS_MAX + 1 {
            let message = format!("there are more than {EXPRESSIONS_MAX} routes with `regex` for the same host");
            reader.report(span, message, "one expression can describe several paths: `/(a|b|c)/.*`");
        }
    }
}

fn demands(route: &RouteTable) -> Vec<Demand> {
    let methods = route.when.method.iter().map(|methods| {
        let mut methods = methods.clone();
        methods.sort();
        methods.dedup();
        Demand::Method(methods)
    });
    let headers = route.when.header.iter().cloned().map(Demand::Header);
    methods.chain(headers).chain(route.when.query.iter().cloned().map(Demand::Query)).collect()
}

/// Whether every request that meets `narrow` meets `wide`, and the route of `wide` is judged first because it has as
/// many conditions and stands before the other.
fn takes_all(wide: &[Demand], narrow: &[Demand]) -> bool {
    wide.len() == narrow.len() && wide.iter().all(|wide| narrow.iter().any(|narrow| follows(wide, narrow)))
}

/// Whether `wide` is met wherever `narrow` is.
fn follows(wide: &Demand, narrow: &Demand) -> bool {
    match (wide, narrow) {
        (Demand::Method(wide), Demand::Method(narrow)) => narrow.iter().all(|method| wide.contains(method)),
        (Demand::Header(wide), Demand::Header(narrow)) | (Demand::Query(wide), Demand::Query(narrow)) => {
            let is_wider = wide.wanted == Wanted::Present && narrow.wanted != Wanted::Absent;
            wide.name == narrow.name && (wide.wanted == narrow.wanted || is_wider)
        }
        _ => false,
    }
}
