//! Web sockets over HTTP/2 (RFC 8441): an extended CONNECT, which becomes an upgrade of HTTP/1.1 at the upstream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, response};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::Core;

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;

/// The client's stream, which becomes the tunnel's when the answer has been sent.
pub(crate) struct Handover(OnUpgrade);

/// Turns a client's extended CONNECT into the request that HTTP/1.1 has for the same; `None` for everything else.
pub(crate) fn take<B>(request: &mut Request<B>) -> Option<Handover> {
    if request.method() != Method::CONNECT {
        return None;
    }
    request.extensions().get::<Protocol>().filter(|protocol| protocol.as_str() == "websocket")?;
    let stream = request.extensions_mut().remove::<OnUpgrade>()?;
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Some(Handover(stream))
}

/// The key that HTTP/1.1 wants and HTTP/2 does not have: the base64 of 16 bytes nobody can know beforehand.
pub(crate) fn add_key(headers: &mut HeaderMap, core: &Core) {
    let mut key = *b"000000000000000000000A==";
    // Hexadecimal digits are also digits of base64.
    key[..21].copy_from_slice(&core.request_id()[11..]);
    headers.insert(KEY, HeaderValue::from_bytes(&key).expect("base64 is a header value"));
}

/// Makes the answer to the upgrade the answer to the CONNECT.
pub(crate) fn write_answer(parts: &mut response::Parts) {
    parts.status = StatusCode::OK;
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT] {
        parts.headers.remove(name);
    }
}

impl Handover {
    /// Resolves when the answer has been sent; fails when the client has gone before.
    pub(crate) async fn stream(self) -> hyper::Result<SocketStream> {
        self.0.await.map(SocketStream)
    }
}

/// A stream of HTTP/2 that carries plain bytes. hyper and h2 hold at most two writes and one window of it.
pub(crate) struct SocketStream(Upgraded);

impl AsyncRead for SocketStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut buffer = hyper::rt::ReadBuf::new(into.initialize_unfilled());
        ready!(hyper::rt::Read::poll_read(Pin::new(&mut self.get_mut().0), cx, buffer.unfilled()))?;
        let read = buffer.filled().len();
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write(Pin::new(&mut self.get_mut().0), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_flush(Pin::new(&mut self.get_mut().0), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.get_mut().0), cx)
    }
}
