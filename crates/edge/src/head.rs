//! The head of a request in the form that the upstream's protocol wants.

use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};

/// HTTP/1.1: the host in `Host`, the rest of the target in the request line.
pub(crate) fn write_h1<B: http_body::Body>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_11;
    let has_body = !request.body().is_end_stream();
    let headers = request.headers_mut();
    // Said here, because hyper takes a GET or DELETE without a length for one without a body, and would drop it.
    if has_body && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if headers.contains_key(header::TE) && !headers.contains_key(header::CONNECTION) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let Some(authority) = request.uri().authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = origin_form(request.uri());
}

/// HTTP/2: the host in `:authority`, and nothing that belongs to a connection.
pub(crate) fn write_h2<B>(request: &mut Request<B>, scheme: Scheme) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
    let Some(host) = headers.remove(header::HOST) else { return };
    if let Ok(authority) = Authority::try_from(host.as_bytes()) {
        let mut target = http::uri::Parts::default();
        target.scheme = Some(scheme);
        target.authority = Some(authority);
        target.path_and_query = Some(request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
        if let Ok(target) = Uri::from_parts(target) {
            *request.uri_mut() = target;
        }
    }
}

/// `/path?query` of an absolute URI, byte for byte.
pub(crate) fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    }
}

#[cfg(test)]
mod tests;
