//! The same decision once more, said in sentences: every route is looked at, in the order in which they go.
//!
//! It shares no step of the search with the index, so each is the test of the other.

use std::cmp::Reverse;

use super::conditions::{Conditions, Unmet};
use super::{Pattern, Question, after_prefix, normal_host};
use crate::settings::{PathMatch, Route, Wanted};

/// How a route was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The number of the route that takes the request.
    pub chosen: Option<usize>,
    /// Every route, in the order in which they go for a request.
    pub looks: Vec<Look>,
}

/// What was found about one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its number in the list.
    pub route: usize,
    /// Whether it takes the request, and if not, why.
    pub verdict: Verdict,
}

/// Whether a route takes a request, and if not, the first reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Chosen,
    /// It would, but one before it does.
    Later,
    /// It is for another host.
    Host,
    /// It is for other paths.
    Path,
    /// It is for other methods.
    Method,
    /// A header is not as it must be.
    Header(String, Wanted),
    /// A part of the query is not as it must be.
    Query(String, Wanted),
}

/// Which of `routes` takes a request, and why the others do not.
pub(crate) fn explain(routes: &[Route], question: &Question<'_>) -> Explanation {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_key(|number| rank(routes, *number));
    let mut explanation = Explanation { chosen: None, looks: Vec::with_capacity(routes.len()) };
    for number in order {
        let verdict = match judge(&routes[number], question) {
            None if explanation.chosen.is_some() => Verdict::Later,
            None => {
                explanation.chosen = Some(number);
                Verdict::Chosen
            }
            Some(verdict) => verdict,
        };
        explanation.looks.push(Look { route: number, verdict });
    }
    explanation
}

/// The first reason why a route does not take a request.
fn judge(route: &Route, question: &Question<'_>) -> Option<Verdict> {
    if !host_takes(route.host.as_deref(), question.host) {
        return Some(Verdict::Host);
    }
    let takes_path = match &route.path {
        PathMatch::Exact(path) => path == question.path,
        PathMatch::Prefix(prefix) => after_prefix(prefix, question.path).is_some(),
        // One that cannot be compiled never gets here: the index refuses it.
        PathMatch::Regex(expression) => Pattern::new(expression).is_ok_and(|pattern| pattern.takes(question.path)),
    };
    if !takes_path {
        return Some(Verdict::Path);
    }
    Conditions::new(route).unmet(question).map(|unmet| match unmet {
        Unmet::Method => Verdict::Method,
        Unmet::Header(name, wanted) => Verdict::Header(name.to_string(), wanted.clone()),
        Unmet::Query(condition) => Verdict::Query(condition.name.clone(), condition.wanted.clone()),
    })
}

fn host_takes(written: Option<&str>, host: &str) -> bool {
    let Some(written) = written.map(normal_host) else { return true };
    match written.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|labels| labels.ends_with('.')),
        None => written == host,
    }
}

type Rank = (u8, Reverse<usize>, u8, Reverse<usize>, usize, Reverse<usize>, usize);

/// Routes in the order of this key are in the order in which they go.
fn rank(routes: &[Route], number: usize) -> Rank {
    let route = &routes[number];
    let (host_class, host_length) = match route.host.as_deref() {
        Some(host) if host.starts_with("*.") => (1, normal_host(host).len()),
        Some(_) => (0, 0),
        None => (2, 0),
    };
    let (path_class, path_length, expression) = match &route.path {
        PathMatch::Exact(_) => (0, 0, 0),
        PathMatch::Regex(_) => (1, 0, first_like(routes, route)),
        PathMatch::Prefix(prefix) => (2, prefix.trim_end_matches('/').len(), 0),
    };
    let conditions = Conditions::new(route).count();
    (host_class, Reverse(host_length), path_class, Reverse(path_length), expression, Reverse(conditions), number)
}

/// The number of the first route of this host with this expression: routes that share one stand where it stands first.
fn first_like(routes: &[Route], route: &Route) -> usize {
    let host = |route: &Route| route.host.as_deref().map(normal_host);
    let is_like = |other: &Route| other.path == route.path && host(other) == host(route);
    routes.iter().position(is_like).unwrap_or_default()
}
