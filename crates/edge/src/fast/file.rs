//! A file as the answer to a plain request.
//!
//! Which file, and what is said of it, is decided where it is for the general path: `files`. Here its head is written,
//! and its bytes go out: what is in memory with one write, and what is large straight from the system's memory to a
//! socket in clear text.

use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use rustix::net::SendFlags;
use tokio::io::{AsyncWrite as _, Interest};
use tokio::net::TcpStream;

use super::Connection;
use super::ask::head_of;
use super::exchange::After;
use super::request::{self, Framing, Plain};
use crate::body::Body;
use crate::client::Phase;
use crate::files::download::{Download, Sent};
use crate::files::{Answered, Ask};
use crate::forward;
use crate::forwarded;
use crate::record::Record;
use crate::respond::{self, Asker, Refusal};
use crate::secure::Terms;
use crate::stream::ClientStream;
use crate::table::RouteView;

/// Up to this size a body is copied behind its head, which costs less than the kernel's way through two slices.
const GATHER_BYTES_MAX: usize = 16 * 1024;

/// A plain request for a file.
pub(super) struct FileAsk {
    parts: Parts,
    route: Rc<RouteView>,
    record: Record,
    id: HeaderValue,
    terms: Terms,
    is_last: bool,
}

impl Connection {
    /// A request that a route of files has taken; `None` when the general path is to read it.
    pub(super) fn ask_file(&self, plain: &Plain<'_>, route: Rc<RouteView>, tls_only: bool) -> Option<FileAsk> {
        if plain.body != Framing::None {
            return None;
        }
        let method = Method::from_bytes(plain.method.as_bytes()).ok()?;
        let (mut parts, ()) = Request::builder().method(method).uri(plain.target).body(()).ok()?.into_parts();
        parts.headers = request::headers(&self.read[..plain.bytes])?;
        let mut record = Record::begin(&self.core, self.core.clock.now());
        let (id, trace) = (self.core.request_id(), self.core.fresh_trace());
        record.describe(&head_of(plain, Version::HTTP_11), &self.client, &id, trace.as_ref());
        record.route(&route);
        let id = HeaderValue::from_bytes(&id).expect("hexadecimal digits are a header value");
        let terms = Terms::plain(tls_only);
        Some(FileAsk { parts, route, record, id, terms, is_last: plain.is_last })
    }

    /// Finds the file and sends it.
    pub(super) async fn answer_file(&mut self, ask: FileAsk) -> After {
        let FileAsk { parts, route, record, id, terms, is_last } = ask;
        let is_last = is_last || self.core.stopping.is_stopping();
        self.client.pace.enter(Phase::Upstream);
        let found: Answered = match Ask::new(&self.core, &terms, &self.client.pace, &route, &parts) {
            Some(ask) => ask.answer(record, is_last).await,
            None => Err((Refusal::NO_FILE, record)),
        };
        let mut is_last = is_last;
        let response = found.unwrap_or_else(|(refusal, mut record)| {
            record.refuse(refusal.status, refusal.reason);
            is_last |= refusal.closes();
            let accept = parts.headers.get(header::ACCEPT);
            let is_head = parts.method == Method::HEAD;
            let asker = Asker { accept, id: Some(&id), is_head, tls: terms.tls_only, close: is_last };
            let response = forward::refuse(refusal, &asker, &self.core, Some(&route));
            record.send(response.body().size_hint().lower());
            response
        });
        let mut sending = self.begin_sending(response, id);
        let is_sent = std::future::poll_fn(|cx| self.poll_sending(cx, &mut sending)).await;
        drop(sending);
        self.client.pace.enter(Phase::Waiting);
        if is_sent && !is_last { After::Next } else { After::Close }
    }

