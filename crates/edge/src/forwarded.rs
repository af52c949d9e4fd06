//! What the app is told about the client: `X-Forwarded-*`, `Forwarded` and `X-Request-Id`.
//!
//! From a stranger these headers are overwritten, because an app that believes them would believe anybody. Only a
//! trusted proxy's are kept, and appended to.

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

use crate::tls;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What we know of the peer ourselves. Made once for each connection.
#[derive(Clone, Debug)]
pub(crate) struct PeerFacts {
    pub(crate) address: HeaderValue,
    pub(crate) proto: HeaderValue,
    pub(crate) port: HeaderValue,
    pub(crate) trusted: bool,
}

/// Writes the headers that tell the app about the client.
pub(crate) fn write(headers: &mut HeaderMap, peer: &PeerFacts, authority: &HeaderValue) {
    remove_claims(headers, peer.trusted);
    if peer.trusted {
        append_trusted(headers, peer, authority);
        return;
    }
    headers.insert(FOR, peer.address.clone());
    headers.insert(PROTO, peer.proto.clone());
    headers.insert(HOST, authority.clone());
    headers.insert(PORT, peer.port.clone());
}

/// Tells the app which prefix its address has in front of what it is asked for. One before us may have taken another.
pub(crate) fn write_prefix(headers: &mut HeaderMap, prefix: &HeaderValue) {
    let before = headers.get(PREFIX).map_or(&b""[..], HeaderValue::as_bytes);
    let whole = [before.strip_suffix(b"/").unwrap_or(before), prefix.as_bytes()].concat();
    headers.insert(PREFIX, HeaderValue::try_from(whole).unwrap_or_else(|_| prefix.clone()));
}

/// Whether the client came over TLS, to us or to a trusted proxy: what [`write()`] has left says so.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get(PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Removes what a stranger says of itself. From everybody, the twins with `_` of headers that only we may set: CGI and
/// its heirs show `X_Forwarded_For` to the app under the same name as `X-Forwarded-For`.
pub(crate) fn remove_claims(headers: &mut HeaderMap, trusted: bool) {
    let is_claim = |name: &&HeaderName| is_claim(name.as_str(), trusted);
    let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Whether a header of this name, in lower case, is removed from what a client sends.
pub(crate) fn is_claim(name: &str, trusted: bool) -> bool {
    // What only a handshake with us can tell is believed from nobody, not even a proxy we trust.
    is_twin(name) || tls::is_about_certificate(name) || (!trusted && is_about_client(name))
}

/// What tells an app who its client is, ours and the ways of other proxies.
fn is_about_client(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

pub(crate) fn is_twin(name: &str) -> bool {
    const GUARDED: [&str; 5] =
        ["x-request-id", "content-length", "transfer-encoding", "keep-alive", "proxy-connection"];
    name.contains('_') && {
        let meant = name.replace('_', "-");
        is_about_client(&meant) || tls::is_about_certificate(&meant) || GUARDED.contains(&meant.as_str())
    }
}

/// The request id of a trusted proxy, else `fresh`.
pub(crate) fn choose_request_id(
    headers: &HeaderMap,
    trusted: bool,
    fresh: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let known = headers.get(REQUEST_ID).filter(|known| trusted && is_request_id(known.as_bytes()));
    known.cloned().unwrap_or_else(fresh)
}

fn append_trusted(headers: &mut HeaderMap, peer: &PeerFacts, authority: &HeaderValue) {
    let address = peer.address.to_str().unwrap_or("unknown");
    let chain = joined(headers, &FOR).map_or_else(|| address.to_owned(), |known| format!("{known}, {address}"));
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FOR, chain);
    }
    if let Some(known) = joined(headers, &header::FORWARDED)
        && let Ok(chain) = HeaderValue::from_str(&format!("{known}, {}", forwarded_element(address)))
    {
        headers.insert(header::FORWARDED, chain);
    }
    set_if_absent(headers, PROTO, &peer.proto);
    set_if_absent(headers, HOST, authority);
    set_if_absent(headers, PORT, &peer.port);
}

/// `for=192.0.2.1`, or `for="[2001:db8::1]"` as RFC 7239 wants an IPv6 address.
fn forwarded_element(address: &str) -> String {
    if address.contains(':') { format!("for=\"[{address}]\"") } else { format!("for={address}") }
}

/// All values of a header as one list; `None` when absent or not text.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

fn set_if_absent(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if let Entry::Vacant(vacant) = headers.entry(name) {
        vacant.insert(value.clone());
    }
}

/// Short and plain, so that it can stand in a log line or a page without care.
fn is_request_id(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.len() <= 128
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

#[cfg(test)]
mod tests;
