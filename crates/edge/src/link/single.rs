//! One connection to an upstream that carries one request at a time: HTTP/1.1.
//!
//! hyper's connection future is not given a task of its own: whoever waits for the answer polls it. A proxied request
//! thus stays inside the client connection's task, dropping the request closes the upstream connection, and an idle
//! connection costs no task.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use tokio::task::coop::unconstrained;

use super::{Failure, failure};
use crate::body::Upload;
use crate::client::Pace;
use crate::stream::{Io, Scratch, UpstreamStream};

/// One connection that carries one request at a time.
pub(crate) struct Single {
    sender: SendRequest<Upload>,
    connection: Connection<Io<UpstreamStream>, Upload>,
    ended: bool,
    /// Its answer was asked for by others, and it carries no other.
    is_last: bool,
}

impl Single {
    pub(super) async fn open(stream: UpstreamStream, builder: &Builder, scratch: Scratch) -> io::Result<Single> {
        let io = Io::upstream(stream, scratch);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        Ok(Single { sender, connection, ended: false, is_last: false })
    }

    pub(super) async fn begun(
        stream: UpstreamStream,
        read: Bytes,
        builder: &Builder,
        scratch: Scratch,
    ) -> io::Result<Single> {
        let io = Io::begun(stream, read, scratch);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        Ok(Single { sender, connection, ended: false, is_last: true })
    }

    /// Moves bytes both ways. True when the connection is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.ended = true;
        }
        self.ended
    }

    /// True when another request may be sent. Sees a close by the upstream that the kernel has already reported.
    pub(super) fn settle(&mut self) -> bool {
        !self.is_last && !self.poll(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    pub(super) async fn exchange(
        &mut self,
        request: Request<Upload>,
        pace: &Pace,
    ) -> Result<Response<Incoming>, Failure> {
        // Unconstrained, because it is polled with a waker that wakes nobody and so must not be put off.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        std::future::poll_fn(move |cx| {
            if !*ended && Pin::new(&mut *connection).poll(cx).is_ready() {
                *ended = true;
            }
            // The answer is handed over inside the call above, made by this task: it need wake nobody.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answered) => Poll::Ready(answered.map_err(failure)),
                Poll::Pending if pace.upstream_is_late() && pace.holds_body() => {
                    // The upstream does not say whether it wants the body, which many never do.
                    pace.release_body();
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending if pace.upstream_is_late() => Poll::Ready(Err(Failure::Expired)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The bare socket, and what was read beyond the answer's head.
    pub(super) fn into_stream(mut self) -> (UpstreamStream, Bytes) {
        self.poll(&mut Context::from_waker(Waker::noop()));
        let parts = self.connection.into_parts();
        (parts.io.stream, parts.read_buf)
    }
}
