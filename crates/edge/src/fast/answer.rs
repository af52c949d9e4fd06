//! An upstream's answer head: read into spans and written anew for the client in the same pass. Pure.

use std::mem::MaybeUninit;

use http::StatusCode;

use super::chunks::Chunks;
use super::request::{digits, write_line};
use crate::respond::{AnswerHeaders, Meeting, Said};

const HEADERS_COUNT_MAX: usize = 100;

/// What an answer head turned out to be.
#[derive(Debug)]
pub(crate) enum Reading {
    /// There is more to come.
    Partial,
    /// No usable answer.
    Bad,
    /// 1xx, of so many bytes: the answer is still to come.
    Interim(usize),
    Final(Answer),
}

/// What is known of a final answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Bytes of the head, its empty line included.
    pub(crate) bytes: usize,
    pub(crate) status: StatusCode,
    pub(crate) body: Body,
    /// The upstream may be asked again on this connection.
    pub(crate) is_kept: bool,
}

/// How an answer's body goes on.
#[derive(Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunks),
    UntilClose,
}

/// What we say with every answer.
pub(crate) struct Ours<'a> {
    pub(crate) id: &'a [u8],
    /// Of now, for an answer that has none.
    pub(crate) date: &'a [u8],
    pub(crate) headers: &'a AnswerHeaders,
    pub(crate) tls: bool,
    /// It is the last one of its connection.
    pub(crate) is_last: bool,
}

/// Where a client's head is written, in the form of its protocol.
pub(crate) trait Paper {
    /// Begins a head.
    fn begin(&mut self, status: StatusCode, reason: &str);

    /// `None` when the line cannot be said in this form.
    fn line(&mut self, name: &str, value: &[u8]) -> Option<()>;

    fn length(&mut self, length: u64);

    /// The body's length is shown by its end.
    fn unlimited(&mut self);

    /// Adds what we say with every answer: of `ours.headers` what the app has not `said`, and the date if it has none.
    fn close(&mut self, ours: &Ours<'_>, said: Said, has_date: bool);

    /// Ends a head that is not the last one.
    fn close_interim(&mut self);

    /// How much is written, and back to there.
    fn mark(&self) -> usize;
    fn undo(&mut self, mark: usize);
}

/// HTTP/1.1.
impl Paper for Vec<u8> {
    fn begin(&mut self, status: StatusCode, reason: &str) {
        self.extend_from_slice(b"HTTP/1.1 ");
        self.extend_from_slice(status.as_str().as_bytes());
        self.push(b' ');
        self.extend_from_slice(reason.as_bytes());
        self.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, name: &str, value: &[u8]) -> Option<()> {
        write_line(self, name.as_bytes(), value);
        Some(())
    }

    fn length(&mut self, length: u64) {
        self.extend_from_slice(b"content-length: ");
        crate::json::number(self, length);
        self.extend_from_slice(b"\r\n");
    }

    fn unlimited(&mut self) {
        self.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }

    fn close(&mut self, ours: &Ours<'_>, said: Said, has_date: bool) {
        ours.headers.write(self, said, ours.tls);
        write_line(self, b"x-request-id", ours.id);
        if !has_date {
            write_line(self, b"date", ours.date);
        }
        if ours.is_last {
            self.extend_from_slice(b"connection: close\r\n");
        }
        self.extend_from_slice(b"\r\n");
    }

    fn close_interim(&mut self) {
        self.extend_from_slice(b"\r\n");
    }

    fn mark(&self) -> usize {
        self.len()
    }

    fn undo(&mut self, mark: usize) {
        self.truncate(mark);
    }
}

/// Whether a head that was read to its end says `100 Continue`.
pub(crate) fn is_continue(head: &[u8]) -> bool {
    head.get(9..12) == Some(b"100")
}

/// Reads a head and writes the client's to `out`. `is_head` tells that HEAD was asked.
pub(crate) fn read(bytes: &[u8], is_head: bool, ours: &Ours<'_>, out: &mut impl Paper) -> Reading {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_COUNT_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    match parsed {
        Ok(httparse::Status::Complete(length)) => {
            let start = out.mark();
            let reading = read_parsed(length, &response, is_head, ours, out);
            if reading.is_none() {
                out.undo(start);
            }
            reading.unwrap_or(Reading::Bad)
        }
        Ok(httparse::Status::Partial) => Reading::Partial,
        Err(_) => Reading::Bad,
    }
}

