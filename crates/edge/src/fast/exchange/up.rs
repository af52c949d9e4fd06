//! The request on its way to the upstream.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use super::{After, Exchange};
use crate::client::{Pace, Phase};
use crate::fast::Connection;
use crate::fast::link::BareLink;
use crate::fast::pending::Pending;
use crate::fast::request::Framing;
use crate::framing::chunks::{self, Chunks};
use crate::respond::Refusal;
use crate::stream::Scratch;

/// What is left of a request to be sent.
pub(crate) struct Up {
    pub(crate) pending: Pending,
    pub(crate) body: Source,
    /// Something of it has been taken by the upstream's socket.
    pub(crate) is_begun: bool,
    /// Of the body, so far.
    pub(in crate::fast) bytes: u64,
    /// The upstream takes no more of it; it may still answer.
    pub(super) is_broken: bool,
    /// Its body is with the client, until the upstream has said whether it wants it.
    pub(crate) waits: bool,
}

/// What is still to be read of a request's body.
pub(crate) enum Source {
    Ended,
    Length(u64),
    Chunked(Box<Chunks>),
}

impl Source {
    pub(crate) fn new(framing: Framing) -> Source {
        match framing {
            Framing::None => Source::Ended,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Box::default()),
        }
    }
}

impl Up {
    pub(crate) fn new(framing: Framing, head: Vec<u8>) -> Up {
        let (pending, body) = (Pending::of(head), Source::new(framing));
        Up { pending, body, is_begun: false, bytes: 0, is_broken: false, waits: false }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.pending.into_buffer()
    }

    /// Something of it is still to be sent, and the upstream takes it.
    pub(in crate::fast) fn is_going(&self) -> bool {
        !self.is_broken && !self.has_ended()
    }

    /// Sends what waits.
    pub(in crate::fast) fn poll_pending(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut BareLink,
        pace: &Pace,
    ) -> Poll<Result<(), Stop>> {
        let waiting = self.pending.len();
        let written = self.pending.poll_write(&mut link.stream, cx);
        if self.pending.len() < waiting {
            pace.deadline.progress();
        }
        match ready!(written) {
            Ok(()) => {
                self.is_begun = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.is_begun |= self.pending.has_begun();
                tracing::debug!(%error, "upstream takes no more of a request");
                Poll::Ready(Err(Stop::Upstream))
            }
        }
    }

    /// There is more to come than what was pushed.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.body, Source::Ended)
    }

    /// The upstream has all of it.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.body, Source::Ended) && self.pending.is_empty()
    }
}

/// Why a piece of a body is not passed on.
pub(in crate::fast) enum Stop {
    Upstream,
    Refuse(Refusal),
}

impl Connection {
    /// Sends what there is of the request. `Some` when the exchange is over.
    pub(super) fn move_up(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut BareLink,
        exchange: &mut Exchange,
    ) -> Option<After> {
        if !exchange.up.is_going() {
            return None;
        }
        let polled = self.poll_up(cx, link, exchange);
        exchange.judge_up(&polled, &self.client.pace)
    }

