//! Bodies, both ways, as plain enums: what streams is never collected, and nothing is boxed twice.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::client::{Pace, Phase};
use crate::files::download::Download;
use crate::forward::Carbon;
use crate::forwarded;
use crate::framing::chunks::BadChunk;
use crate::link::Link;
use crate::record::Record;
use crate::upstream::Seat;

/// What is sent to a client.
pub(crate) enum Body {
    Empty,
    Full(Option<Bytes>),
    Upstream(Box<Passage>),
    File(Box<Download>),
}

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Body {
        Body::Full(Some(bytes))
    }
}

/// Why a body ended before its end. hyper then cuts the connection, which is how the other side learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyCut {
    Upstream,
    Stalled,
    Idle,
    TooLarge,
    Framing,
    Client,
    File,
}

impl BodyCut {
    /// As the access log names it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            BodyCut::Upstream => "upstream",
            BodyCut::Stalled => "stalled",
            BodyCut::Idle => "idle",
            BodyCut::TooLarge => "too_large",
            BodyCut::Framing => "framing",
            BodyCut::Client => "client",
            BodyCut::File => "file",
        }
    }
}

impl fmt::Display for BodyCut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            BodyCut::Upstream => "the upstream ended its answer early",
            BodyCut::Stalled => "the body made no progress for too long",
            BodyCut::Idle => "the upstream said nothing more for too long",
            BodyCut::TooLarge => "the request body is larger than the route accepts",
            BodyCut::Framing => "the request body is not framed as it must be",
            BodyCut::Client => "the client ended its request early",
            BodyCut::File => "the file changed or could not be read to its end",
        })
    }
}

impl BodyCut {
    /// What an HTTP/2 client is told of an answer that ends early.
    pub(crate) fn reason(self) -> h2::Reason {
        match self {
            BodyCut::TooLarge | BodyCut::Framing | BodyCut::Client => h2::Reason::CANCEL,
            BodyCut::Upstream | BodyCut::Stalled | BodyCut::Idle | BodyCut::File => h2::Reason::INTERNAL_ERROR,
        }
    }
}

/// What an HTTP/2 peer is told of a body that is given up on purpose.
static CANCEL: LazyLock<h2::Error> = LazyLock::new(|| h2::Reason::CANCEL.into());

impl std::error::Error for BodyCut {
    /// Where hyper finds the reason to reset a stream with; without one it blames itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyCut::TooLarge | BodyCut::Framing | BodyCut::Client => Some(&*CANCEL),
            BodyCut::Upstream | BodyCut::Stalled | BodyCut::Idle | BodyCut::File => None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        match self.get_mut() {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Upstream(passage) => passage.poll_frame(cx),
            Body::File(download) => download.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty | Body::Full(None) => true,
            Body::Full(Some(bytes)) => bytes.is_empty(),
            Body::Upstream(passage) => passage.incoming.is_end_stream(),
            Body::File(download) => download.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty | Body::Full(None) => SizeHint::with_exact(0),
            Body::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Body::Upstream(passage) => passage.incoming.size_hint(),
            Body::File(download) => SizeHint::with_exact(download.left()),
        }
    }
}

/// An upstream's answer on its way to the client. It owns everything the request holds: dropping it, at the end or when
/// the client has gone, gives back the seat, returns or closes the upstream connection, and writes the record.
pub(crate) struct Passage {
    incoming: Incoming,
    /// The end was seen; a body without length shows it only by ending.
    has_ended: bool,
    /// Told to hyper at the next poll, after it has sent what it holds: a client gets all that there was.
    cut: Option<BodyCut>,
    link: Option<Box<Link>>,
    seat: Seat,
    record: Record,
    pace: Rc<Pace>,
}

