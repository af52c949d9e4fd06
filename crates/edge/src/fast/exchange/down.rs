//! The answer on its way to the client.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use prumo_clock::Moment;

use super::{After, CONTINUE, Exchange};
use crate::body::BodyCut;
use crate::fast::Connection;
use crate::fast::answer::{self, Answer, Body, Ours, Reading};
use crate::fast::link::BareLink;
use crate::framing::chunks;
use crate::respond::Refusal;
use crate::stream::Scratch;
use crate::upstream::Outcome;

/// As large as the head of an answer may be.
pub(in crate::fast) const HEAD_BYTES_MAX: usize = Scratch::BYTES;

/// An upstream that has more than this to say before its answer says nothing.
pub(in crate::fast) const INTERIMS_MAX: u32 = 16;

/// Up to this size a piece of a body is copied behind its head, which costs less than the kernel's way through two
/// slices.
const GATHER_BYTES_MAX: usize = 16 * 1024;

/// What is left of an answer to be passed on.
#[derive(Default)]
pub(crate) struct Down {
    pub(in crate::fast) state: State,
    /// Of a head that did not come in one read.
    pub(in crate::fast) part: Vec<u8>,
    pub(in crate::fast) interims: u32,
    /// The upstream's connection may carry another request.
    pub(in crate::fast) is_kept: bool,
    /// The client's may not.
    is_last: bool,
}

#[derive(Default)]
pub(crate) enum State {
    #[default]
    Head,
    Body(Body),
    Ended,
}

impl Down {
    /// The answer has ended where it should, and the upstream goes on.
    pub(in crate::fast) fn may_keep_link(&self) -> bool {
        self.is_kept && matches!(self.state, State::Ended)
    }

    /// The client has the answer's head, or a part of it.
    pub(in crate::fast) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Head)
    }
}

impl Connection {
    pub(super) fn poll_down(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut BareLink,
        exchange: &mut Exchange,
    ) -> Poll<After> {
        loop {
            match self.poll_unsent(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(exchange.cut(BodyCut::Client)),
                Poll::Pending => return Poll::Pending,
            }
            if matches!(exchange.down.state, State::Ended) {
                if ready!(self.poll_flush(cx)).is_err() {
                    return Poll::Ready(exchange.cut(BodyCut::Client));
                }
                let may_go_on = exchange.up.has_ended() && !exchange.down.is_last;
                return Poll::Ready(if may_go_on { After::Next } else { After::Close });
            }
            let (scratch, is_reused) = (self.core.scratch.clone(), link.is_reused);
            let polled = scratch.poll_read(&mut link.stream, cx, Scratch::BYTES, |cx, bytes| {
                if bytes.is_empty() {
                    self.end_answer(cx, exchange, is_reused)
                } else {
                    self.take_answer(cx, exchange, bytes)
                }
            });
            match polled {
                Poll::Ready(Ok(Ok(()))) => {}
                Poll::Ready(Ok(Err(after))) => return Poll::Ready(after),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "upstream fails");
                    return Poll::Ready(exchange.lose_answer(is_reused, self.core.clock.now()));
                }
                Poll::Pending => {
                    // What came so far goes to the client now.
                    return match self.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(exchange.cut(BodyCut::Client)),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.unsent.poll_flush(&mut self.stream, cx);
        self.client.is_blocked(&self.stream, flushed.is_pending());
        flushed
    }

    /// Sends what waits for the client. Whatever of it is taken counts: a slow client is none that stands still.
    pub(in crate::fast) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.unsent.len();
        let unsent = self.unsent.poll_write(&mut self.stream, cx);
        if self.unsent.len() < waiting {
            // These bytes were counted when they were given.
            self.client.wrote(0);
        }
        self.client.is_blocked(&self.stream, unsent.is_pending());
        unsent
    }

