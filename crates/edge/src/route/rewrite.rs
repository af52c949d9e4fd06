//! What a route makes of the path that it takes: another path for its service, or the address of a redirect.
//!
//! Pure. What comes out is judged like what comes in, because what a client writes into a template is a client's.

use http::header::HeaderValue;
use http::uri::PathAndQuery;

use super::reading::has_dots;
use super::{Pattern, Question, after_prefix};
use crate::respond::Refusal;
use crate::settings::{Action, Filling, PathMatch, Rewrite, Route, Template};

/// What is made of a path, ready to be used.
#[derive(Debug)]
pub(crate) struct Rewriting {
    what: What,
    /// The prefix of the route, for what follows it.
    prefix: String,
    /// The prefix as the app is told of it, where it is taken away.
    stripped: Option<HeaderValue>,
    /// The expression of the route, where the template needs its groups.
    pattern: Option<Pattern>,
}

#[derive(Debug)]
enum What {
    Strip,
    Path(Template),
    Location(Template),
}

impl Rewriting {
    /// `None` for a route that leaves the path alone.
    pub(crate) fn of(route: &Route) -> Option<Rewriting> {
        let what = match &route.action {
            Action::Forward(forward) => match forward.rewrite.as_ref()? {
                Rewrite::Strip => What::Strip,
                Rewrite::Path(template) => What::Path(template.clone()),
            },
            Action::Redirect(redirect) => What::Location(redirect.to.clone()),
            Action::Answer(_) | Action::Files(_) => return None,
        };
        let needs_groups = matches!(&what, What::Path(template) | What::Location(template) if template.has_groups());
        let (prefix, pattern) = match &route.path {
            PathMatch::Prefix(prefix) => (prefix.clone(), None),
            PathMatch::Exact(path) => (path.clone(), None),
            // It was compiled once already, for the index.
            PathMatch::Regex(expression) => {
                (String::new(), Some(expression).filter(|_| needs_groups).and_then(|text| Pattern::new(text).ok()))
            }
        };
        let taken = prefix.trim_end_matches('/');
        let is_stripped = matches!(what, What::Strip) && !taken.is_empty();
        let stripped = is_stripped.then(|| HeaderValue::from_str(taken).ok()).flatten();
        Some(Rewriting { what, stripped, prefix, pattern })
    }

    /// The prefix that the app is told of; `None` where none was taken away.
    pub(crate) fn stripped(&self) -> Option<&HeaderValue> {
        self.stripped.as_ref()
    }

    /// The path and query that the service is asked for.
    pub(crate) fn target(&self, question: &Question<'_>) -> Result<PathAndQuery, Refusal> {
        let mut target = match &self.what {
            What::Strip => self.filling(question).rest.as_bytes().to_vec(),
            What::Path(template) | What::Location(template) => template.fill(&self.filling(question)),
        };
        if !target.starts_with(b"/") {
            target.insert(0, b'/');
        }
        // A template says the path only; a group cannot bring a query or fragment, because the path it is from has none.
        if has_dots(&target) || target.contains(&b'?') || target.contains(&b'#') {
            return Err(Refusal::REWRITTEN);
        }
        if let Some(query) = question.query {
            target.push(b'?');
            target.extend_from_slice(query.as_bytes());
        }
        PathAndQuery::from_maybe_shared(target).map_err(|_| Refusal::REWRITTEN)
    }

    /// The address that a redirect leads to.
    pub(crate) fn location(&self, question: &Question<'_>) -> Result<HeaderValue, Refusal> {
        let What::Location(template) = &self.what else { return Err(Refusal::REWRITTEN) };
        let filled = escape(&template.fill(&self.filling(question)));
        let is_absolute = filled.starts_with("https://") || filled.starts_with("http://");
        // `//elsewhere.test` would be another host; the file's hosts stand after a scheme.
        let location = if is_absolute { filled } else { format!("/{}", filled.trim_start_matches('/')) };
        HeaderValue::try_from(location).map_err(|_| Refusal::REWRITTEN)
    }

    fn filling<'a>(&self, question: &Question<'a>) -> Filling<'a> {
        Filling {
            host: question.host,
            path: question.path,
            rest: after_prefix(&self.prefix, question.path).unwrap_or_default(),
            query: question.query,
            groups: self.pattern.as_ref().and_then(|pattern| pattern.0.captures(question.path.as_bytes())),
        }
    }
}

/// Encodes what has no place in an address, such as the backslash that browsers take for a slash.
fn escape(filled: &[u8]) -> String {
    let mut escaped = String::with_capacity(filled.len());
    for byte in filled {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