    /// Ready when a client that waits to be told to go on does so unasked.
    fn poll_begins_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        match ready!(self.poll_read_more(cx)) {
            Ok(1..) => Poll::Ready(Ok(())),
            Ok(0) | Err(_) => Poll::Ready(Err(Stop::Refuse(Refusal::CLIENT_GONE))),
        }
    }

    fn poll_up(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut BareLink,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Stop>> {
        loop {
            ready!(exchange.up.poll_pending(cx, link, &self.client.pace))?;
            if matches!(exchange.up.body, Source::Ended) {
                return Poll::Ready(Ok(()));
            }
            if exchange.up.waits {
                ready!(self.poll_begins_body(cx))?;
                exchange.go_on(&self.client.pace);
            }
            if self.taken < self.read.len() {
                let outlet = Outlet { link, exchange, page: &self.core.desk.page, pace: &self.client.pace };
                self.taken += outlet.pass(cx, &self.read[self.taken..])?;
                continue;
            }
            let outlet = Outlet { link, exchange, page: &self.core.desk.page, pace: &self.client.pace };
            let read = &mut self.read;
            let polled = self.core.scratch.poll_read(&mut self.stream, cx, Scratch::BYTES, |cx, bytes| {
                if bytes.is_empty() {
                    return Err(Stop::Refuse(Refusal::CLIENT_GONE));
                }
                let taken = outlet.pass(cx, bytes)?;
                if taken < bytes.len() {
                    // The next request, already here. Nothing before it is needed any more.
                    read.clear();
                    read.extend_from_slice(&bytes[taken..]);
                }
                Ok(taken < bytes.len())
            });
            match polled {
                Poll::Ready(Ok(passed)) => {
                    if passed? {
                        self.taken = 0;
                        exchange.head_bytes = 0;
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Stop::Refuse(Refusal::CLIENT_GONE))),
                Poll::Pending => {
                    // Once the answer has begun, the two may have agreed to talk at their leisure.
                    if self.client.pace.phase() == Phase::Upload {
                        self.client.pace.deadline.awaits_body();
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Exchange {
    /// What follows from how far the request went. `Some` when the exchange is over.
    pub(in crate::fast) fn judge_up(&mut self, polled: &Poll<Result<(), Stop>>, pace: &Pace) -> Option<After> {
        match polled {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                self.begin_waiting(pace);
                None
            }
            // Nothing was sent, and all of it is still here.
            Poll::Ready(Err(Stop::Upstream)) if !self.up.is_begun => Some(After::Again),
            Poll::Ready(Err(Stop::Upstream)) => {
                // It may have answered before it closed.
                self.up.is_broken = true;
                self.begin_waiting(pace);
                None
            }
            Poll::Ready(Err(Stop::Refuse(refusal))) => Some(self.refuse(*refusal)),
        }
    }

    /// The upstream's time to answer begins, unless it has answered already.
    fn begin_waiting(&self, pace: &Pace) {
        if pace.phase() == Phase::Upload {
            pace.await_answer(self.timeout());
        }
    }
}

/// Where a piece of a body goes.
struct Outlet<'a> {
    link: &'a mut BareLink,
    exchange: &'a mut Exchange,
    page: &'a RefCell<Vec<u8>>,
    pace: &'a Pace,
}

impl Outlet<'_> {
    /// Passes on what of `bytes` belongs to the body, and says how much that was.
    fn pass(self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize, Stop> {
        let Outlet { link, exchange, page, pace } = self;
        let mut page = page.borrow_mut();
        page.clear();
        let up = &mut exchange.up;
        let (taken, data, has_ended) = match &mut up.body {
            Source::Ended => return Ok(0),
            Source::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                (length, length, *left == 0)
            }
            Source::Chunked(chunks) => {
                let mut data = 0;
                let taken = chunks.take(bytes, |piece| {
                    data += piece.len();
                    chunks::write(&mut page, piece);
                });
                let taken = taken.map_err(|_| Stop::Refuse(Refusal::FRAMING))?;
                if chunks.has_ended() {
                    page.extend_from_slice(chunks::LAST);
                }
                (taken, data, chunks.has_ended())
            }
        };
        pace.deadline.progress();
        pace.deadline.moved(data);
        up.bytes += data as u64;
        exchange.record.receive(data as u64);
        if up.bytes > exchange.route.route.body_max {
            // Before it is passed on: the upstream must not take for whole what its client is told was refused.
            return Err(Stop::Refuse(Refusal::BODY_TOO_LARGE));
        }
        let written = if matches!(up.body, Source::Length(_)) {
            up.pending.write(&mut link.stream, cx, &[], &bytes[..taken])
        } else {
            up.pending.write(&mut link.stream, cx, &page, &[])
        };
        if has_ended {
            up.body = Source::Ended;
        }
        written.map(|()| taken).map_err(|_| Stop::Upstream)
    }
}