    fn begin_sending(&self, mut response: Response<Body>, id: HeaderValue) -> Sending {
        let has_length = response.headers().contains_key(header::CONTENT_LENGTH);
        if !has_length && response.status() != StatusCode::NOT_MODIFIED {
            let length = response.body().size_hint().lower();
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response.headers_mut().insert(forwarded::REQUEST_ID, id);
        let (parts, body) = response.into_parts();
        let mut head = respond::write_h1_head(&parts, &self.core.date());
        let (chunk, rest) = match body {
            Body::File(download) => (Bytes::new(), Some(download)),
            Body::Full(Some(page)) => {
                head.extend_from_slice(&page);
                (Bytes::new(), None)
            }
            _ => (Bytes::new(), None),
        };
        self.client.pace.enter(Phase::Download);
        let mut sending = Sending { head, written: 0, chunk, rest };
        if matches!(self.stream, ClientStream::Plain(_)) && sending.rest.as_mut().is_some_and(|rest| rest.may_send()) {
            return sending;
        }
        // What is at hand goes with the head.
        let mut context = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(Some(chunk)) = sending.poll_next(&mut context) {
            sending.chunk = chunk;
            if sending.chunk.len() <= GATHER_BYTES_MAX {
                sending.head.extend_from_slice(&std::mem::take(&mut sending.chunk));
            }
            if sending.rest.is_none() {
                self.client.pace.enter(Phase::Download);
            }
        }
        sending
    }

    /// True when the client has taken all of it.
    fn poll_sending(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<bool> {
        self.client.pace.deadline.wakes(cx.waker());
        match self.poll_sending_on(cx, sending) {
            Poll::Pending if self.client.pace.is_expired() => Poll::Ready(false),
            polled => polled,
        }
    }

    fn poll_sending_on(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<bool> {
        loop {
            while sending.has_bytes() {
                let polled = sending.poll_write(&mut self.stream, cx);
                self.client.is_blocked(&self.stream, polled.is_pending());
                let written = match ready!(polled) {
                    Ok(written @ 1..) => written,
                    Ok(0) | Err(_) => return Poll::Ready(false),
                };
                self.client.wrote(written);
                sending.forget(written);
            }
            let Some(rest) = &mut sending.rest else {
                let flushed = Pin::new(&mut self.stream).poll_flush(cx);
                self.client.is_blocked(&self.stream, flushed.is_pending());
                return flushed.map(|flushed| flushed.is_ok());
            };
            if let ClientStream::Plain(socket) = &self.stream {
                let polled = rest.poll_send(socket, cx);
                self.client.is_blocked(&self.stream, polled.is_pending());
                match ready!(polled) {
                    Sent::Some(sent) => {
                        self.client.wrote(sent);
                        if rest.left() == 0 {
                            sending.rest = None;
                        }
                        continue;
                    }
                    Sent::Cut => return Poll::Ready(false),
                    Sent::NotThisWay => {}
                }
            }
            let Some(chunk) = ready!(sending.poll_next(cx)) else { return Poll::Ready(false) };
            if sending.rest.is_none() {
                self.client.pace.enter(Phase::Download);
            }
            sending.chunk = chunk;
        }
    }
}

/// What is still to be sent of an answer.
struct Sending {
    head: Vec<u8>,
    /// Of the head.
    written: usize,
    chunk: Bytes,
    rest: Option<Box<Download>>,
}

impl Sending {
    fn has_bytes(&self) -> bool {
        self.written < self.head.len() || !self.chunk.is_empty()
    }

    /// More of the file; `None` when there is none, or it was cut. The download is dropped with its last bytes, which
    /// writes the record before the client can know that it has all.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let chunk = match ready!(rest.poll_frame(cx)) {
            Some(Ok(frame)) => frame.into_data().ok(),
            Some(Err(_)) => None,
            // A file without bytes.
            None => Some(Bytes::new()),
        };
        if rest.left() == 0 {
            self.rest = None;
        }
        Poll::Ready(chunk)
    }

    fn poll_write(&self, stream: &mut ClientStream, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let stream = Pin::new(stream);
        match (&self.head[self.written..], &self.chunk[..]) {
            (head, []) => match stream.get_mut() {
                ClientStream::Plain(socket) if self.rest.is_some() => poll_write_more(socket, cx, head),
                stream => Pin::new(stream).poll_write(cx, head),
            },
            ([], chunk) => stream.poll_write(cx, chunk),
            (head, chunk) => {
                stream.poll_write_vectored(cx, &[std::io::IoSlice::new(head), std::io::IoSlice::new(chunk)])
            }
        }
    }

    fn forget(&mut self, written: usize) {
        let of_head = written.min(self.head.len() - self.written);
        self.written += of_head;
        self.chunk.advance(written - of_head);
        if self.chunk.is_empty() {
            // Its download reads the next one into the same memory, once nobody holds it.
            self.chunk = Bytes::new();
        }
    }
}

/// Writes a head whose file follows at once: the kernel puts both into one packet.
fn poll_write_more(socket: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        match socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(socket, bytes, flags)?)) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            sent => return Poll::Ready(sent),
        }
    }
}
