//! What we answer ourselves: short, readable, with the request id, and with nothing of the inside.
//!
//! An error is a page, a problem document (RFC 9457) or a few lines of text, as the client prefers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::forwarded::REQUEST_ID;

mod headers;
mod own;
mod page;

pub(crate) use headers::{AnswerHeaders, Meeting, Said};
pub(crate) use own::{redirect, say};

/// Why a request is not passed on, or not answered by the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The label in `prumo_edge_refused_total`; this list is the bound of that label.
    pub(crate) reason: Reason,
    /// What a person reads.
    say: &'static str,
    particular: Option<Particular>,
}

/// What a refusal tells a program beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Particular {
    /// Methods that would do.
    Allow(&'static str),
    /// How long the file is of which a part was asked.
    Length(u64),
    /// After how many seconds it is worth to come again.
    RetryAfter(u64),
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
    Route "no_route", Address "address", Maintenance "maintenance", Path "path", NoUpstream "no_upstream", Upstream "upstream_failed", Timeout "upstream_timeout",
    Full "service_full", NoFile "no_file", File "file_failed", Precondition "precondition", Range "range",
    Client "client_gone", SlowClient "client_slow", Connections "connections_max",
    PerIp "connections_per_ip_max", Descriptors "no_descriptors", Proxy "proxy_header", Tls "tls", Https "https",
    Misdirected "misdirected",
}

impl Refusal {
    pub(crate) const METHOD: Refusal =
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Reason::Method, "This method is not allowed here.");
    pub(crate) const HOST: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Host, "The request does not name one valid host.");
    pub(crate) const FRAMING: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Framing, "The request could not be read safely.");
    pub(crate) const HEADERS_TOO_LARGE: Refusal = Refusal::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Reason::Headers,
        "The request's headers are larger than this site accepts.",
    );
    pub(crate) const BODY_TOO_LARGE: Refusal = Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Body,
        "The request's body is larger than this site accepts.",
    );
    pub(crate) const NO_ROUTE: Refusal =
        Refusal::new(StatusCode::NOT_FOUND, Reason::Route, "Nothing is served at this address.");
    pub(crate) const ADDRESS: Refusal =
        Refusal::new(StatusCode::FORBIDDEN, Reason::Address, "This address may not be visited from where you are.");
    pub(crate) const AMBIGUOUS: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Path, "This address could be read as another one.");
    pub(crate) const REWRITTEN: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Path, "This address leads out of what is served here.");
    pub(crate) const NO_UPSTREAM: Refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::NoUpstream,
        "The service is not ready. Please try again in a moment.",
    );
    pub(crate) const FULL: Refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::Full,
        "The service has more to do than it can. Please try again in a moment.",
    );
    pub(crate) const UPSTREAM: Refusal =
        Refusal::new(StatusCode::BAD_GATEWAY, Reason::Upstream, "The service did not give a usable answer.");
    pub(crate) const TIMEOUT: Refusal =
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, Reason::Timeout, "The service took too long to answer.");
    pub(crate) const SLOW_CLIENT: Refusal =
        Refusal::new(StatusCode::REQUEST_TIMEOUT, Reason::SlowClient, "The request took too long to arrive.");
    pub(crate) const CONNECTIONS: Refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::Connections,
        "Too many people are here at once. Please try again in a moment.",
    );
    pub(crate) const HTTPS: Refusal =
        Refusal::new(StatusCode::PERMANENT_REDIRECT, Reason::Https, "This site is reached over HTTPS.");
    pub(crate) const MISDIRECTED: Refusal = Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        Reason::Misdirected,
        "This host asks for a certificate, over a connection of its own.",
    );
    pub(crate) const CLIENT_GONE: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, Reason::Client, "The request ended before it was complete.");

    pub(crate) const FILE_METHOD: Refusal = Refusal {
        particular: Some(Particular::Allow("GET, HEAD")),
        ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Reason::Method, "This can only be read.")
    };
    pub(crate) const NO_FILE: Refusal =
        Refusal::new(StatusCode::NOT_FOUND, Reason::NoFile, "There is nothing at this address.");
    pub(crate) const FILE_FAILED: Refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::File,
        "This cannot be read at the moment. Please try again in a moment.",
    );
    pub(crate) const PRECONDITION: Refusal = Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        Reason::Precondition,
        "It has changed since, so what was asked of it no longer holds.",
    );

    /// For a route in maintenance, with the time after which it is worth to come again.
    pub(crate) fn maintenance(retry_after: Duration) -> Refusal {
        let say = "The site is being worked on. Please come back a little later.";
        let particular = Some(Particular::RetryAfter(retry_after.as_secs().max(1)));
        Refusal { particular, ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Reason::Maintenance, say) }
    }

    /// A part that a file of so many bytes does not have.
    pub(crate) const fn beyond(length: u64) -> Refusal {
        let say = "This does not have the part that was asked for.";
        Refusal {
            particular: Some(Particular::Length(length)),
            ..Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, Reason::Range, say)
        }
    }

    const fn new(status: StatusCode, reason: Reason, say: &'static str) -> Refusal {
        Refusal { status, reason, say, particular: None }
    }

    /// The refusal of something that could not be read as a request, with the status that the parser found fitting.
    pub(crate) fn unread(status: StatusCode) -> Refusal {
        match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Refusal::HEADERS_TOO_LARGE,
            StatusCode::URI_TOO_LONG => {
                Refusal::new(status, Reason::Headers, "The request's address is longer than this site accepts.")
            }
            _ => Refusal { status, ..Refusal::FRAMING },
        }
    }

    /// What a person reads.
    pub(crate) fn say(self) -> &'static str {
        self.say
    }

    /// After these the rest of the request is unread or untrusted, so the connection cannot carry another.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self.reason,
            Reason::Framing | Reason::Host | Reason::Method | Reason::Body | Reason::SlowClient | Reason::Client
        )
    }
}

