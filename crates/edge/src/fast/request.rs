//! A client's request head: read into spans, judged, and written anew for the upstream in the same pass. Pure.
//!
//! Only what is plain is taken. A head that is unusual in any way (a method of its own, HTTP/1.0, an upgrade, a header
//! named hop by hop, anything that two programs could read differently) is not refused here: the general path reads the
//! same bytes and says what becomes of it. So there is one place that refuses, and a doubt costs speed, never meaning.

use std::mem::MaybeUninit;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::client::Client;
use crate::forwarded;
use crate::framing;
pub(crate) use crate::framing::{Framing, digits};
use crate::trace::Trace;

/// As many as the general path takes.
const HEADERS_COUNT_MAX: usize = 100;

/// Longer targets exist, and are not worth an eye of their own.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// What a request head turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading<'a> {
    /// There is more to come.
    Partial,
    /// Not plain: for the general path.
    Other,
    Plain(Plain<'a>),
}

/// What is known of a plain request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain<'a> {
    /// Bytes of the head, its empty line included.
    pub(crate) bytes: usize,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// How much of the target is its path, before the query.
    path_bytes: usize,
    /// As the client wrote it.
    pub(crate) host: &'a str,
    pub(crate) agent: &'a [u8],
    pub(crate) referer: &'a [u8],
    pub(crate) body: Framing,
    /// This is the last request of its connection.
    pub(crate) is_last: bool,
    /// The client waits to be told to go on before it sends the body, and the upstream is to say so.
    pub(crate) expects: bool,
}

impl Plain<'_> {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        &self.target[..self.path_bytes]
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.target.get(self.path_bytes + 1..)
    }

    /// May be asked twice without harm.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.is_idempotent() && self.body == Framing::None
    }

    /// May be asked twice without harm, if its body can be.
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
    }
}

fn path_bytes(target: &str) -> usize {
    target.bytes().position(|byte| byte == b'?').unwrap_or(target.len())
}

/// Reads a head, and writes its request line and the headers that are passed on to `out`. What was written counts for
/// nothing unless the head is plain.
pub(crate) fn read<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Reading<'a> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_COUNT_MAX];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Reading::Partial,
        Err(_) => return Reading::Other,
    };
    read_parsed(bytes, length, &request, out).map_or(Reading::Other, Reading::Plain)
}

fn read_parsed<'a>(
    bytes: &'a [u8],
    length: usize,
    request: &httparse::Request<'_, 'a>,
    out: &mut Vec<u8>,
) -> Option<Plain<'a>> {
    let (method, target) = (request.method?, request.path?);
    if request.version != Some(1)
        || !is_plain_method(method)
        || !is_plain_target(target)
        || has_bare_newline(&bytes[..length])
    {
        return None;
    }
    for part in [method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    let mut seen = Seen::default();
    for line in request.headers.iter() {
        if seen.look(line)? {
            write_line(out, line.name.as_bytes(), line.value);
        }
    }
    let body = seen.body()?;
    Some(Plain {
        bytes: length,
        method,
        target,
        path_bytes: path_bytes(target),
        host: seen.host?,
        agent: seen.agent.unwrap_or_default(),
        referer: seen.referer.unwrap_or_default(),
        body,
        is_last: seen.is_last,
        expects: seen.expects && body != Framing::None,
    })
}

/// The same for a head that came over HTTP/2 and was read by h2. `has_ended` tells that no body follows.
pub(crate) fn read_parts<'a>(parts: &'a Parts, has_ended: bool, out: &mut Vec<u8>) -> Option<Plain<'a>> {
    let (method, target) = (parts.method.as_str(), parts.uri.path_and_query()?.as_str());
    let host = parts.uri.authority()?.as_str();
    let is_ours = matches!(parts.uri.scheme_str(), Some("http" | "https"));
    if !is_ours || !is_plain_method(method) || !is_plain_target(target) {
        return None;
    }
    for part in [method, " ", target, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut seen = Seen { host: Some(host), ..Seen::default() };
    let mut has_cookie = false;
    for (name, value) in &parts.headers {
        match name.as_str() {
            // A second name, an answer with trailers, another way to wait: none of these is plain.
            "host" | "te" | "trailer" | "expect" | "connection" | "transfer-encoding" => return None,
            // HTTP/2 may send a cookie in crumbs, HTTP/1 may not (RFC 9113 8.2.3).
            "cookie" => {
                if !std::mem::replace(&mut has_cookie, true) {
                    write_cookie(out, &parts.headers);
                }
            }
            name => {
                if seen.look(&httparse::Header { name, value: value.as_bytes() })? {
                    write_line(out, name.as_bytes(), value.as_bytes());
                }
            }
        }
    }
    let body = match (has_ended, seen.length) {
        (true, None | Some(0)) => Framing::None,
        (false, None) => Framing::Chunked,
        (false, Some(length @ 1..)) => Framing::Length(length),
        // It says two things of itself.
        (true, Some(_)) | (false, Some(0)) => return None,
    };
    let (agent, referer) = (seen.agent.unwrap_or_default(), seen.referer.unwrap_or_default());
    let path_bytes = path_bytes(target);
    Some(Plain { bytes: 0, method, target, path_bytes, host, agent, referer, body, is_last: false, expects: false })
}

