//! The request on its way to the upstream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Crossing;
use crate::body::BodyCut;
use crate::client::Phase;
use crate::fast::exchange::After;
use crate::fast::exchange::up::{Source, Stop};
use crate::fast::link::BareLink;
use crate::framing::chunks;
use crate::respond::Refusal;

impl Crossing<'_> {
    /// Sends what there is of the request. `Some` when the exchange is over.
    pub(super) fn move_up(&mut self, cx: &mut Context<'_>, link: &mut BareLink) -> Option<(After, BodyCut)> {
        if !self.exchange.up.is_going() {
            return None;
        }
        let polled = self.poll_up(cx, link);
        let after = self.exchange.judge_up(&polled, self.pace)?;
        let is_too_large = self.exchange.up.bytes > self.exchange.route.route.body_max;
        Some((after, if is_too_large { BodyCut::TooLarge } else { BodyCut::Client }))
    }

    fn poll_up(&mut self, cx: &mut Context<'_>, link: &mut BareLink) -> Poll<Result<(), Stop>> {
        loop {
            ready!(self.exchange.up.poll_pending(cx, link, self.pace))?;
            if !self.exchange.up.has_body() {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(polled) = self.recv.poll_data(cx) else {
                // Once the answer has begun, the two may have agreed to talk at their leisure.
                if self.pace.phase() == Phase::Upload {
                    self.pace.deadline.awaits_body();
                }
                return Poll::Pending;
            };
            match polled {
                Some(Ok(bytes)) => {
                    let has_ended = self.recv.is_end_stream();
                    self.pass(cx, link, &bytes, has_ended)?;
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "client body cut");
                    return Poll::Ready(Err(Stop::Refuse(Refusal::CLIENT_GONE)));
                }
                None => match ready!(self.recv.poll_trailers(cx)) {
                    // Trailers that were not announced go no further.
                    Ok(_) => self.pass(cx, link, &Bytes::new(), true)?,
                    Err(_) => return Poll::Ready(Err(Stop::Refuse(Refusal::CLIENT_GONE))),
                },
            }
        }
    }

    /// Passes on a piece of the body. Nothing more is asked of the client until the upstream has taken it.
    fn pass(&mut self, cx: &mut Context<'_>, link: &mut BareLink, bytes: &Bytes, has_ended: bool) -> Result<(), Stop> {
        self.pace.deadline.progress();
        self.pace.deadline.moved(bytes.len());
        let length = bytes.len() as u64;
        let exchange = &mut self.exchange;
        exchange.up.bytes += length;
        exchange.record.receive(length);
        if exchange.up.bytes > exchange.route.route.body_max {
            return Err(Stop::Refuse(Refusal::BODY_TOO_LARGE));
        }
        let _ = self.recv.flow_control().release_capacity(bytes.len());
        let written = match &mut exchange.up.body {
            Source::Ended => return Ok(()),
            Source::Length(left) => {
                // h2 has seen to it that the length is what was announced; an upstream must never wait for the rest.
                *left = left.checked_sub(length).ok_or(Stop::Refuse(Refusal::CLIENT_GONE))?;
                if has_ended && *left > 0 {
                    return Err(Stop::Refuse(Refusal::CLIENT_GONE));
                }
                exchange.up.pending.write(&mut link.stream, cx, &[], bytes)
            }
            Source::Chunked(_) => {
                let mut page = self.core.desk.page.borrow_mut();
                page.clear();
                chunks::write(&mut page, bytes);
                if has_ended {
                    page.extend_from_slice(chunks::LAST);
                }
                exchange.up.pending.write(&mut link.stream, cx, &page, &[])
            }
        };
        if has_ended || matches!(exchange.up.body, Source::Length(0)) {
            exchange.up.body = Source::Ended;
        }
        written.map_err(|_| Stop::Upstream)
    }
}
