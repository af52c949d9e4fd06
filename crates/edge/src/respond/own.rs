//! Answers that a route gives without asking anybody: a redirect, or a text that is always the same.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};

use super::AnswerHeaders;
use crate::body::Body;
use crate::settings::Answer;

/// Sends the client to `location`.
pub(crate) fn redirect(location: HeaderValue, status: u16, answer: &AnswerHeaders, tls: bool) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::TEMPORARY_REDIRECT);
    let headers = response.headers_mut();
    answer.finish(headers, tls);
    headers.insert(header::LOCATION, location);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// Says what the route always says.
pub(crate) fn say(said: &Answer, method: &Method, answer: &AnswerHeaders, tls: bool) -> Response<Body> {
    let is_bare = *method == Method::HEAD || said.body.is_empty();
    let body = if is_bare { Body::Empty } else { Body::full(Bytes::copy_from_slice(said.body.as_bytes())) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(said.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    answer.finish(headers, tls);
    if !matches!(said.status, 204 | 304) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(said.body.len()));
    }
    if let Some(kind) = HeaderValue::from_str(&said.content_type).ok().filter(|_| !said.body.is_empty()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}
