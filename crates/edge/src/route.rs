//! Which route takes a request.
//!
//! The most exact host goes first, then an exact path, then expressions in the order of the file, then the longest
//! prefix; of routes for the same place the one with more conditions, and of equals the one written first. What no
//! route of a host takes falls through to the next less exact host.
//!
//! Pure. It looks at the same bytes that are forwarded: nothing is decoded, so nothing can mean one thing here and
//! another in the app. What a request costs does not grow with the number of routes: hosts and segments of paths are
//! looked up by hash, and the file bounds how many expressions a host and how many routes a path may have.

mod conditions;
mod explain;
mod inquiry;
mod paths;
mod pattern;
mod reading;
mod rewrite;

use std::collections::HashMap;

use http::Method;
use http::header::HeaderMap;
use http::request::Parts;

use crate::error::EdgeError;
use crate::settings::Route;

pub(crate) use explain::explain;
pub use explain::{Explanation, Look, Verdict};
pub use inquiry::{Asker, Findings, NoFindings, Peer, inquire};
pub(crate) use pattern::Pattern;
pub(crate) use reading::{Readings, other_readings};
pub(crate) use rewrite::Rewriting;

use paths::Paths;

/// What a route is chosen by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// In lower case, without port and final dot.
    pub(crate) host: &'a str,
    /// The path as the client wrote it.
    pub(crate) path: &'a str,
    /// What follows its `?`.
    pub(crate) query: Option<&'a str>,
    /// The method.
    pub(crate) method: &'a Method,
    /// The headers.
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

/// Every route, arranged for a few looks by hash.
#[derive(Debug, Default)]
pub(crate) struct RouteIndex {
    exact: HashMap<Box<str>, Paths>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
    /// Some route has a condition on a header.
    asks_headers: bool,
}

impl RouteIndex {
    /// Fails only where an expression is none.
    pub(crate) fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Result<RouteIndex, EdgeError> {
        let mut index = RouteIndex::default();
        for (number, route) in routes.into_iter().enumerate() {
            index.asks_headers |= !route.headers.is_empty();
            index.paths_for(route.host.as_deref()).add(route, number)?;
        }
        let RouteIndex { exact, wildcard, any, .. } = &mut index;
        for paths in exact.values_mut().chain(wildcard.values_mut()).chain([any]) {
            paths.sort();
        }
        Ok(index)
    }

    /// Whether it matters to any request which headers it has.
    pub(crate) fn asks_headers(&self) -> bool {
        self.asks_headers
    }

    /// The number of the route for a request.
    pub(crate) fn find(&self, question: &Question<'_>) -> Option<usize> {
        self.find_counting(question, &mut || {})
    }

    /// The same; `looked` is called for each lookup by hash, each expression and each route whose conditions are judged.
    fn find_counting(&self, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        if !self.exact.is_empty() {
            looked();
            if let Some(found) = self.exact.get(question.host).and_then(|paths| paths.find(question, looked)) {
                return Some(found);
            }
        }
        self.find_wildcard(question, looked).or_else(|| self.any.find(question, looked))
    }

    fn find_wildcard(&self, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = question.host;
        while let Some((_, parent)) = rest.split_once('.') {
            looked();
            if let Some(found) = self.wildcard.get(parent).and_then(|paths| paths.find(question, looked)) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }

    fn paths_for(&mut self, host: Option<&str>) -> &mut Paths {
        let Some(host) = host else { return &mut self.any };
        let host = normal_host(host);
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }
}

/// A host of the file in the form that requests are looked up in.
fn normal_host(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// True when `path` lies under `prefix`, segment by segment. A trailing slash of the prefix does not matter.
pub(crate) fn prefix_matches(prefix: &str, path: &str) -> bool {
    after_prefix(prefix, path).is_some()
}

/// What of `path` follows `prefix`: empty, or from the next slash on.
pub(crate) fn after_prefix<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
}

#[cfg(test)]
mod tests;
