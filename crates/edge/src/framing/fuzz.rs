//! What must hold for any bytes; the entries are in `crate::fuzz`. hyper, whose reading is compared with ours, is polled by
//! hand: there is nothing to wait for.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::chunks::Chunks;
use super::{Framing, Gate, Scan, Verdict};
use crate::body::Body;

/// As large as any input; hyper wants no less than this.
const HEAD_BYTES_MAX: usize = 8 * 1024;

pub(crate) fn fuzz_head(bytes: &[u8]) {
    let Some(verdict) = Scan::default().look(bytes) else { return };
    let mut longer = bytes.to_vec();
    longer.extend_from_slice(b"more\r\n\r\n");
    assert_eq!(Scan::default().look(&longer), Some(verdict), "what follows a head does not matter");
    if let Verdict::Safe(length, _) = verdict {
        assert_eq!(Scan::default().look(&bytes[..length - 1]), None, "and it ends no sooner");
    }
    let mut scan = Scan::default();
    let pieces = (1..=bytes.len()).find_map(|length| scan.look(&bytes[..length]));
    assert_eq!(pieces, Some(verdict), "pieces make no difference");
}

pub(crate) fn fuzz_gate(bytes: &[u8], cut: usize) {
    let ours = read(bytes);
    let cut = cut.min(bytes.len());
    for is_gated in [true, false] {
        for pieces in [vec![bytes], vec![&bytes[..cut], &bytes[cut..]]] {
            let seen = read_by_hyper(&pieces, is_gated);
            let both = seen.len().min(ours.len());
            assert_eq!(seen[..both], ours[..both], "hyper reads something else, with a gate: {is_gated}");
            let beyond = seen.get(both..).unwrap_or_default();
            let is_over = beyond.len() <= 1 && beyond.iter().all(|(_, body)| body.is_none());
            assert!(!is_gated || is_over, "passed, and should not have: {beyond:?}");
        }
    }
}

/// A request as somebody read it: its first line, and its body if that came to its end.
type Seen = (String, Option<Vec<u8>>);

/// All requests, up to the first that is not whole, or not framed as it must be.
fn read(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(Verdict::Safe(length, framing)) = Scan::default().look(bytes) {
        let (head, rest) = bytes.split_at(length);
        let Some((taken, body)) = read_body(framing, rest) else { break };
        let first = head.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
        let mut words = first.split(|&byte| byte == b' ').map(String::from_utf8_lossy);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        seen.push((first_line(&method, &target), Some(body)));
        bytes = &rest[taken..];
    }
    seen
}

fn read_body(framing: Framing, rest: &[u8]) -> Option<(usize, Vec<u8>)> {
    match framing {
        Framing::None => Some((0, Vec::new())),
        Framing::Length(length) => {
            let body = rest.get(..usize::try_from(length).ok()?)?;
            Some((body.len(), body.to_vec()))
        }
        Framing::Chunked => {
            let (mut chunks, mut data) = (Chunks::default(), Vec::new());
            let taken = chunks.take(rest, |some| data.extend_from_slice(some)).ok()?;
            chunks.has_ended().then_some((taken, data))
        }
    }
}

/// Targets in other forms are written by each in his way.
fn first_line(method: &str, target: &str) -> String {
    format!("{method} {}", if target.starts_with('/') { target } else { "?" })
}

/// What hyper makes of the same bytes.
fn read_by_hyper(pieces: &[&[u8]], is_gated: bool) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let wire = Wire {
        pieces: pieces.iter().rev().map(|piece| Bytes::copy_from_slice(piece)).collect(),
        gate: is_gated.then(|| Gate::new(HEAD_BYTES_MAX)),
        facts: Rc::new(Facts { is_answered: Cell::new(true), is_unsafe: Cell::new(false) }),
    };
    let polls = pieces.concat().len() + 16;
    let service = {
        let (seen, facts) = (Rc::clone(&seen), Rc::clone(&wire.facts));
        service_fn(move |request: Request<Incoming>| {
            facts.is_answered.set(false);
            answer(Rc::clone(&seen), Rc::clone(&facts), request)
        })
    };
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_header_size(HEAD_BYTES_MAX).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(wire, service));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    seen.take()
}

/// As the edge does: the body of an unsafe request is never read.
async fn answer(
    seen: Rc<RefCell<Vec<Seen>>>,
    facts: Rc<Facts>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let first = first_line(request.method().as_str(), &request.uri().to_string());
    let body = if facts.is_unsafe.get() { None } else { collect(request.into_body()).await };
    seen.borrow_mut().push((first, body));
    facts.is_answered.set(true);
    let mut response = Response::new(Body::Empty);
    if facts.is_unsafe.get() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn collect(mut body: Incoming) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        data.extend_from_slice(frame.ok()?.data_ref().unwrap_or(&Bytes::new()));
    }
    Some(data)
}

/// What the two ends of a connection know of each other.
struct Facts {
    is_answered: Cell<bool>,
    is_unsafe: Cell<bool>,
}

/// A client that has said all it has to say.
struct Wire {
    /// The first is the last of these.
    pieces: Vec<Bytes>,
    gate: Option<Gate>,
    facts: Rc<Facts>,
}

impl hyper::rt::Read for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Wire { pieces, gate, facts } = self.get_mut();
        let Some(gate) = gate else {
            if let Some(piece) = pieces.last_mut() {
                let taken = piece.split_to(piece.len().min(into.remaining()));
                into.put_slice(&taken);
                if piece.is_empty() {
                    pieces.pop();
                }
            }
            return Poll::Ready(Ok(()));
        };
        let mut piece = Bytes::new();
        loop {
            let limit = into.remaining();
            let passed = gate.pass(&piece, limit, facts.is_answered.get(), |bytes| into.put_slice(bytes))?;
            facts.is_unsafe.set(gate.is_unsafe());
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
            if gate.is_full() {
                return Poll::Pending;
            }
            match pieces.pop() {
                Some(next) => piece = next,
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
