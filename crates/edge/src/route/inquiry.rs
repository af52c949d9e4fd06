//! What the edge would do with a request, asked without sending one.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

use super::{Explanation, Question, Rewriting, explain};
use crate::respond::Refusal;
use crate::settings::{Action, Network, Route};
use crate::{admit, host};

/// What was found out about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The host that routes are compared with.
    pub host: String,
    /// The path that they are compared with.
    pub path: String,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The route that takes it, and what was found about the others.
    pub explanation: Explanation,
    /// Who asks, when that was said and a route takes it.
    pub asker: Option<Asker>,
    /// The path that the service is asked for, or the address of the redirect; `None` where the route makes neither.
    pub made: Option<Result<String, &'static str>>,
}

/// Who would ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The client's own address, behind proxies that are trusted; `None` where they name none.
    pub client: Option<IpAddr>,
    /// Whether it is admitted.
    pub is_admitted: bool,
}

/// Where a request would come from.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The peer of the connection.
    pub address: IpAddr,
    /// The proxies that are believed.
    pub trusted: &'a [Network],
}

/// Why nothing was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFindings {
    /// There can be no such request.
    Malformed(String),
    /// It is refused before any route is looked at.
    Refused(String),
}

/// What the edge would do with a request for `url`.
pub fn inquire(
    routes: &[Route],
    method: &str,
    url: &str,
    headers: &[(String, String)],
    peer: Option<Peer<'_>>,
) -> Result<Findings, NoFindings> {
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| NoFindings::Malformed(format!("`{method}` is no method")))?;
    if url.starts_with('/') {
        return Err(NoFindings::Malformed(format!("`{url}` names no host")));
    }
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Uri = whole.parse().map_err(|error| NoFindings::Malformed(format!("`{url}` is no address: {error}")))?;
    let headers = read_headers(headers).map_err(NoFindings::Malformed)?;
    let refused =
        |refusal: Refusal| NoFindings::Refused(format!("refused with {}: {}", refusal.status.as_u16(), refusal.say()));
    admit::check_method(&method).map_err(refused)?;
    admit::check_target(&uri).map_err(refused)?;
    let written = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = written.or(uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
    let host = host::normalise(authority).map_err(|_| refused(Refusal::HOST))?.into_owned();
    let question = Question { host: &host, path: uri.path(), query: uri.query(), method: &method, headers: &headers };
    let explanation = explain(routes, &question);
    let made = explanation.chosen.and_then(|number| make(&routes[number], &question));
    let chosen = explanation.chosen.map(|number| &routes[number]);
    let asker = peer.zip(chosen).map(|(peer, route)| {
        let client = admit::client_address(peer.address.to_canonical(), &headers, peer.trusted);
        Asker { client, is_admitted: admit::check_address(&route.access, client).is_ok() }
    });
    let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
    Ok(Findings { asker, made, host, path, query, explanation })
}

fn make(route: &Route, question: &Question<'_>) -> Option<Result<String, &'static str>> {
    let rewriting = Rewriting::of(route)?;
    let made = match route.action {
        Action::Redirect(_) => {
            rewriting.location(question).map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned())
        }
        _ => rewriting.target(question).map(|target| target.to_string()),
    };
    Some(made.map_err(Refusal::say))
}

fn read_headers(written: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        let read = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = read else { return Err(format!("`{name}: {value}` is no header")) };
        headers.append(name, value);
    }
    Ok(headers)
}
