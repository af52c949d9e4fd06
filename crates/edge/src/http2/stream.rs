//! One request of an HTTP/2 connection: by the fast path if it is plain, else by the general one, whose answers are
//! given to h2 here.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, response};
use http_body::Body as _;

use super::OpenStream;
use crate::body::{Body, ClientBody};
use crate::client::{Client, Pace};
use crate::core::Core;
use crate::fast::{self, Unserved};
use crate::forward;
use crate::interim;
use crate::web_socket::{self, SocketStream};

/// Serves a request until its answer has been sent or it takes too long. Dropping it resets what is left of the stream.
pub(super) async fn serve(
    core: Rc<Core>,
    client: Rc<Client>,
    pace: Rc<Pace>,
    open: OpenStream,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let mut stream = pin!(answer(core, client, Rc::clone(&pace), request, respond));
    std::future::poll_fn(|cx: &mut Context<'_>| {
        pace.deadline.wakes(cx.waker());
        match stream.as_mut().poll(cx) {
            Poll::Pending if pace.is_expired() => Poll::Ready(()),
            polled => polled,
        }
    })
    .await;
    drop(open);
}

async fn answer(
    core: Rc<Core>,
    client: Rc<Client>,
    pace: Rc<Pace>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let mut left = Unserved { request, respond };
    if fast::may_serve(&core, &client) {
        let Unserved { request, respond } = left;
        match fast::serve_stream(&core, &client, &pace, request, respond).await {
            Some(unserved) => left = unserved,
            None => return,
        }
    }
    // Boxed, because its state is large and most requests have no use for it.
    Box::pin(answer_any(core, client, pace, left)).await;
}

/// The general path.
async fn answer_any(core: Rc<Core>, client: Rc<Client>, pace: Rc<Pace>, unserved: Unserved) {
    let Unserved { request, mut respond } = unserved;
    let is_connect = request.method() == Method::CONNECT;
    let (mut parts, recv) = request.into_parts();
    // After a CONNECT comes no body, but perhaps a tunnel's bytes.
    let (body, recv) =
        if is_connect { (ClientBody::Empty, Some(recv)) } else { (ClientBody::stream(recv, &parts.headers), None) };
    let (handover, promise) = web_socket::take(&mut parts).unzip();
    let request = Request::from_parts(parts, body);
    let mut answer = pin!(forward::answer(Rc::clone(&core), Rc::clone(&client), Rc::clone(&pace), request, handover));
    let answered = std::future::poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        for mut head in pace.take_interims() {
            interim::clean(&mut head, &core.answer);
            let _ = respond.send_informational(head);
        }
        match polled {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending if respond.poll_reset(cx).is_ready() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let Some(response) = answered.await else { return };
    if let (Some(promise), Some(recv), true) = (promise, recv, response.status().is_success()) {
        let mut head = response.into_parts().0;
        finish_head(&mut head, &core);
        if let Some(send) = send_head(&mut respond, head, false) {
            // Nobody waits for it when the upstream has gone in the same moment.
            let _ = promise.send(SocketStream::new(send, recv, OpenStream::begin(&core, &client, true)));
        }
        return;
    }
    send(&core, respond, response).await;
}

/// Works until it is done, or the client has given it up.
pub(crate) async fn unless_reset<T>(respond: &mut SendResponse<Bytes>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if respond.poll_reset(cx).is_ready() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Sends an answer, to its end or to where the client wants no more.
pub(crate) async fn send(core: &Core, mut respond: SendResponse<Bytes>, response: Response<Body>) {
    let (mut head, body) = response.into_parts();
    finish_head(&mut head, core);
    if body.is_end_stream() {
        send_head(&mut respond, head, true);
        return;
    }
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    if let Some(send) = send_head(&mut respond, head, false) {
        let mut sending = Sending { body, send, held: None };
        std::future::poll_fn(|cx| sending.poll(cx)).await;
    }
}

/// Gives the head the form that HTTP/2 wants.
fn finish_head(head: &mut response::Parts, core: &Core) {
    remove_connection_headers(&mut head.headers);
    head.headers.entry(header::DATE).or_insert_with(|| {
        let date = core.desk.date(core.wall_at(core.clock.now()));
        HeaderValue::from_bytes(&date).expect("a date is a header value")
    });
}

/// What belongs to one connection of HTTP/1 must not be sent at all (RFC 9113 8.2.2).
fn remove_connection_headers(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 6] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in NAMES {
        headers.remove(name);
    }
}

fn send_head(respond: &mut SendResponse<Bytes>, head: response::Parts, is_last: bool) -> Option<SendStream<Bytes>> {
    match respond.send_response(Response::from_parts(head, ()), is_last) {
        Ok(send) => Some(send),
        Err(error) => {
            tracing::debug!(%error, "client takes no answer");
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

/// An answer's body on its way to the client.
struct Sending {
    body: Body,
    send: SendStream<Bytes>,
    /// What waits until the client takes more, and whether it is the end.
    held: Option<(Bytes, bool)>,
}

impl Sending {
    /// Ready when all of it is with h2, or the client wants no more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_send(cx);
        if polled.is_pending() && self.send.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        polled
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.held.is_some() && !ready!(poll_capacity(&mut self.send, cx)) {
                return Poll::Ready(());
            }
            if let Some((bytes, is_last)) = self.held.take()
                && (self.send.send_data(bytes, is_last).is_err() || is_last)
            {
                return Poll::Ready(());
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        // A claim on the connection's window, made only when there is something to send: one made
                        // before would be withheld from the other streams. h2 enlarges it to what is sent.
                        self.send.reserve_capacity(1);
                        self.held = Some((bytes, self.body.is_end_stream()));
                    }
                    Err(frame) => {
                        let Ok(trailers) = frame.into_trailers() else { continue };
                        self.send.reserve_capacity(0);
                        let _ = self.send.send_trailers(trailers);
                        return Poll::Ready(());
                    }
                },
                Some(Err(cut)) => {
                    self.send.send_reset(cut.reason());
                    return Poll::Ready(());
                }
                None => {
                    let _ = self.send.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Waits until something may be sent; false when nothing ever will.
pub(crate) fn poll_capacity(send: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<bool> {
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(false),
        }
    }
    Poll::Ready(true)
}
