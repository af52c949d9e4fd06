//! One request and its answer, both on their way at once.
//!
//! What is read is written on from the core's scratch buffer. Only what the other side does not take yet is kept, and
//! nothing more is read until it is taken: so a slow side slows the other, and a busy exchange holds one read at most
//! for each direction.

pub(super) mod down;
pub(super) mod up;

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use prumo_clock::Moment;

use self::down::Down;
use self::up::Up;
use super::Connection;
use super::link::BareLink;
use super::request::Plain;
use crate::body::BodyCut;
use crate::client::{Again, CONTINUE_PATIENCE, HeldAnswer, Pace, Phase};
use crate::record::Record;
use crate::respond::Refusal;
use crate::settings::{Action, Forward, Retry};
use crate::table::RouteView;
use crate::upstream::{Outcome, Seat, Upstream};

/// What tells a client to send its body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One request on its way.
pub(crate) struct Exchange {
    pub(super) record: Record,
    /// Until the upstream has said its last word.
    seat: Option<Seat>,
    pub(super) upstream: Rc<Upstream>,
    pub(super) route: Rc<RouteView>,
    pub(super) id: [u8; 32],
    /// Of the client's head, which is kept in the connection's buffer until the answer comes.
    pub(super) head_bytes: usize,
    /// Its answer may tell browsers to come over TLS only.
    pub(super) tls_only: bool,
    pub(super) asked: Moment,
    /// When the upstream's connection was last known to live.
    pub(super) answered: Moment,
    pub(super) is_head: bool,
    /// The client asked for no more after this.
    pub(super) is_last: bool,
    /// May be asked twice without harm, all of it or as long as its body is with the client.
    is_repeatable: bool,
    is_idempotent: bool,
    /// What was tried, for who asks again.
    again: Again,
    /// An answer that may be bettered, as far as it was read.
    in_reserve: Option<Bytes>,
    pub(super) up: Up,
    pub(super) down: Down,
}

/// What is held and known for a request while it is on its way.
pub(crate) struct Books {
    pub(crate) record: Record,
    pub(crate) seat: Seat,
    pub(crate) route: Rc<RouteView>,
    pub(crate) id: [u8; 32],
    pub(crate) asked: Moment,
    pub(crate) tls_only: bool,
}

/// What becomes of the client's connection after a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It carries the next one.
    Next,
    /// It ends.
    Close,
    /// Nothing of the request was served: the general path asks again, with the same bytes.
    Again,
    /// The client is told why not.
    Refuse(Refusal),
}

impl Connection {
    /// Carries bytes both ways until the answer has ended, or something has failed.
    pub(super) fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut BareLink,
        exchange: &mut Exchange,
    ) -> Poll<After> {
        self.client.pace.deadline.wakes(cx.waker());
        loop {
            if let Some(after) = self.move_up(cx, link, exchange) {
                return Poll::Ready(after);
            }
            let has_waited = exchange.up.waits;
            if let Poll::Ready(after) = self.poll_down(cx, link, exchange) {
                return Poll::Ready(after);
            }
            let waits = exchange.waits_for_word();
            if waits && self.client.pace.is_expired() {
                // The upstream does not say whether it wants the body, which many never do.
                self.unsent.push(CONTINUE);
                exchange.go_on(&self.client.pace);
            } else if waits || !has_waited || exchange.down.has_begun() {
                break;
            }
        }
        if exchange.up.has_ended() && self.has_hung_up(cx) {
            return Poll::Ready(exchange.cut(BodyCut::Client));
        }
        if self.client.pace.is_expired() {
            return Poll::Ready(exchange.expire(&self.client.pace, self.core.clock.now()));
        }
        Poll::Pending
    }

    /// While the upstream works, the client has nothing to say but its next request, that it says no more, or that it has
    /// gone.
    fn has_hung_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.taken < self.read.len() || self.client.pace.is_half_closed() {
            return false;
        }
        match self.poll_read_more(cx) {
            Poll::Ready(Ok(0)) => !self.client.pace.half_close(),
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(_)) | Poll::Pending => false,
        }
    }
}

impl Exchange {
    #[inline]
    pub(super) fn new(plain: &Plain<'_>, books: Books, head: Vec<u8>) -> Exchange {
        let Books { record, seat, route, id, asked, tls_only } = books;
        Exchange {
            record,
            upstream: Rc::clone(&seat.upstream),
            seat: Some(seat),
            route,
            id,
            head_bytes: plain.bytes,
            tls_only,
            asked,
            answered: asked,
            is_head: plain.method == "HEAD",
            is_last: plain.is_last,
            is_repeatable: plain.is_repeatable(),
            is_idempotent: plain.is_idempotent(),
            again: nothing_tried(),
            in_reserve: None,
            up: Up { waits: plain.expects, ..Up::new(plain.body, head) },
            down: Down::default(),
        }
    }

