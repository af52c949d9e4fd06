//! What we answer ourselves: short, readable, with the request id, and with nothing of the inside.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::forwarded::REQUEST_ID;

/// Why a request is not passed on, or not answered by the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The label in `prumo_edge_refused_total`; this list is the bound of that label.
    pub(crate) reason: Reason,
    /// What a person reads.
    say: &'static str,
}

macro_rules! reasons {
    ($($name:ident $label:literal),* $(,)?) => {
        /// Every `reason` that the metrics know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason { $($name),* }

        impl Reason {
            pub(crate) const ALL: &[Reason] = &[$(Reason::$name),*];

            pub(crate) fn label(self) -> &'static str {
                match self { $(Reason::$name => $label),* }
            }
        }
    };
}

reasons! {
    Method "method", Host "host", Framing "framing", Headers "headers_too_large", Body "body_too_large",
    Route "no_route", NoUpstream "no_upstream", Upstream "upstream_failed", Timeout "upstream_timeout",
    Client "client_gone", SlowClient "client_slow", Connections "connections_max", Tls "tls",
}

impl Refusal {
    pub(crate) const METHOD: Refusal =
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Reason::Method, "This method is not allowed here.");
    pub(crate) const HOST: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Host, "The request does not name one valid host.");
    pub(crate) const FRAMING: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Framing, "The request could not be read safely.");
    pub(crate) const BODY_TOO_LARGE: Refusal = Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Body,
        "The request's body is larger than this site accepts.",
    );
    pub(crate) const NO_ROUTE: Refusal =
        Refusal::new(StatusCode::NOT_FOUND, Reason::Route, "Nothing is served at this address.");
    pub(crate) const NO_UPSTREAM: Refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::NoUpstream,
        "The service is not ready. Please try again in a moment.",
    );
    pub(crate) const UPSTREAM: Refusal =
        Refusal::new(StatusCode::BAD_GATEWAY, Reason::Upstream, "The service did not give a usable answer.");
    pub(crate) const TIMEOUT: Refusal =
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, Reason::Timeout, "The service took too long to answer.");
    pub(crate) const SLOW_CLIENT: Refusal =
        Refusal::new(StatusCode::REQUEST_TIMEOUT, Reason::SlowClient, "The request took too long to arrive.");
    pub(crate) const CLIENT_GONE: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Client, "The request ended before it was complete.");

    const fn new(status: StatusCode, reason: Reason, say: &'static str) -> Refusal {
        Refusal { status, reason, say }
    }

    /// After these the rest of the request is unread or untrusted, so the connection cannot carry another.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self.reason,
            Reason::Framing | Reason::Host | Reason::Method | Reason::Body | Reason::SlowClient | Reason::Client
        )
    }
}

/// The answer for `refusal`, in the form that `accept` prefers; with `close`, the last one of its connection.
pub(crate) fn refuse(refusal: Refusal, accept: Option<&HeaderValue>, id: &HeaderValue, close: bool) -> Response<Body> {
    let (kind, page) = write_page(refusal, accept, id.to_str().unwrap_or(""));
    let mut response = Response::new(Body::full(Bytes::from(page)));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REQUEST_ID, id.clone());
    add_particulars(headers, refusal, close);
    response
}

fn add_particulars(headers: &mut HeaderMap, refusal: Refusal, close: bool) {
    match refusal.status {
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        _ => {}
    }
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

fn write_page(refusal: Refusal, accept: Option<&HeaderValue>, id: &str) -> (&'static str, String) {
    let status = refusal.status.as_u16();
    let title = refusal.status.canonical_reason().unwrap_or("Error");
    let say = refusal.say;
    let mut page = String::with_capacity(640);
    // Writing to a string cannot fail.
    let (kind, _) = match preferred(accept) {
        Form::Html => (
            "text/html; charset=utf-8",
            write!(
                page,
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{status} {title}</title>\n\
                 <style>:root{{color-scheme:light dark}}body{{font:1.125rem/1.6 system-ui,sans-serif;max-width:36rem;\
                 margin:15vh auto;padding:0 1.5rem}}code{{font-size:.9em}}</style>\n</head>\n<body>\n<main>\n\
                 <h1>{title}</h1>\n<p>{say}</p>\n<p>Status {status}, request <code>{id}</code></p>\n</main>\n</body>\n</html>\n"
            ),
        ),
        Form::Json => (
            "application/json",
            writeln!(
                page,
                "{{\"error\":{{\"status\":{status},\"title\":\"{title}\",\"message\":\"{say}\",\"request_id\":\"{id}\"}}}}"
            ),
        ),
        Form::Text => ("text/plain; charset=utf-8", write!(page, "{status} {title}\n{say}\nrequest {id}\n")),
    };
    (kind, page)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

/// The first of the known forms that `Accept` names; plain text for whoever does not say, such as curl.
fn preferred(accept: Option<&HeaderValue>) -> Form {
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else { return Form::Text };
    for range in accept.split(',') {
        let kind = range.split(';').next().unwrap_or("").trim();
        match kind {
            "text/html" | "application/xhtml+xml" => return Form::Html,
            "application/json" | "application/problem+json" => return Form::Json,
            "text/plain" | "text/*" => return Form::Text,
            _ if kind.ends_with("+json") => return Form::Json,
            _ => {}
        }
    }
    Form::Text
}

#[cfg(test)]
mod tests;