    /// More of the answer.
    fn take_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange, bytes: &[u8]) -> Result<(), After> {
        match &mut exchange.down.state {
            State::Head if exchange.down.part.is_empty() => self.take_head(cx, exchange, bytes),
            State::Head => {
                let mut whole = std::mem::take(&mut exchange.down.part);
                whole.extend_from_slice(bytes);
                self.take_head(cx, exchange, &whole)
            }
            State::Body(_) => {
                self.client.pace.deadline.progress();
                let core = Rc::clone(&self.core);
                let mut page = core.desk.page.borrow_mut();
                page.clear();
                self.take_body(cx, exchange, &mut page, bytes)
            }
            State::Ended => Ok(()),
        }
    }

    fn take_head(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange, bytes: &[u8]) -> Result<(), After> {
        let core = Rc::clone(&self.core);
        let now = core.clock.now();
        // Who has not sent its body, and was not asked for it, may send it or not: nobody knows what would come next.
        let is_last = exchange.is_last || exchange.up.waits || core.stopping.is_stopping();
        let date = core.desk.date(core.wall_at(now));
        let (route, id) = (Rc::clone(&exchange.route), exchange.id);
        let ours = Ours { id: &id, date: &date, headers: &route.answer, tls: exchange.tls_only, is_last };
        let mut page = core.desk.page.borrow_mut();
        page.clear();
        let mut rest = bytes;
        let answer = loop {
            match answer::read(rest, exchange.is_head, &ours, &mut *page) {
                Reading::Final(answer) => break answer,
                Reading::Interim(length) if exchange.down.interims < INTERIMS_MAX => {
                    exchange.down.interims += 1;
                    if answer::is_continue(rest) && exchange.up.waits {
                        page.extend_from_slice(CONTINUE);
                        exchange.go_on(&self.client.pace);
                    }
                    rest = &rest[length..];
                    if rest.is_empty() {
                        return self.send(cx, exchange, &page, &[]);
                    }
                }
                Reading::Partial if rest.len() < HEAD_BYTES_MAX => {
                    exchange.down.part = rest.to_vec();
                    return self.send(cx, exchange, &page, &[]);
                }
                Reading::Partial | Reading::Interim(_) | Reading::Bad => {
                    tracing::debug!(replica = exchange.upstream.id(), "upstream gives no usable answer");
                    exchange.finish(Outcome::Died, now);
                    return Err(After::Refuse(Refusal::UPSTREAM));
                }
            }
        };
        exchange.finish(Outcome::Answered(answer.status), now);
        if exchange.down.interims == 0 && exchange.may_ask_another(answer.status, rest) {
            return Err(After::Again);
        }
        exchange.begin_answer(&answer, is_last, now);
        let has_length = matches!(answer.body, Body::Length(_));
        self.client.pace.pass_on((!has_length).then(|| exchange.idle_timeout()));
        exchange.down.state = State::Body(answer.body);
        self.take_body(cx, exchange, &mut page, &rest[answer.bytes..])
    }

    /// Sends what of `bytes` belongs to the body, after what the page holds already.
    fn take_body(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        page: &mut Vec<u8>,
        bytes: &[u8],
    ) -> Result<(), After> {
        let State::Body(body) = &mut exchange.down.state else { return Ok(()) };
        let (taken, data, has_ended) = match body {
            Body::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                (length, length, *left == 0)
            }
            Body::Chunked(chunks) => {
                let mut data = 0;
                let taken = chunks.take(bytes, |piece| {
                    data += piece.len();
                    chunks::write(page, piece);
                });
                let Ok(taken) = taken else {
                    tracing::debug!(replica = exchange.upstream.id(), "upstream body cut: not chunked as it should be");
                    self.send(cx, exchange, page, &[])?;
                    return Err(exchange.cut(BodyCut::Upstream));
                };
                if chunks.has_ended() {
                    page.extend_from_slice(chunks::LAST);
                }
                (taken, data, chunks.has_ended())
            }
            Body::UntilClose => {
                chunks::write(page, bytes);
                (bytes.len(), bytes.len(), false)
            }
        };
        let plain: &[u8] = if matches!(body, Body::Length(_)) { &bytes[..taken] } else { &[] };
        exchange.record.send(data as u64);
        if has_ended {
            exchange.down.state = State::Ended;
            // Bytes that nobody asked for would be taken for the next answer.
            exchange.down.is_kept &= taken == bytes.len();
            exchange.end();
        }
        if !page.is_empty() && plain.len() <= GATHER_BYTES_MAX {
            page.extend_from_slice(plain);
            return self.send(cx, exchange, page, &[]);
        }
        self.send(cx, exchange, page, plain)
    }

    fn send(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange, head: &[u8], body: &[u8]) -> Result<(), After> {
        if head.is_empty() && body.is_empty() {
            return Ok(());
        }
        self.client.wrote(head.len() + body.len());
        self.unsent.write(&mut self.stream, cx, head, body).map_err(|_| exchange.cut(BodyCut::Client))
    }

    /// The upstream has closed.
    fn end_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange, is_reused: bool) -> Result<(), After> {
        if !matches!(exchange.down.state, State::Body(Body::UntilClose)) {
            return Err(exchange.lose_answer(is_reused, self.core.clock.now()));
        }
        exchange.down.state = State::Ended;
        exchange.end();
        self.send(cx, exchange, chunks::LAST, &[])
    }
}

impl Exchange {
    /// There is no more of an answer that has not ended.
    pub(in crate::fast) fn lose_answer(&mut self, is_reused: bool, now: Moment) -> After {
        if self.down.has_begun() {
            return self.cut(BodyCut::Upstream);
        }
        let nothing_came = self.down.part.is_empty() && self.down.interims == 0;
        // The upstream may have closed a kept connection in the same instant, which says nothing about it.
        if nothing_came && is_reused && self.is_whole_here() {
            return After::Again;
        }
        self.finish(Outcome::Died, now);
        if nothing_came && self.may_retry(|retry| retry.on_reset) {
            return After::Again;
        }
        After::Refuse(Refusal::UPSTREAM)
    }

    pub(in crate::fast) fn begin_answer(&mut self, answer: &Answer, is_last: bool, now: Moment) {
        self.down.is_kept = answer.is_kept;
        self.down.is_last = is_last;
        self.answered = now;
        self.record.answered(answer.status, self.asked, now);
    }
}