/// Who is refused, and how the refusal is to be told.
pub(crate) struct Asker<'a> {
    pub(crate) accept: Option<&'a HeaderValue>,
    /// `None` when no request was read.
    pub(crate) id: Option<&'a HeaderValue>,
    pub(crate) is_head: bool,
    pub(crate) tls: bool,
    /// The answer is the last one of its connection.
    pub(crate) close: bool,
}

/// The answer for `refusal`, with the headers that every answer of its route carries.
pub(crate) fn refuse(refusal: Refusal, asker: &Asker<'_>, answer: &AnswerHeaders) -> Response<Body> {
    let form = page::preferred(asker.accept);
    let page = page::write(form, refusal.status, refusal.say, asker.id);
    let length = page.len();
    let mut response = Response::new(if asker.is_head { Body::Empty } else { Body::full(Bytes::from(page)) });
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    answer.finish(headers, asker.tls);
    // These describe our page, whatever the site says of its own.
    for (name, value) in page::headers(form) {
        headers.insert(name, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(id) = asker.id {
        headers.insert(REQUEST_ID, id.clone());
    }
    add_particulars(headers, refusal, asker.close);
    response
}

/// A refusal with the site's own page in place of ours, for clients that prefer pages.
pub(crate) fn refuse_with_page(
    refusal: Refusal,
    asker: &Asker<'_>,
    answer: &AnswerHeaders,
    page: &str,
) -> Response<Body> {
    let mut response = refuse(refusal, asker, answer);
    if page::preferred(asker.accept) != page::Form::Html {
        return response;
    }
    let headers = response.headers_mut();
    // Ours forbids what the site's own page may need.
    headers.remove(header::CONTENT_SECURITY_POLICY);
    answer.finish(headers, asker.tls);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(page.len()));
    if !asker.is_head {
        *response.body_mut() = Body::full(Bytes::copy_from_slice(page.as_bytes()));
    }
    response
}

/// The same as bytes, for a client whose request was never read by anybody who could answer it.
/// Nobody knows which host was meant, so nothing is said of HTTPS that would hold for a host with a local certificate.
pub(crate) fn refuse_unread(refusal: Refusal, answer: &AnswerHeaders, date: &[u8]) -> Vec<u8> {
    let asker = Asker { accept: None, id: None, is_head: false, tls: false, close: true };
    write_h1(refuse(refusal, &asker, answer), date)
}

/// An answer of ours as it goes over the wire where hyper does not write it.
pub(crate) fn write_h1(response: Response<Body>, date: &[u8]) -> Vec<u8> {
    let (head, body) = response.into_parts();
    let mut bytes = write_h1_head(&head, date);
    if let Body::Full(Some(page)) = body {
        bytes.extend_from_slice(&page);
    }
    bytes
}

/// Its head, with the empty line.
pub(crate) fn write_h1_head(head: &Parts, date: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2048);
    let reason = head.status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", head.status.as_str(), " ", reason, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in headers.chain([("date", date)]) {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn add_particulars(headers: &mut HeaderMap, refusal: Refusal, close: bool) {
    match refusal.status {
        StatusCode::SERVICE_UNAVAILABLE => {
            let seconds = match refusal.particular {
                Some(Particular::RetryAfter(seconds)) => seconds,
                _ => 2,
            };
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let methods = match refusal.particular {
                Some(Particular::Allow(methods)) => methods,
                _ => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            };
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        _ => {}
    }
    if let Some(Particular::Length(length)) = refusal.particular
        && let Ok(unsatisfied) = HeaderValue::from_str(&format!("bytes */{length}"))
    {
        headers.insert(header::CONTENT_RANGE, unsatisfied);
    }
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

#[cfg(test)]
mod tests;
