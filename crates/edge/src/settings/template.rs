//! A text with places that the request fills in.

use regex::bytes::Captures;

/// A text with places that the request fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This, as it is.
    Text(String),
    /// The host that was asked for, in lower case and without its port.
    Host,
    /// The path as the client wrote it.
    Path,
    /// What of the path follows the route's prefix: nothing, or from a slash on.
    Rest,
    /// The query with its `?`, or nothing.
    Query,
    /// What a group of the route's expression took, by its number or name.
    Group(String),
}

/// What fills a [`Template`].
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) rest: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) groups: Option<Captures<'a>>,
}

impl Template {
    pub(crate) fn fill(&self, filling: &Filling<'_>) -> Vec<u8> {
        let mut filled = Vec::with_capacity(128);
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Part::Host => filled.extend_from_slice(filling.host.as_bytes()),
                Part::Path => filled.extend_from_slice(filling.path.as_bytes()),
                Part::Rest => filled.extend_from_slice(filling.rest.as_bytes()),
                Part::Query => {
                    if let Some(query) = filling.query {
                        filled.push(b'?');
                        filled.extend_from_slice(query.as_bytes());
                    }
                }
                Part::Group(name) => filled.extend_from_slice(filling.group(name)),
            }
        }
        filled
    }

    /// Whether it needs what an expression took.
    pub(crate) fn has_groups(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Group(_)))
    }
}

impl Filling<'_> {
    /// A group that took no part in the match is empty.
    fn group(&self, name: &str) -> &[u8] {
        let Some(groups) = &self.groups else { return b"" };
        let found = name.parse().map_or_else(|_| groups.name(name), |number| groups.get(number));
        found.map_or(b"", |found| found.as_bytes())
    }
}
