//! The answer on its way to the client.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;

use super::Crossing;
use super::sheet::Sheet;
use crate::body::BodyCut;
use crate::fast::answer::{self, Answer, Body, Ours, Reading};
use crate::fast::exchange::After;
use crate::fast::exchange::down::{HEAD_BYTES_MAX, INTERIMS_MAX, State};
use crate::fast::link::BareLink;
use crate::http2::poll_capacity;
use crate::respond::Refusal;
use crate::upstream::Outcome;

/// As much of an answer is read at once: what a stream holds, beside h2's own 16 KiB, while its client takes nothing.
const READ_BYTES: usize = 16 * 1024;

/// Why an answer is not passed on, or no further.
type End = (After, BodyCut);

const GONE: End = (After::Close, BodyCut::Client);

impl Crossing<'_> {
    /// Ready when all of the answer is with h2.
    pub(super) fn poll_down(&mut self, cx: &mut Context<'_>, link: &mut BareLink) -> Poll<Result<(), End>> {
        loop {
            ready!(self.poll_held(cx))?;
            if matches!(self.exchange.down.state, State::Ended) {
                return Poll::Ready(Ok(()));
            }
            let (scratch, is_reused) = (self.core.scratch.clone(), link.is_reused);
            let polled = scratch.poll_read(&mut link.stream, cx, READ_BYTES, |_, bytes| {
                if bytes.is_empty() { self.end_answer(is_reused) } else { self.take_answer(bytes) }
            });
            let Poll::Ready(polled) = polled else {
                self.pace.await_upstream();
                return Poll::Pending;
            };
            match polled {
                Ok(taken) => taken?,
                Err(error) => {
                    tracing::debug!(%error, "upstream fails");
                    return Poll::Ready(Err(self.lose_answer(is_reused)));
                }
            }
        }
    }

    /// Sends what waits for the client, and the end when it has come.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
        if self.held.is_none() {
            return Poll::Ready(Ok(()));
        }
        if !ready!(poll_capacity(send, cx)) {
            return Poll::Ready(Err(GONE));
        }
        let Some((bytes, is_last)) = self.held.take() else { return Poll::Ready(Ok(())) };
        let has_trailers = is_last && !self.trailers.is_empty();
        let mut sent = send.send_data(bytes, is_last && !has_trailers);
        if has_trailers && sent.is_ok() {
            sent = send.send_trailers(std::mem::take(&mut self.trailers));
        }
        Poll::Ready(sent.map_err(|_| GONE))
    }

    /// Bytes that wait, and whether they are the last.
    fn hold(&mut self, bytes: Bytes, is_last: bool) -> Result<(), End> {
        if bytes.is_empty() && !is_last {
            return Ok(());
        }
        let Some(send) = &mut self.send else { return Err(GONE) };
        if bytes.is_empty() {
            // The end needs no room.
            let sent = if self.trailers.is_empty() {
                send.send_data(bytes, true)
            } else {
                send.send_trailers(std::mem::take(&mut self.trailers))
            };
            return sent.map_err(|_| GONE);
        }
        self.exchange.record.send(bytes.len() as u64);
        self.pace.offer(bytes.len());
        // A claim that is made only when there is something to send; h2 enlarges it to what is sent.
        send.reserve_capacity(1);
        self.held = Some((bytes, is_last));
        Ok(())
    }

    /// More of the answer.
    fn take_answer(&mut self, bytes: &[u8]) -> Result<(), End> {
        match &mut self.exchange.down.state {
            State::Head if self.exchange.down.part.is_empty() => self.take_head(bytes),
            State::Head => {
                let mut whole = std::mem::take(&mut self.exchange.down.part);
                whole.extend_from_slice(bytes);
                self.take_head(&whole)
            }
            State::Body(_) => self.take_body(bytes),
            State::Ended => Ok(()),
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Result<(), End> {
        let now = self.core.clock.now();
        let date = self.core.desk.date(self.core.wall_at(now));
        let (route, id) = (Rc::clone(&self.exchange.route), self.exchange.id);
        let ours = Ours { id: &id, date: &date, headers: &route.answer, tls: self.exchange.tls_only, is_last: false };
        let mut rest = bytes;
        let (sheet, answer) = loop {
            let mut sheet = Sheet::default();
            match answer::read(rest, self.exchange.is_head, &ours, &mut sheet) {
                Reading::Final(answer) => break (sheet, answer),
                Reading::Interim(length) if self.exchange.down.interims < INTERIMS_MAX => {
                    self.exchange.down.interims += 1;
                    rest = &rest[length..];
                    self.pass_interim(sheet)?;
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
                Reading::Partial if rest.len() < HEAD_BYTES_MAX => {
                    self.exchange.down.part = rest.to_vec();
                    return Ok(());
                }
                Reading::Partial | Reading::Interim(_) | Reading::Bad => {
                    tracing::debug!(replica = self.exchange.upstream.id(), "upstream gives no usable answer");
                    self.exchange.finish(Outcome::Died, now);
                    return Err((After::Refuse(Refusal::UPSTREAM), BodyCut::Upstream));
                }
            }
        };
        self.exchange.finish(Outcome::Answered(answer.status), now);
        if self.exchange.down.interims == 0 && self.exchange.may_ask_another(answer.status, rest) {
            return Err((After::Again, BodyCut::Upstream));
        }
        self.exchange.begin_answer(&answer, false, now);
        let has_length = matches!(answer.body, Body::Length(_));
        self.pace.pass_on((!has_length).then(|| self.exchange.idle_timeout()));
        self.send_head(sheet, answer, rest)
    }

    /// `100` says nothing here; what else comes before the answer is for the client.
    fn pass_interim(&mut self, sheet: Sheet) -> Result<(), End> {
        match sheet.into_response() {
            Some(interim) => self.respond.send_informational(interim).map_err(|_| GONE),
            None => Ok(()),
        }
    }

    fn send_head(&mut self, sheet: Sheet, answer: Answer, rest: &[u8]) -> Result<(), End> {
        let rest = &rest[answer.bytes..];
        let is_empty = matches!(answer.body, Body::Length(0));
        self.exchange.down.state = if is_empty { State::Ended } else { State::Body(answer.body) };
        if is_empty {
            self.exchange.down.is_kept &= rest.is_empty();
            self.exchange.end();
        }
        let response = sheet.into_response().unwrap_or_else(|| Response::new(()));
        self.send = Some(self.respond.send_response(response, is_empty).map_err(|error| {
            tracing::debug!(%error, "client takes no answer");
            GONE
        })?);
        if is_empty { Ok(()) } else { self.take_body(rest) }
    }

    fn take_body(&mut self, bytes: &[u8]) -> Result<(), End> {
        let State::Body(body) = &mut self.exchange.down.state else { return Ok(()) };
        let (taken, data, has_ended) = match body {
            Body::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                (length, Bytes::copy_from_slice(&bytes[..length]), *left == 0)
            }
            Body::Chunked(chunks) => {
                let mut data = Vec::new();
                let Ok(taken) = chunks.take(bytes, |piece| data.extend_from_slice(piece)) else {
                    tracing::debug!(
                        replica = self.exchange.upstream.id(),
                        "upstream body cut: not chunked as it should be"
                    );
                    self.hold(Bytes::from(data), false)?;
                    return Err((self.exchange.cut(BodyCut::Upstream), BodyCut::Upstream));
                };
                if chunks.has_ended() {
                    self.trailers = chunks.trailers();
                }
                (taken, Bytes::from(data), chunks.has_ended())
            }
            Body::UntilClose => (bytes.len(), Bytes::copy_from_slice(bytes), false),
        };
        if has_ended {
            self.exchange.down.state = State::Ended;
            // Bytes that nobody asked for would be taken for the next answer.
            self.exchange.down.is_kept &= taken == bytes.len();
        }
        self.hold(data, has_ended)?;
        if has_ended {
            self.exchange.end();
        }
        Ok(())
    }

    /// The upstream has closed.
    fn end_answer(&mut self, is_reused: bool) -> Result<(), End> {
        if !matches!(self.exchange.down.state, State::Body(Body::UntilClose)) {
            return Err(self.lose_answer(is_reused));
        }
        self.exchange.down.state = State::Ended;
        self.exchange.end();
        self.hold(Bytes::new(), true)
    }

    fn lose_answer(&mut self, is_reused: bool) -> End {
        (self.exchange.lose_answer(is_reused, self.core.clock.now()), BodyCut::Upstream)
    }
}
