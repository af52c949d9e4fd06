//! What a request must say beside its host and path.

use http::Method;
use http::header::{HeaderMap, HeaderName};

use super::Question;
use crate::settings::{Condition, Route, Wanted};

/// The conditions of one route, ready to be judged.
#[derive(Debug)]
pub(super) struct Conditions {
    methods: Box<[Method]>,
    headers: Box<[(HeaderName, Wanted)]>,
    query: Box<[Condition]>,
}

/// The first condition that a request does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unmet<'a> {
    Method,
    Header(&'a HeaderName, &'a Wanted),
    Query(&'a Condition),
}

impl Conditions {
    /// Methods and names that no request can have are kept out by whoever reads them; here they take nothing.
    pub(super) fn new(route: &Route) -> Conditions {
        let methods = route.methods.iter().filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
        let header = |condition: &Condition| {
            let name = HeaderName::from_bytes(condition.name.as_bytes()).ok()?;
            Some((name, condition.wanted.clone()))
        };
        Conditions {
            methods: methods.collect(),
            headers: route.headers.iter().filter_map(header).collect(),
            query: route.query.as_slice().into(),
        }
    }

    /// How many there are; the methods count as one.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }

    pub(super) fn are_met(&self, question: &Question<'_>) -> bool {
        self.unmet(question).is_none()
    }

    pub(super) fn unmet(&self, question: &Question<'_>) -> Option<Unmet<'_>> {
        if !self.methods.is_empty() && !self.methods.contains(question.method) {
            return Some(Unmet::Method);
        }
        let header = self.headers.iter().find(|(name, wanted)| !header_meets(name, wanted, question.headers));
        if let Some((name, wanted)) = header {
            return Some(Unmet::Header(name, wanted));
        }
        let query = question.query.unwrap_or_default();
        self.query.iter().find(|condition| !query_meets(condition, query)).map(Unmet::Query)
    }
}

fn header_meets(name: &HeaderName, wanted: &Wanted, headers: &HeaderMap) -> bool {
    match wanted {
        Wanted::Present => headers.contains_key(name),
        Wanted::Absent => !headers.contains_key(name),
        Wanted::Equal(wanted) => headers.get_all(name).iter().any(|value| value.as_bytes() == wanted.as_bytes()),
    }
}

fn query_meets(condition: &Condition, query: &str) -> bool {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(name, _)| *name == condition.name).map(|(_, value)| value);
    match &condition.wanted {
        Wanted::Present => values.next().is_some(),
        Wanted::Absent => values.next().is_none(),
        Wanted::Equal(wanted) => values.any(|value| value == wanted),
    }
}
