//! The routes of one host, by path.
//!
//! Exact paths and prefixes are one tree with a node for each segment, so one walk along the request's path passes all
//! of them, and climbing back meets the longest prefix first. The walk is never longer than the tree is deep, however
//! long the path.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::conditions::Conditions;
use super::{Pattern, Question};
use crate::error::EdgeError;
use crate::settings::{PathMatch, Route};

/// The routes of one host.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The first is the root; there is none before the first route.
    nodes: Vec<Node>,
    patterns: Vec<(Box<str>, Pattern, Entries)>,
}

#[derive(Debug, Default)]
struct Node {
    above: usize,
    below: HashMap<Box<str>, usize>,
    exact: Entries,
    prefix: Entries,
}

/// Routes for the same place, the one to be judged first at the front.
#[derive(Debug, Default)]
struct Entries(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    conditions: Conditions,
    route: usize,
}

const ROOT: usize = 0;

impl Paths {
    pub(super) fn add(&mut self, route: &Route, number: usize) -> Result<(), EdgeError> {
        let entry = Entry { conditions: Conditions::new(route), route: number };
        let entries = match &route.path {
            PathMatch::Prefix(prefix) => &mut self.node(prefix.trim_end_matches('/')).prefix,
            PathMatch::Exact(path) => &mut self.node(path).exact,
            PathMatch::Regex(expression) => self.pattern(expression, &route.name)?,
        };
        entries.0.push(entry);
        Ok(())
    }

    pub(super) fn sort(&mut self) {
        let of_nodes = self.nodes.iter_mut().flat_map(|node| [&mut node.exact, &mut node.prefix]);
        for entries in of_nodes.chain(self.patterns.iter_mut().map(|(.., entries)| entries)) {
            // Stable, so that of two equal routes the one written first wins.
            entries.0.sort_by_key(|entry| Reverse(entry.conditions.count()));
        }
    }

    pub(super) fn find(&self, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        let (deepest, is_whole) = self.walk(question.path, looked)?;
        let exact = if is_whole { self.nodes[deepest].exact.find(question, looked) } else { None };
        exact.or_else(|| self.find_pattern(question, looked)).or_else(|| self.find_prefix(deepest, question, looked))
    }

    /// The deepest node on the way along `path`, and whether the way went to the path's end.
    fn walk(&self, path: &str, looked: &mut impl FnMut()) -> Option<(usize, bool)> {
        let mut node = ROOT;
        self.nodes.first()?;
        for segment in segments(path) {
            if self.nodes[node].below.is_empty() {
                return Some((node, false));
            }
            looked();
            match self.nodes[node].below.get(segment) {
                Some(below) => node = *below,
                None => return Some((node, false)),
            }
        }
        Some((node, true))
    }

    fn find_pattern(&self, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        self.patterns.iter().find_map(|(_, pattern, entries)| {
            looked();
            if pattern.takes(question.path) { entries.find(question, looked) } else { None }
        })
    }

    fn find_prefix(&self, deepest: usize, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        let mut node = deepest;
        loop {
            let found = self.nodes[node].prefix.find(question, looked);
            if found.is_some() || node == ROOT {
                return found;
            }
            node = self.nodes[node].above;
        }
    }

    fn node(&mut self, path: &str) -> &mut Node {
        self.ensure_root();
        let mut node = ROOT;
        for segment in segments(path) {
            node = match self.nodes[node].below.get(segment) {
                Some(below) => *below,
                None => {
                    let fresh = self.nodes.len();
                    self.nodes.push(Node { above: node, ..Node::default() });
                    self.nodes[node].below.insert(segment.into(), fresh);
                    fresh
                }
            };
        }
        &mut self.nodes[node]
    }

    fn pattern(&mut self, expression: &str, route: &str) -> Result<&mut Entries, EdgeError> {
        self.ensure_root();
        let known = self.patterns.iter().position(|(known, ..)| &**known == expression);
        let place = known.unwrap_or(self.patterns.len());
        if known.is_none() {
            let pattern = Pattern::new(expression)
                .map_err(|error| EdgeError::Pattern { route: route.to_owned(), why: error.to_string() })?;
            self.patterns.push((expression.into(), pattern, Entries::default()));
        }
        Ok(&mut self.patterns[place].2)
    }

    fn ensure_root(&mut self) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
    }
}

impl Entries {
    fn find(&self, question: &Question<'_>, looked: &mut impl FnMut()) -> Option<usize> {
        let takes = |entry: &&Entry| {
            looked();
            entry.conditions.are_met(question)
        };
        self.0.iter().find(takes).map(|entry| entry.route)
    }
}

/// `/a/b` has the segments `a` and `b`, `/` has one that is empty, and what does not begin with a slash has none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').into_iter().flat_map(|path| path.split('/'))
}