impl Passage {
    /// Turns an upstream's response into the client's. `idle` is how long the upstream may be silent within it.
    pub(crate) fn wrap(
        response: Response<Incoming>,
        link: Box<Link>,
        seat: Seat,
        record: Record,
        pace: Rc<Pace>,
        idle: Duration,
    ) -> Response<Body> {
        use http_body::Body as _;
        let has_length = response.body().size_hint().exact().is_some();
        pace.pass_on((!has_length).then_some(idle));
        response.map(|incoming| {
            let passage = Passage { incoming, has_ended: false, cut: None, link: Some(link), seat, record, pace };
            Body::Upstream(Box::new(passage))
        })
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        use http_body::Body as _;
        if let Some(cut) = self.cut {
            return Poll::Ready(Some(Err(cut)));
        }
        let polled = match &mut self.link {
            Some(link) if !link.is_shared() => {
                link.poll(cx);
                // Whatever arrives, arrived in the call above, made by this task: the body itself need wake nobody.
                Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
            }
            _ => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.pace.offer(length);
                self.record.send(length as u64);
                // hyper does not ask for what comes after trailers: nothing does.
                self.has_ended |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "upstream body cut");
                // It may have failed for what the client sent meanwhile.
                let why = self.record.meter().and_then(|meter| meter.cut.get());
                self.cut(why.unwrap_or(BodyCut::Upstream), cx)
            }
            Poll::Ready(None) => {
                self.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.pace.await_upstream();
                if self.pace.is_expired() { self.cut(self.pace.why_cut(), cx) } else { Poll::Pending }
            }
        }
    }

    fn cut(&mut self, why: BodyCut, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        self.link = None;
        self.cut = Some(why);
        self.record.cut(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        use http_body::Body as _;
        if self.has_ended || self.incoming.is_end_stream() {
            if let Some(link) = self.link.take() {
                self.seat.give_back(link);
            }
        } else if !self.record.is_cut() {
            self.record.cut(if self.pace.is_expired() { self.pace.why_cut() } else { BodyCut::Client });
        }
        if self.record.meter().is_some_and(|meter| !meter.has_ended.get()) {
            self.pace.leave_unread();
        }
        self.pace.enter(Phase::Waiting);
    }
}

/// What comes from a client, over either protocol.
pub(crate) enum ClientBody {
    Empty,
    Http1(Incoming),
    /// With what is left of the length that was announced.
    Http2(RecvStream, Option<u64>),
}

