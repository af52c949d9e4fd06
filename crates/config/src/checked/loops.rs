//! Redirects that lead back to their own route: a browser follows them until it gives up.

use std::ops::Range;

use toml::de::DeTable;

use super::rules::port_as_typed;
use super::{Reader, Section};
use crate::resolved::PathMatch;
use crate::settings::RouteTable;
use crate::value::{Part, Template};

/// Where the redirect of a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leads {
    /// To the route itself, whatever is asked for.
    Back,
    /// To this path of its own host, which it takes itself unless another route does.
    To(String),
    /// Elsewhere, or nobody can say.
    Away,
}

/// The routes that were read so far, with where they are for, and the redirects that may lead back to their own.
#[derive(Default)]
pub(super) struct Ways {
    routes: Vec<(Option<String>, PathMatch)>,
    doubtful: Vec<(usize, String, Range<usize>)>,
    /// Whether the site itself answers at the addresses of these schemes that name no port.
    answers: Answers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    http: bool,
    https: bool,
}

impl Ways {
    /// Looks at what was typed, because `[edge]` may hold other mistakes. `"auto"` is the usual port where prumo may bind it.
    pub(super) fn note_edge(&mut self, tree: &DeTable<'_>) {
        let answers = |key: &str, usual: u16| match tree.get("edge").and_then(|edge| edge.get_ref().get(key)) {
            None => true,
            Some(node) => node.get_ref().as_str() == Some("auto") || port_as_typed(node.get_ref()) == Some(usual),
        };
        self.answers = Answers { http: answers("http", 80), https: answers("https", 443) };
    }
}

const MESSAGE: &str = "the redirect leads back to its own route, so that browsers go round until they give up";

/// Reports a redirect that leads back for certain, and remembers one that does unless another route takes its target.
pub(super) fn check(route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let number = reader.ways.routes.len();
    reader.ways.routes.push((route.host.clone(), route.path.clone()));
    let Some(redirect) = &route.redirect else { return };
    // Whether the site answers over HTTPS may be said in another part. A condition may be met before the redirect and
    // not after it; and one of two actions is not meant.
    if !reader.is_whole() || section.table.contains_key("when") || section.table.contains_key("to") {
        return;
    }
    let written = section.table.get("redirect").and_then(|redirect| redirect.get_ref().get("to"));
    let place = written.map_or_else(|| section.place("redirect"), |to| to.span());
    match leads(&redirect.to, route.host.as_deref(), &route.path, reader.ways.answers) {
        Leads::Back => {
            let sends_to_https =
                matches!(redirect.to.parts.first(), Some(Part::Text(text)) if text.starts_with("https://"));
            let hint = match sends_to_https {
                true => "to send clear text to HTTPS: `redirect_https` in `[edge]`; else name another host or path",
                false => "name another host or path",
            };
            reader.report(place, MESSAGE, hint);
        }
        Leads::To(path) => reader.ways.doubtful.push((number, path, place)),
        Leads::Away => {}
    }
}

/// Once every route is read: reports the redirects whose target no other route takes.
pub(super) fn check_rest(routes: usize, reader: &mut Reader<'_>) {
    let Ways { routes: known, doubtful, .. } = std::mem::take(&mut reader.ways);
    // A route that could not be read may be the one.
    if known.len() != routes {
        return;
    }
    for (number, path, place) in doubtful {
        let own = &known[number];
        let takes = |(other, (host, way)): (usize, &(Option<String>, PathMatch))| {
            other != number && may_meet(host.as_deref(), own.0.as_deref()) && is_nearer(way, &own.1, &path)
        };
        if !known.iter().enumerate().any(takes) {
            let hint = format!("no other route takes `{path}`: add one, or lead elsewhere");
            reader.report(place, MESSAGE, hint);
        }
    }
}

/// Whether there are requests for both hosts. One that is not named, or only in part, may be any.
fn may_meet(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other || one.starts_with("*.") || other.starts_with("*."))
}

/// Whether a route may take the path before the one that leads there.
fn is_nearer(way: &PathMatch, own: &PathMatch, path: &str) -> bool {
    match way {
        PathMatch::Regex(_) => true,
        PathMatch::Exact(exact) => exact == path,
        PathMatch::Prefix(prefix) => {
            let own_length = if let PathMatch::Prefix(own) = own { trimmed(own).len() } else { 0 };
            begins(path, prefix) && trimmed(prefix).len() >= own_length
        }
    }
}

/// Pure.
fn leads(template: &Template, host: Option<&str>, path: &PathMatch, answers: Answers) -> Leads {
    let Some(parts) = own_path(template, host, answers) else { return Leads::Away };
    let known: Vec<&Part> = parts.iter().filter(|part| **part != Part::Query).collect();
    let ends_whole = |text: &str| !text.contains(['?', '#']);
    match (known.as_slice(), path) {
        ([Part::Path], _) => Leads::Back,
        ([Part::Text(text)], PathMatch::Exact(exact)) if text == exact => Leads::Back,
        ([Part::Text(text), Part::Rest], PathMatch::Prefix(prefix)) if trimmed(text) == trimmed(prefix) => Leads::Back,
        ([Part::Text(text)], PathMatch::Prefix(prefix)) if ends_whole(text) && begins(text, prefix) => {
            Leads::To(text.clone())
        }
        // The path becomes longer each time, and stays below the route's own.
        ([Part::Text(text), Part::Path | Part::Rest], PathMatch::Prefix(prefix))
            if ends_whole(text) && begins(text, prefix) =>
        {
            Leads::To(text.clone())
        }
        _ => Leads::Away,
    }
}

/// The path of the address, when its host is the one that was asked for.
fn own_path(template: &Template, host: Option<&str>, answers: Answers) -> Option<Vec<Part>> {
    let mut parts = template.parts.clone();
    let Some(Part::Text(first)) = parts.first().cloned() else { return Some(parts) };
    let schemes = [("https://", answers.https), ("http://", answers.http)];
    let Some((after, answers)) =
        schemes.into_iter().find_map(|(scheme, answers)| Some((first.strip_prefix(scheme)?, answers)))
    else {
        return Some(parts);
    };
    if !answers {
        return None;
    }
    if after.is_empty() {
        if parts.get(1) != Some(&Part::Host) {
            return None;
        }
        parts.drain(..2);
        return match parts.first() {
            // A port makes another host of it.
            Some(Part::Text(text)) if !text.starts_with('/') => None,
            None => Some(vec![Part::Text("/".to_owned())]),
            _ => Some(parts),
        };
    }
    let (named, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    if !host.is_some_and(|host| host.eq_ignore_ascii_case(named)) {
        return None;
    }
    match (rest.is_empty(), parts.len()) {
        (true, 1) => parts[0] = Part::Text("/".to_owned()),
        (true, _) => drop(parts.remove(0)),
        (false, _) => parts[0] = Part::Text(rest.to_owned()),
    }
    Some(parts)
}

fn trimmed(path: &str) -> &str {
    path.trim_matches('/')
}

/// Whether a path begins with a route's, segment by segment.
fn begins(path: &str, prefix: &str) -> bool {
    let (path, prefix) = (trimmed(path), trimmed(prefix));
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
