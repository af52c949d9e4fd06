//! Whether a request may pass, and in which form. Pure.
//!
//! hyper's parser refuses most malformed requests before they come here; what it tolerates and we do not is decided
//! in this file, so that a request has one meaning for everybody who reads it.

mod address;

pub(crate) use address::{check_address, client_address};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri, Version};

use crate::respond::Refusal;

/// Headers that belong to one connection and are never passed on.
const HOP_BY_HOP: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Refuses methods that make no sense at a front door: TRACE reflects credentials, CONNECT makes an open proxy.
pub(crate) fn check_method(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::TRACE | Method::CONNECT => Err(Refusal::METHOD),
        _ => Ok(()),
    }
}

/// Refuses targets that belong to another kind of server: `*`, `host:port`, and URLs of other protocols.
pub(crate) fn check_target(uri: &Uri) -> Result<(), Refusal> {
    let has_our_form = matches!((uri.scheme_str(), uri.authority()), (None, None) | (Some("http" | "https"), Some(_)));
    if has_our_form && uri.path().starts_with('/') { Ok(()) } else { Err(Refusal::FRAMING) }
}

/// The host with its port as the client wrote it: from the request line or `:authority` when it has one, else from the
/// one `Host`. Where both are there they must agree, so that nobody can be told two different names.
pub(crate) fn find_authority(parts: &Parts) -> Result<HeaderValue, Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (written, duplicate) = (hosts.next(), hosts.next().is_some());
    let Some(named) = parts.uri.authority() else {
        return written.filter(|_| !duplicate).cloned().ok_or(Refusal::HOST);
    };
    let agrees = written.is_none_or(|written| written.as_bytes().eq_ignore_ascii_case(named.as_str().as_bytes()));
    // RFC 9112 3.2: an HTTP/1.1 request without Host is refused, whatever its request line says.
    let host_is_missing = written.is_none() && parts.version == Version::HTTP_11;
    if duplicate || !agrees || host_is_missing {
        return Err(Refusal::HOST);
    }
    HeaderValue::from_str(named.as_str()).map_err(|_| Refusal::HOST)
}

/// Refuses a list of headers above the limit, counted as RFC 9113 10.5.1 counts. Over HTTP/1 the bytes of the head were
/// counted when it was read.
pub(crate) fn check_headers(parts: &Parts, headers_max: usize) -> Result<(), Refusal> {
    const EACH: usize = 32;
    let target = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let list = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum::<usize>();
    if target + list <= headers_max { Ok(()) } else { Err(Refusal::HEADERS_TOO_LARGE) }
}

/// Refuses a declared body above the limit before a byte of it is read.
pub(crate) fn check_declared_length(headers: &HeaderMap, body_max: u64) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(declared) = lengths.next() else { return Ok(()) };
    // Over HTTP/1 `framing` has seen to this; over HTTP/2 nobody has.
    if lengths.next().is_some() || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Refusal::FRAMING);
    }
    match parse_length(declared) {
        Some(length) if length <= body_max => Ok(()),
        Some(_) => Err(Refusal::BODY_TOO_LARGE),
        None => Err(Refusal::FRAMING),
    }
}

/// Digits and nothing else: a number parser would take a sign.
fn parse_length(declared: &HeaderValue) -> Option<u64> {
    let digits = declared.to_str().ok()?.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Removes what belongs to the client's connection, and says whether the client asks for an upgrade and to what.
pub(crate) fn take_hop_by_hop(headers: &mut HeaderMap, version: Version) -> Option<HeaderValue> {
    let takes_trailers = headers.get(header::TE).is_some_and(|te| has_token(te, "trailers"));
    let connection = remove_connection(headers);
    let asks_upgrade = connection.iter().any(|value| has_token(value, "upgrade"));
    let may_upgrade = asks_upgrade && version == Version::HTTP_11;
    let upgrade = headers.get(header::UPGRADE).filter(|to| may_upgrade && !is_http(to)).cloned();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    let names_te = version == Version::HTTP_2 || connection.iter().any(|value| has_token(value, "te"));
    if takes_trailers && names_te {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    // `Proxy` would become HTTP_PROXY in a CGI environment (httpoxy); `Expect` is said anew where it is passed on.
    headers.remove("proxy");
    headers.remove(header::EXPECT);
    upgrade
}

/// Whether the client waits to be asked for its body.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The same for an answer.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    remove_connection(headers);
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // It is no length of the body that was read.
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// HTTP/2 may send a cookie in crumbs, HTTP/1 may not (RFC 9113 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}

/// Removes `Connection` and every header it names, and returns its values.
fn remove_connection(headers: &mut HeaderMap) -> Vec<HeaderValue> {
    let mut values = Vec::new();
    if !headers.contains_key(header::CONNECTION) {
        return values;
    }
    values.extend(headers.get_all(header::CONNECTION).iter().cloned());
    headers.remove(header::CONNECTION);
    for token in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')) {
        let token = token.trim();
        if !is_kept_when_named(token) {
            headers.remove(token);
        }
    }
    values
}

/// A client must not be able to strip from a request what we or the app rely on by naming it in `Connection`;
/// `upgrade` is looked at by the caller.
pub(crate) fn is_kept_when_named(token: &str) -> bool {
    const KEPT: [&str; 7] =
        ["host", "upgrade", "content-length", "content-type", "authorization", "cookie", "transfer-encoding"];
    token.is_empty() || KEPT.iter().any(|kept| token.eq_ignore_ascii_case(kept))
}

/// An upgrade to another HTTP (`h2c`) would carry requests past everything that is decided here.
fn is_http(upgrade: &HeaderValue) -> bool {
    const HTTP: [&str; 2] = ["h2c", "http/"];
    let text = upgrade.to_str().unwrap_or("h2c").to_ascii_lowercase();
    HTTP.iter().any(|name| text.contains(name))
}

fn has_token(value: &HeaderValue, wanted: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests;