impl ClientBody {
    /// The body of a request with this head over HTTP/2. h2 has seen to it that a length is what it says.
    pub(crate) fn stream(recv: RecvStream, headers: &HeaderMap) -> ClientBody {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        ClientBody::Http2(recv, announced)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        use http_body::Body as _;
        match self {
            ClientBody::Empty => true,
            ClientBody::Http1(incoming) => incoming.is_end_stream(),
            ClientBody::Http2(recv, _) => recv.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        use http_body::Body as _;
        match self {
            ClientBody::Empty => SizeHint::with_exact(0),
            ClientBody::Http1(incoming) => incoming.size_hint(),
            ClientBody::Http2(_, left) => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        use http_body::Body as _;
        match self {
            ClientBody::Empty => Poll::Ready(None),
            ClientBody::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(|error| {
                tracing::debug!(%error, "client body cut");
                if BadChunk::is_cause_of(&error) { BodyCut::Framing } else { BodyCut::Client }
            }),
            ClientBody::Http2(recv, left) => poll_recv(recv, left, cx).map_err(|error| {
                tracing::debug!(%error, "client body cut");
                BodyCut::Client
            }),
        }
    }
}

fn poll_recv(
    recv: &mut RecvStream,
    left: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    match ready!(recv.poll_data(cx)) {
        Some(Ok(bytes)) => {
            // Whoever asks takes it now, so that the client may send as much again.
            let _ = recv.flow_control().release_capacity(bytes.len());
            *left = left.map(|left| left.saturating_sub(bytes.len() as u64));
            Poll::Ready(Some(Ok(Frame::data(bytes))))
        }
        Some(Err(error)) => Poll::Ready(Some(Err(error))),
        None => recv.poll_trailers(cx).map(|trailers| trailers.transpose().map(|read| read.map(Frame::trailers))),
    }
}

/// What is sent to an upstream.
pub(crate) enum Upload {
    Empty,
    Stream {
        incoming: ClientBody,
        meter: Rc<Meter>,
    },
    /// All of it at once, of a copy.
    Whole(Bytes),
}

/// What is known about a request body while hyper has it.
pub(crate) struct Meter {
    pub(crate) bytes: Cell<u64>,
    pub(crate) cut: Cell<Option<BodyCut>>,
    pub(crate) has_ended: Cell<bool>,
    body_max: u64,
    pace: Rc<Pace>,
    answer_timeout: Duration,
    carbon: Carbon,
    /// The client is to be told to go on when its body is first asked for.
    tells_continue: Cell<bool>,
}

impl Meter {
    pub(crate) fn new(body_max: u64, pace: Rc<Pace>, answer_timeout: Duration, carbon: Carbon) -> Meter {
        let (bytes, cut, has_ended) = (Cell::new(0), Cell::new(None), Cell::new(false));
        let tells_continue = Cell::new(pace.holds_body());
        Meter { bytes, cut, has_ended, body_max, pace, answer_timeout, carbon, tells_continue }
    }

    fn count(&self, bytes: usize) -> Result<(), BodyCut> {
        self.pace.deadline.progress();
        self.pace.deadline.moved(bytes);
        self.bytes.set(self.bytes.get() + bytes as u64);
        if self.bytes.get() > self.body_max {
            return Err(self.cut(BodyCut::TooLarge));
        }
        Ok(())
    }

    /// The upstream has the whole request: its time begins, unless it has answered already.
    fn end(&self) {
        self.has_ended.set(true);
        self.carbon.send();
        if self.pace.phase() == Phase::Upload {
            self.pace.await_answer(self.answer_timeout);
        }
    }

    fn cut(&self, why: BodyCut) -> BodyCut {
        self.cut.set(Some(why));
        why
    }
}

impl Upload {
    fn poll_incoming(
        incoming: &mut ClientBody,
        meter: &Meter,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        if meter.pace.keeps_holding_body() {
            return Poll::Pending;
        }
        if meter.tells_continue.replace(false)
            && let (ClientBody::Http2(..), Some(interims)) = (&*incoming, meter.pace.interims())
        {
            // Over HTTP/1 hyper says it at this moment.
            interims.say(StatusCode::CONTINUE, HeaderMap::new());
        }
        let Poll::Ready(polled) = incoming.poll_frame(cx) else {
            // Once the answer has begun, the two may have agreed to talk at their leisure.
            if meter.pace.phase() == Phase::Upload {
                meter.pace.deadline.awaits_body();
            }
            return Poll::Pending;
        };
        let frame = match polled {
            Some(Ok(frame)) => frame,
            Some(Err(cut)) => return Poll::Ready(Some(Err(meter.cut(cut)))),
            None => {
                meter.end();
                return Poll::Ready(None);
            }
        };
        if let Err(cut) = meter.count(frame.data_ref().map_or(0, Bytes::len)) {
            return Poll::Ready(Some(Err(cut)));
        }
        if let Some(bytes) = frame.data_ref() {
            meter.carbon.write(bytes);
        }
        if frame.is_trailers() || incoming.is_end_stream() {
            meter.end();
        }
        Poll::Ready(Some(Ok(admit_trailers(frame))))
    }
}

/// Some frameworks add trailers to the headers, where a stranger's word about itself must not be.
fn admit_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        forwarded::remove_claims(trailers, false);
    }
    frame
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        match self.get_mut() {
            Upload::Empty => Poll::Ready(None),
            Upload::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Upload::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Upload::Stream { incoming, meter } => Upload::poll_incoming(incoming, meter, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Empty => true,
            Upload::Whole(bytes) => bytes.is_empty(),
            Upload::Stream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Upload::Stream { incoming, .. } => incoming.size_hint(),
        }
    }
}
