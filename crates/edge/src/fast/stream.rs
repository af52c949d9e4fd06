//! A plain request from a stream of HTTP/2: h2 has its head and its body, and takes its answer; everything towards the
//! upstream is as for a connection of HTTP/1.1.

mod down;
mod sheet;
mod up;

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Version};
use http_body::Body as _;

use super::ask::{self, Ask, Seated};
use super::exchange::{After, Exchange};
use super::link::BareLink;
use super::request;
use crate::admit;
use crate::body::BodyCut;
use crate::client::{Client, Pace, Phase};
use crate::core::Core;
use crate::http2;
use crate::respond::{self, Asker, Refusal};

/// A request for the general path, with all that it came with.
pub(crate) struct Unserved {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

/// Serves a plain request until its answer is with h2; gives back one that is not plain, or that is to be asked again.
pub(crate) async fn serve_stream(
    core: &Rc<Core>,
    client: &Client,
    pace: &Rc<Pace>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Option<Unserved> {
    let (parts, recv) = request.into_parts();
    let Some(Ask { mut exchange, link }) = begin(core, client, &parts, &recv) else {
        return Some(Unserved { request: Request::from_parts(parts, recv), respond });
    };
    let link = match link {
        Some(link) => Some(link),
        None => http2::unless_reset(&mut respond, exchange.connect(core, pace)).await?,
    };
    let Some(mut link) = link else {
        exchange.record.forget();
        return Some(Unserved { request: Request::from_parts(parts, recv), respond });
    };
    exchange.start_clock(pace);
    let mut crossing =
        Crossing { core, pace, exchange, recv, respond, send: None, held: None, trailers: HeaderMap::new(), cut: None };
    let after = std::future::poll_fn(|cx| crossing.poll(cx, &mut link)).await;
    pace.enter(Phase::Waiting);
    crossing.end(after, link, parts).await
}

/// A seat for a plain request.
fn begin(core: &Rc<Core>, client: &Client, parts: &Parts, recv: &RecvStream) -> Option<Ask> {
    admit::check_headers(parts, core.settings().headers_max).ok()?;
    let mut page = core.desk.page.borrow_mut();
    page.clear();
    let plain = request::read_parts(parts, recv.is_end_stream(), &mut page)?;
    match ask::seat(core, client, &plain, Version::HTTP_2, &parts.headers, &mut page)? {
        Seated::Upstream(ask) => Some(ask),
        // Files are read by the general path.
        Seated::Files(..) => None,
    }
}

/// One request and its answer, both on their way at once.
struct Crossing<'a> {
    core: &'a Rc<Core>,
    pace: &'a Rc<Pace>,
    exchange: Box<Exchange>,
    recv: RecvStream,
    respond: SendResponse<Bytes>,
    /// Once the answer's head is sent.
    send: Option<SendStream<Bytes>>,
    /// Of the answer's body, what waits until the client takes more, and whether it is the end.
    held: Option<(Bytes, bool)>,
    /// What follows the body.
    trailers: HeaderMap,
    /// Told to the client at the next poll, after h2 has written what it holds: it gets all that there was.
    cut: Option<BodyCut>,
}

impl Crossing<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, link: &mut BareLink) -> Poll<After> {
        if let (Some(cut), Some(send)) = (self.cut, &mut self.send) {
            send.send_reset(cut.reason());
            return Poll::Ready(After::Close);
        }
        if let Some((after, why)) = self.move_up(cx, link) {
            return self.end_by(after, why, cx);
        }
        match self.poll_down(cx, link) {
            Poll::Ready(Ok(())) => return Poll::Ready(After::Next),
            Poll::Ready(Err((after, why))) => return self.end_by(after, why, cx),
            Poll::Pending => {}
        }
        if self.is_reset(cx) {
            self.exchange.cut(BodyCut::Client);
            return Poll::Ready(After::Close);
        }
        if self.pace.is_expired() {
            let why = self.pace.why_cut();
            let after = self.exchange.expire(self.pace, self.core.clock.now());
            return self.end_by(after, why, cx);
        }
        Poll::Pending
    }

    /// An answer that has begun can only be cut.
    fn end_by(&mut self, after: After, why: BodyCut, cx: &mut Context<'_>) -> Poll<After> {
        if after != After::Close || self.send.is_none() {
            return Poll::Ready(after);
        }
        self.cut = Some(why);
        let _ = self.poll_held(cx);
        self.pace.enter(Phase::Waiting);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the client has given it up.
    fn is_reset(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.send {
            Some(send) => send.poll_reset(cx).is_ready(),
            None => self.respond.poll_reset(cx).is_ready(),
        }
    }

    async fn end(self, after: After, link: BareLink, parts: Parts) -> Option<Unserved> {
        let Crossing { core, pace, mut exchange, recv, respond, .. } = self;
        match after {
            After::Next | After::Close => {
                core.desk.return_buffer(exchange.conclude(link));
                None
            }
            After::Again => {
                pace.ask_again(exchange.again(link));
                exchange.record.forget();
                Some(Unserved { request: Request::from_parts(parts, recv), respond })
            }
            After::Refuse(refusal) => {
                drop(link);
                refuse(core, respond, exchange, refusal, &parts.headers).await;
                None
            }
        }
    }
}

async fn refuse(
    core: &Core,
    respond: SendResponse<Bytes>,
    mut exchange: Box<Exchange>,
    refusal: Refusal,
    headers: &HeaderMap,
) {
    exchange.record.refuse(refusal.status, refusal.reason);
    let id = HeaderValue::from_bytes(&exchange.id).expect("hexadecimal digits are a header value");
    let (accept, is_head, tls) = (headers.get(header::ACCEPT), exchange.is_head, exchange.tls_only);
    let asker = Asker { accept, id: Some(&id), is_head, tls, close: false };
    let response = respond::refuse(refusal, &asker, &exchange.route.answer);
    exchange.record.send(response.body().size_hint().lower());
    drop(exchange);
    http2::send(core, respond, response).await;
}