fn read_parsed(
    length: usize,
    response: &httparse::Response<'_, '_>,
    is_head: bool,
    ours: &Ours<'_>,
    out: &mut impl Paper,
) -> Option<Reading> {
    let status = StatusCode::from_u16(response.code?).ok()?;
    let mut seen = Seen::new(response.version == Some(1));
    match status.as_u16() {
        // What it means to the client depends on whether that waits for it.
        100 => return Some(Reading::Interim(length)),
        // Nobody asked for another protocol.
        101 => return None,
        _ => {}
    }
    out.begin(status, response.reason.unwrap_or_default());
    let names_others = seen.look_at_connection(response.headers);
    for header in response.headers.iter() {
        if !seen.look(header)? || (names_others && is_named(header.name, response.headers)) {
            continue;
        }
        match ours.headers.meet(header.name.as_bytes()) {
            Meeting::Drop => continue,
            Meeting::Says(one) => seen.said |= one,
            Meeting::Pass => {}
        }
        out.line(header.name, header.value)?;
    }
    if status.is_informational() {
        out.close_interim();
        return Some(Reading::Interim(length));
    }
    let body = seen.body(status, is_head, out)?;
    out.close(ours, seen.said, seen.has_date);
    let is_kept = seen.is_kept && !matches!(body, Body::UntilClose);
    Some(Reading::Final(Answer { bytes: length, status, body, is_kept }))
}

/// What the headers say that matters here.
struct Seen {
    is_http_11: bool,
    is_kept: bool,
    length: Option<u64>,
    /// `Transfer-Encoding` is there, and the last coding is `chunked`.
    chunked: Option<bool>,
    has_date: bool,
    /// Of what we would say.
    said: Said,
}

impl Seen {
    fn new(is_http_11: bool) -> Seen {
        Seen { is_http_11, is_kept: is_http_11, length: None, chunked: None, has_date: false, said: Said::default() }
    }

    /// True when it names headers that belong to the connection.
    fn look_at_connection(&mut self, headers: &[httparse::Header<'_>]) -> bool {
        let (mut closes, mut keeps, mut names_others) = (false, false, false);
        for token in connection_tokens(headers) {
            if token.eq_ignore_ascii_case(b"close") {
                closes = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                keeps = true;
            } else {
                names_others |= !token.is_empty();
            }
        }
        self.is_kept = !closes && (self.is_http_11 || keeps);
        names_others
    }

    /// Whether the header is passed on as it is; `None` when the answer is not usable.
    fn look(&mut self, header: &httparse::Header<'_>) -> Option<bool> {
        let (name, value) = (header.name, header.value);
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        Some(match name.len() {
            2 => !is("te"),
            4 => {
                self.has_date |= is("date");
                true
            }
            7 => !is("trailer") && !is("upgrade"),
            10 => !is("connection") && !is("keep-alive"),
            12 => !is("x-request-id"),
            14 if is("content-length") => {
                self.take_length(value)?;
                false
            }
            16 => !is("proxy-connection"),
            17 if is("transfer-encoding") => {
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                self.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
                false
            }
            _ => true,
        })
    }

    /// Equal repetitions count once.
    fn take_length(&mut self, value: &[u8]) -> Option<()> {
        for one in value.split(|&byte| byte == b',') {
            let length = digits(one.trim_ascii())?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return None;
            }
        }
        Some(())
    }

    /// How the body is delimited, said to the client too.
    fn body(&mut self, status: StatusCode, is_head: bool, out: &mut impl Paper) -> Option<Body> {
        if self.chunked.is_some() && !self.is_http_11 {
            return None;
        }
        if is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            if let Some(length) = self.length.filter(|_| status != StatusCode::NO_CONTENT && self.chunked.is_none()) {
                out.length(length);
            }
            return Some(Body::Length(0));
        }
        match (self.chunked, self.length) {
            // Nobody could tell where it ends, or what it is.
            (Some(false), _) => None,
            (Some(true), _) => {
                // With a length beside it, a server before this one may have read it in the other way.
                self.is_kept &= self.length.is_none();
                out.unlimited();
                Some(Body::Chunked(Chunks::default()))
            }
            (None, Some(length)) => {
                out.length(length);
                Some(Body::Length(length))
            }
            (None, None) => {
                out.unlimited();
                Some(Body::UntilClose)
            }
        }
    }
}

fn connection_tokens<'a>(headers: &'a [httparse::Header<'_>]) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(|header| header.name.len() == 10 && header.name.eq_ignore_ascii_case("connection"))
        .flat_map(|header| header.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether `Connection` names the header, and may: what both sides rely on cannot be taken away.
fn is_named(name: &str, headers: &[httparse::Header<'_>]) -> bool {
    connection_tokens(headers).any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
        && !crate::admit::is_kept_when_named(name)
}

#[cfg(test)]
mod tests;
