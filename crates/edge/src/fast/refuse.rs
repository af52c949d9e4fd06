//! What the client is told when its request was not answered.

use std::task::{Context, Poll, Waker};

use http::HeaderValue;
use http_body::Body as _;

use super::Connection;
use super::exchange::{After, Exchange};
use super::request;
use crate::client::Phase;
use crate::respond::{self, Asker, Reason, Refusal};

impl Connection {
    /// Says why, and whether the connection goes on.
    pub(super) async fn refuse(&mut self, refusal: Refusal, mut exchange: Box<Exchange>) -> After {
        exchange.record.refuse(refusal.status, refusal.reason);
        let is_last =
            !exchange.up.has_ended() || refusal.closes() || exchange.is_last || self.core.stopping.is_stopping();
        let head = &self.read[..exchange.head_bytes.min(self.read.len())];
        let accept = request::find(head, "accept").and_then(|value| HeaderValue::from_bytes(value).ok());
        let id = HeaderValue::from_bytes(&exchange.id).expect("hexadecimal digits are a header value");
        let asker = Asker {
            accept: accept.as_ref(),
            id: Some(&id),
            is_head: exchange.is_head,
            tls: exchange.tls_only,
            close: is_last,
        };
        let response = respond::refuse(refusal, &asker, &exchange.route.answer);
        exchange.record.send(response.body().size_hint().lower());
        let date = self.core.date();
        self.unsent.push(&respond::write_h1(response, &date));
        self.client.pace.enter(Phase::Download);
        let is_sent = std::future::poll_fn(|cx| self.poll_send(cx)).await;
        if !exchange.up.has_ended() {
            self.client.pace.leave_unread();
        }
        drop(exchange);
        self.client.pace.enter(Phase::Waiting);
        if is_sent && !is_last { After::Next } else { After::Close }
    }

    /// Sends all that waits; false when the client does not take it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.client.pace.deadline.wakes(cx.waker());
        let written = match self.poll_unsent(cx) {
            Poll::Ready(Ok(())) => self.unsent.poll_flush(&mut self.stream, cx),
            other => other,
        };
        match written {
            Poll::Ready(written) => Poll::Ready(written.is_ok()),
            Poll::Pending if self.client.pace.is_expired() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Once, as much as the socket takes: there is no more time for this client.
    pub(super) fn refuse_slow_head(&mut self) {
        self.core.counts().refused(Reason::SlowClient).add(1);
        let answer = self.core.refuse_unread(Refusal::SLOW_CLIENT);
        let mut context = Context::from_waker(Waker::noop());
        if self.unsent.write(&mut self.stream, &mut context, &answer, &[]).is_ok() {
            let _ = self.unsent.poll_flush(&mut self.stream, &mut context);
        }
    }
}
