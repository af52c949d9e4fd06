//! Web sockets over HTTP/2 (RFC 8441): an extended CONNECT, which becomes an upgrade of HTTP/1.1 at the upstream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, request, response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::http2::{OpenStream, poll_capacity};
use crate::trace::write_hex;

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;

/// The client's stream, which becomes the tunnel's when the answer has been sent.
pub(crate) struct Handover(oneshot::Receiver<SocketStream>);

/// Turns a client's extended CONNECT into the request that HTTP/1.1 has for the same, and says where its stream is to be
/// sent; `None` for everything else.
pub(crate) fn take(parts: &mut request::Parts) -> Option<(Handover, oneshot::Sender<SocketStream>)> {
    let is_socket = parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    // A tunnel has no length.
    if parts.method != Method::CONNECT || !is_socket || parts.headers.contains_key(header::CONTENT_LENGTH) {
        return None;
    }
    parts.method = Method::GET;
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let (promise, stream) = oneshot::channel();
    Some((Handover(stream), promise))
}

/// The key that HTTP/1.1 wants and HTTP/2 does not have: the base64 of 16 bytes nobody can know beforehand.
pub(crate) fn add_key(headers: &mut HeaderMap, core: &Core) {
    let mut key = *b"000000000000000000000A==";
    // Hexadecimal digits are also digits of base64. A request's id would be no secret: the client is told it.
    let mut digits = [0; 32];
    write_hex(&mut digits[..16], core.clock.random());
    write_hex(&mut digits[16..], core.clock.random());
    key[..21].copy_from_slice(&digits[..21]);
    headers.insert(KEY, HeaderValue::from_bytes(&key).expect("base64 is a header value"));
}

/// Makes the answer to the upgrade the answer to the CONNECT.
pub(crate) fn write_answer(parts: &mut response::Parts) {
    parts.status = StatusCode::OK;
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
}

impl Handover {
    /// Resolves when the answer has been sent; fails when the client has gone before.
    pub(crate) async fn stream(self) -> Result<SocketStream, oneshot::error::RecvError> {
        self.0.await
    }
}

/// A stream of HTTP/2 that carries plain bytes. h2 holds at most two writes and one window of it.
pub(crate) struct SocketStream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What was received and not yet read.
    chunk: Bytes,
    _open: OpenStream,
}

impl SocketStream {
    pub(crate) fn new(send: SendStream<Bytes>, recv: RecvStream, open: OpenStream) -> SocketStream {
        SocketStream { send, recv, chunk: Bytes::new(), _open: open }
    }
}

impl AsyncRead for SocketStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(this.recv.poll_data(cx)) {
                Some(Ok(chunk)) => this.chunk = chunk,
                // It leaves without a farewell, which many do.
                Some(Err(error)) if matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL)) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let read = this.chunk.len().min(into.remaining());
        into.put_slice(&this.chunk[..read]);
        this.chunk.advance(read);
        let _ = this.recv.flow_control().release_capacity(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // h2 enlarges the claim to what is sent.
        this.send.reserve_capacity(1);
        if !ready!(poll_capacity(&mut this.send, cx)) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.send.send_data(Bytes::copy_from_slice(bytes), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
