//! Which route takes a request: host first, then the longest path prefix.
//!
//! Pure. It looks at the same bytes that are forwarded: nothing is decoded, so nothing can mean one thing here and
//! another in the app.

use std::collections::HashMap;

use crate::settings::Route;

/// Every route, arranged for one look by host and a short walk by prefix.
#[derive(Debug, Default)]
pub(crate) struct RouteIndex {
    exact: HashMap<Box<str>, Vec<Prefix>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<Prefix>>,
    any: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    path: Box<str>,
    route: usize,
}

impl RouteIndex {
    pub(crate) fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> RouteIndex {
        let mut index = RouteIndex::default();
        for (number, route) in routes.into_iter().enumerate() {
            let prefix = Prefix { path: trim_prefix(&route.path).into(), route: number };
            index.prefixes_for(route.host.as_deref()).push(prefix);
        }
        let RouteIndex { exact, wildcard, any } = &mut index;
        for prefixes in exact.values_mut().chain(wildcard.values_mut()).chain([any]) {
            // Stable, so that of two equal prefixes the one written first wins.
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        }
        index
    }

    /// The number of the route for `host` (normalised) and `path`. A host without a matching path falls through to
    /// the wildcard routes, and those to the routes for any host.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<usize> {
        self.exact
            .get(host)
            .and_then(|prefixes| longest(prefixes, path))
            .or_else(|| self.find_wildcard(host, path))
            .or_else(|| longest(&self.any, path))
    }

    fn find_wildcard(&self, host: &str, path: &str) -> Option<usize> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(parent).and_then(|prefixes| longest(prefixes, path)) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }

    fn prefixes_for(&mut self, host: Option<&str>) -> &mut Vec<Prefix> {
        let Some(host) = host else { return &mut self.any };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }
}

/// True when `path` lies under `prefix`, segment by segment. A trailing slash of the prefix does not matter.
pub(crate) fn prefix_matches(prefix: &str, path: &str) -> bool {
    under(trim_prefix(prefix), path)
}

fn longest(prefixes: &[Prefix], path: &str) -> Option<usize> {
    prefixes.iter().find(|prefix| under(&prefix.path, path)).map(|prefix| prefix.route)
}

fn under(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
}

fn trim_prefix(path: &str) -> &str {
    path.trim_end_matches('/')
}

#[cfg(test)]
mod tests;
