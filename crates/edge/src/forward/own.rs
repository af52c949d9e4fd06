//! What a route does by itself: another path for its service, a redirect, an answer that is always the same.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Response, Uri};
use http_body::Body as _;

use super::Passed;
use crate::body::Body;
use crate::client::{Pace, Phase};
use crate::host;
use crate::record::Record;
use crate::respond::{self, Refusal};
use crate::route::Question;
use crate::secure::Terms;
use crate::settings::Action;
use crate::table::RouteView;

/// Gives the request the path that its service is to see.
pub(super) fn readdress(route: &RouteView, parts: &mut Parts) -> Result<(), Refusal> {
    let Some(rewriting) = &route.rewriting else { return Ok(()) };
    let target = rewriting.target(&Question::of("", parts))?;
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = Some(target);
    parts.uri = Uri::from_parts(uri).map_err(|_| Refusal::REWRITTEN)?;
    Ok(())
}

/// What the route answers without asking anybody.
pub(super) fn answer(
    route: &RouteView,
    authority: &HeaderValue,
    parts: &Parts,
    terms: &Terms,
) -> Result<Response<Body>, Refusal> {
    match (&route.route.action, &route.rewriting) {
        (Action::Redirect(redirect), Some(rewriting)) => {
            let host = host::normalise(authority.to_str().unwrap_or_default()).map_err(|_| Refusal::HOST)?;
            let location = rewriting.location(&Question::of(&host, parts))?;
            Ok(respond::redirect(location, redirect.status, &route.answer, terms.tls_only))
        }
        (Action::Answer(said), _) => Ok(respond::say(said, &parts.method, &route.answer, terms.tls_only)),
        _ => Err(Refusal::NO_ROUTE),
    }
}

/// With `close` it is the last answer of its connection: the request has a body that nobody reads.
pub(super) fn finish(answer: Result<Response<Body>, Refusal>, mut record: Record, pace: &Pace, close: bool) -> Passed {
    match answer {
        Ok(mut response) => {
            record.answer(response.status());
            record.send(response.body().size_hint().lower());
            pace.enter(Phase::Waiting);
            if close {
                pace.leave_unread();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
        Err(refusal) => Err((refusal, record)),
    }
}