    /// The limit that now counts: the client's for sending the body, or the upstream's for beginning its answer.
    pub(super) fn start_clock(&self, pace: &Pace) {
        if self.up.waits {
            pace.await_answer(CONTINUE_PATIENCE);
        } else if self.up.has_body() {
            pace.enter(Phase::Upload);
        } else {
            pace.await_answer(self.timeout());
        }
    }

    /// The client and we wait to hear whether the upstream wants the body.
    fn waits_for_word(&self) -> bool {
        self.up.waits && !self.down.has_begun()
    }

    /// The body is asked for, or has begun to come.
    pub(super) fn go_on(&mut self, pace: &Pace) {
        self.up.waits = false;
        self.start_clock(pace);
    }

    /// Whether all of the request can be asked once more.
    pub(super) fn is_whole_here(&self) -> bool {
        self.is_repeatable || self.up.waits
    }

    /// The answer, or what is left of it, does not reach the client.
    pub(super) fn cut(&mut self, why: BodyCut) -> After {
        if self.down.has_begun() {
            self.record.cut(why);
        }
        After::Close
    }

    /// Tells the client why, if its answer has not begun.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> After {
        if !self.down.has_begun() {
            return After::Refuse(refusal);
        }
        self.cut(match refusal {
            Refusal::BODY_TOO_LARGE => BodyCut::TooLarge,
            Refusal::FRAMING => BodyCut::Framing,
            _ => BodyCut::Client,
        })
    }

    /// The client or the upstream has taken too long.
    pub(super) fn expire(&mut self, pace: &Pace, now: Moment) -> After {
        let refusal = match pace.phase() {
            Phase::Upload if pace.deadline.is_for_body() => Refusal::SLOW_CLIENT,
            Phase::Download => return self.cut(pace.why_cut()),
            _ if pace.blames_client() => return self.cut(BodyCut::Client),
            _ => Refusal::TIMEOUT,
        };
        if refusal == Refusal::TIMEOUT {
            self.finish(Outcome::Expired, now);
        }
        self.refuse(refusal)
    }

    /// How the upstream did.
    pub(super) fn finish(&mut self, outcome: Outcome, now: Moment) {
        if let Some(seat) = &mut self.seat {
            seat.finished(outcome, now.since(self.asked), now);
        }
    }

    /// The upstream has said its last word. Counted before the client can know it, as on the general path.
    pub(super) fn end(&mut self) {
        self.seat = None;
        self.record.end();
    }

    /// Keeps the upstream's connection, if it may carry another request, and gives back the buffer of the head.
    pub(super) fn conclude(self: Box<Self>, link: BareLink) -> Vec<u8> {
        if self.down.may_keep_link() && self.up.has_ended() {
            self.upstream.keep_bare(link, self.answered);
        }
        self.up.into_buffer()
    }

    /// Whether an answer with this status, which begins with `read`, is held back, because another upstream may have a
    /// better one.
    pub(super) fn may_ask_another(&mut self, status: StatusCode, read: &[u8]) -> bool {
        let others = self.route.service.upstreams().len() > 1;
        let may = others && self.may_retry(|retry| retry.on_status.contains(&status.as_u16()));
        if may {
            self.in_reserve = Some(Bytes::copy_from_slice(read));
        }
        may
    }

    /// Whether the route and the service's budget let the request be asked again.
    pub(super) fn may_retry(&mut self, is_wanted: impl Fn(&Retry) -> bool) -> bool {
        let is_allowed = self.forward().is_some_and(|forward| forward.retry.times > 0 && is_wanted(&forward.retry));
        let may_repeat = self.is_repeatable || (self.is_idempotent && self.up.waits);
        let may = may_repeat && is_allowed && self.route.service.may_ask_again(self.asked);
        if may {
            self.again = Again { tried: Some(Rc::clone(&self.upstream)), wants_fresh: false, held: None };
        }
        may
    }

    /// What was tried, for who asks again.
    pub(super) fn again(&mut self, link: BareLink) -> Again {
        let mut again = std::mem::replace(&mut self.again, nothing_tried());
        if let (Some(read), Some(seat)) = (self.in_reserve.take(), self.seat.take()) {
            again.held = Some(Box::new(HeldAnswer { seat, stream: link.stream, read, asked: self.asked }));
        }
        again
    }

    fn forward(&self) -> Option<&Forward> {
        match &self.route.route.action {
            Action::Forward(forward) => Some(forward),
            Action::Files(_) | Action::Redirect(_) | Action::Answer(_) => None,
        }
    }

    /// How long the upstream may take to begin its answer.
    pub(super) fn timeout(&self) -> Duration {
        self.forward().map_or(Duration::MAX, |forward| forward.timeout)
    }

    /// How long it may say nothing within an answer that has no length.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.forward().map_or(Duration::MAX, |forward| forward.idle_timeout)
    }
}

/// A kept connection has died, which says nothing about its upstream.
fn nothing_tried() -> Again {
    Again { tried: None, wants_fresh: true, held: None }
}