fn write_cookie(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut before: &[u8] = b"cookie: ";
    for crumb in headers.get_all(header::COOKIE) {
        out.extend_from_slice(before);
        out.extend_from_slice(crumb.as_bytes());
        before = b"; ";
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends the upstream's head with what we say about the client.
pub(crate) fn finish(out: &mut Vec<u8>, plain: &Plain<'_>, client: &Client, id: &[u8], trace: Option<&Trace>) {
    let facts = &client.facts;
    write_line(out, b"x-forwarded-for", facts.address.as_bytes());
    write_line(out, b"x-forwarded-proto", facts.proto.as_bytes());
    write_line(out, b"x-forwarded-host", plain.host.as_bytes());
    write_line(out, b"x-forwarded-port", facts.port.as_bytes());
    write_line(out, b"x-request-id", id);
    if let Some(trace) = trace {
        write_line(out, b"traceparent", &trace.parent());
    }
    if plain.expects {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if plain.body == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The value of the first header of that name, in a head that was read before.
pub(crate) fn find<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_COUNT_MAX];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(found.value)
}

/// The headers of a head that was read before, for routes that ask for them.
pub(crate) fn headers(head: &[u8]) -> Option<HeaderMap> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_COUNT_MAX];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    let mut map = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        map.append(HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(map)
}

/// What the headers say that matters here.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a str>,
    agent: Option<&'a [u8]>,
    referer: Option<&'a [u8]>,
    length: Option<u64>,
    is_chunked: bool,
    is_last: bool,
    expects: bool,
}

impl<'a> Seen<'a> {
    /// Whether the header is passed on; `None` when it makes the request one for the general path.
    fn look(&mut self, header: &httparse::Header<'a>) -> Option<bool> {
        let (name, value) = (header.name, header.value);
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            2 if is("te") => return Some(false),
            4 if is("host") => return self.take_host(value).map(|()| true),
            5 if is("proxy") => return Some(false),
            6 if is("expect") => {
                self.expects = value.eq_ignore_ascii_case(b"100-continue");
                return self.expects.then_some(false);
            }
            7 if is("upgrade") => return None,
            7 if is("trailer") => return Some(false),
            7 if is("referer") => {
                self.referer.get_or_insert(value);
            }
            10 if is("user-agent") => {
                self.agent.get_or_insert(value);
            }
            10 if is("connection") => return self.take_connection(value).map(|()| false),
            10 if is("tracestate") => return Some(false),
            10 if is("keep-alive") => return Some(false),
            11 if is("traceparent") => return Some(false),
            12 if is("x-request-id") => return Some(false),
            14 if is("content-length") => return self.take_length(value).map(|()| true),
            16 if is("proxy-connection") => return Some(false),
            17 if is("transfer-encoding") => return self.take_encoding(value).map(|()| false),
            _ => {}
        }
        Some(!is_claim(name))
    }

    fn take_host(&mut self, value: &'a [u8]) -> Option<()> {
        let host = std::str::from_utf8(value).ok()?;
        self.host.replace(host).is_none().then_some(())
    }

    /// Other options name headers, or ask for an upgrade.
    fn take_connection(&mut self, value: &[u8]) -> Option<()> {
        if value.eq_ignore_ascii_case(b"close") {
            self.is_last = true;
            return Some(());
        }
        value.eq_ignore_ascii_case(b"keep-alive").then_some(())
    }

    fn take_length(&mut self, value: &[u8]) -> Option<()> {
        let length = digits(value)?;
        (self.length.replace(length).is_none() && !self.is_chunked).then_some(())
    }

    fn take_encoding(&mut self, value: &[u8]) -> Option<()> {
        let is_first = !std::mem::replace(&mut self.is_chunked, true);
        (is_first && self.length.is_none() && value.eq_ignore_ascii_case(b"chunked")).then_some(())
    }

    fn body(&self) -> Option<Framing> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => None,
            (true, None) => Some(Framing::Chunked),
            (false, None | Some(0)) => Some(Framing::None),
            (false, Some(length)) => Some(Framing::Length(length)),
        }
    }
}

/// What a stranger says of itself, and what only we may say, in any case.
fn is_claim(name: &str) -> bool {
    const USUAL: usize = 64;
    let mut lower = [0; USUAL];
    match lower.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            std::str::from_utf8(lower).is_ok_and(|name| forwarded::is_claim(name, false))
        }
        None => forwarded::is_claim(&name.to_ascii_lowercase(), false),
    }
}

fn is_plain_method(method: &str) -> bool {
    matches!(method, "GET" | "POST" | "HEAD" | "PUT" | "PATCH" | "DELETE" | "OPTIONS")
}

/// The origin form, of letters that nobody decodes, cuts or rewrites on the way.
fn is_plain_target(target: &str) -> bool {
    target.starts_with('/') && target.len() <= TARGET_BYTES_MAX && target.bytes().all(|byte| PLAIN[usize::from(byte)])
}

const PLAIN: [bool; 256] = framing::letters_and(b"-._~!$&'()*+,;=:@/?%");

/// The parser tolerates lines that end in a bare line feed; we do not. Written so that it becomes a few wide compares.
fn has_bare_newline(head: &[u8]) -> bool {
    let first = head.first() == Some(&b'\n');
    let inner =
        head.iter().zip(&head[1..]).fold(false, |bare, (before, byte)| bare | ((*byte == b'\n') & (*before != b'\r')));
    first | inner
}

#[cfg(test)]
mod tests;
