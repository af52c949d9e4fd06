//! Which route takes a request: the most exact host, then an exact path, then the longest prefix, then the one with
//! more conditions, then the one written first.
//!
//! Pure. It looks at the same bytes that are forwarded: nothing is decoded, so nothing can mean one thing here and
//! another in the app.

use std::cmp::Reverse;
use std::collections::HashMap;

use http::Method;
use http::header::HeaderMap;
use http::request::Parts;

use crate::settings::{Condition, PathMatch, Route, Wanted};

/// What a route is chosen by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// In normal form.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Question<'a> {
    /// The question of a request for `host`, in normal form.
    pub(crate) fn of(host: &'a str, parts: &'a Parts) -> Question<'a> {
        Question {
            host,
            path: parts.uri.path(),
            query: parts.uri.query(),
            method: &parts.method,
            headers: &parts.headers,
        }
    }
}

/// Every route, arranged for one look by host and a short walk by path.
#[derive(Debug, Default)]
pub(crate) struct RouteIndex {
    exact: HashMap<Box<str>, Vec<Entry>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<Entry>>,
    any: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    path: PathMatch,
    methods: Box<[String]>,
    headers: Box<[Condition]>,
    query: Box<[Condition]>,
    route: usize,
}

impl RouteIndex {
    pub(crate) fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> RouteIndex {
        let mut index = RouteIndex::default();
        for (number, route) in routes.into_iter().enumerate() {
            index.entries_for(route.host.as_deref()).push(Entry::new(route, number));
        }
        let RouteIndex { exact, wildcard, any } = &mut index;
        for entries in exact.values_mut().chain(wildcard.values_mut()).chain([any]) {
            // Stable, so that of two equal routes the one written first wins.
            entries.sort_by_key(Entry::rank);
        }
        index
    }

    /// The number of the route for a request. A host none of whose routes takes it falls through to the wildcard
    /// routes, and those to the routes for any host.
    pub(crate) fn find(&self, question: &Question<'_>) -> Option<usize> {
        self.exact
            .get(question.host)
            .and_then(|entries| first(entries, question))
            .or_else(|| self.find_wildcard(question))
            .or_else(|| first(&self.any, question))
    }

    fn find_wildcard(&self, question: &Question<'_>) -> Option<usize> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = question.host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(parent).and_then(|entries| first(entries, question)) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }

    fn entries_for(&mut self, host: Option<&str>) -> &mut Vec<Entry> {
        let Some(host) = host else { return &mut self.any };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }
}

impl Entry {
    fn new(route: &Route, number: usize) -> Entry {
        let path = match &route.path {
            PathMatch::Prefix(prefix) => PathMatch::Prefix(trim_prefix(prefix).to_owned()),
            PathMatch::Exact(path) => PathMatch::Exact(path.clone()),
        };
        Entry {
            path,
            methods: route.methods.as_slice().into(),
            headers: route.headers.as_slice().into(),
            query: route.query.as_slice().into(),
            route: number,
        }
    }

    fn rank(&self) -> (bool, Reverse<usize>, Reverse<usize>) {
        let conditions = usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len();
        let (is_prefix, length) = match &self.path {
            PathMatch::Exact(_) => (false, 0),
            PathMatch::Prefix(prefix) => (true, prefix.len()),
        };
        (is_prefix, Reverse(length), Reverse(conditions))
    }

    fn takes(&self, question: &Question<'_>) -> bool {
        let takes_path = match &self.path {
            PathMatch::Exact(path) => path == question.path,
            PathMatch::Prefix(prefix) => under(prefix, question.path),
        };
        takes_path
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == question.method.as_str()))
            && self.headers.iter().all(|condition| header_meets(condition, question.headers))
            && self.query.iter().all(|condition| query_meets(condition, question.query.unwrap_or_default()))
    }
}

fn first(entries: &[Entry], question: &Question<'_>) -> Option<usize> {
    entries.iter().find(|entry| entry.takes(question)).map(|entry| entry.route)
}

fn header_meets(condition: &Condition, headers: &HeaderMap) -> bool {
    match &condition.wanted {
        Wanted::Present => headers.contains_key(condition.name.as_str()),
        Wanted::Equal(wanted) => {
            headers.get_all(condition.name.as_str()).iter().any(|value| value.as_bytes() == wanted.as_bytes())
        }
    }
}

fn query_meets(condition: &Condition, query: &str) -> bool {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).any(|(name, value)| {
        name == condition.name
            && match &condition.wanted {
                Wanted::Present => true,
                Wanted::Equal(wanted) => value == wanted,
            }
    })
}

/// True when `path` lies under `prefix`, segment by segment. A trailing slash of the prefix does not matter.
pub(crate) fn prefix_matches(prefix: &str, path: &str) -> bool {
    under(trim_prefix(prefix), path)
}

fn under(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
}

fn trim_prefix(path: &str) -> &str {
    path.trim_end_matches('/')
}

#[cfg(test)]
mod tests;
