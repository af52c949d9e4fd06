//! A GET request, which ends its connection, as a load balancer would make it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much of a body as is looked at. A health page is small; an endless one must not fill memory.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Asks and judges the answer.
pub(crate) async fn ask<S>(
    stream: S,
    host: &str,
    path: &str,
    status: &[(u16, u16)],
    body: Option<&str>,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: &dyn std::fmt::Display| format!("GET {path} broke off: {error}");
    let (mut sender, connection) = http1::handshake(Io(stream)).await.map_err(|error| broken(&error))?;
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "prumo-probe")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("GET {path} cannot be asked: {error}"))?;
    let mut answering = pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let code = answer.status().as_u16();
        if !status.iter().any(|(first, last)| (*first..=*last).contains(&code)) {
            return Err(format!("GET {path} answered {code}"));
        }
        match body {
            None => Ok(()),
            Some(text) => match contains(answer.into_body(), text).await.map_err(|error| broken(&error))? {
                true => Ok(()),
                false => Err(format!("GET {path} answered {code} without `{text}` in its body")),
            },
        }
    });
    let mut connection = pin!(connection);
    tokio::select! {
        outcome = &mut answering => outcome,
        _ = &mut connection => answering.await,
    }
}

async fn contains(mut body: hyper::body::Incoming, text: &str) -> Result<bool, hyper::Error> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = BODY_BYTES_MAX - seen.len();
            seen.extend_from_slice(&data[..data.len().min(room)]);
        }
        if String::from_utf8_lossy(&seen).contains(text) {
            return Ok(true);
        }
        if seen.len() >= BODY_BYTES_MAX {
            return Ok(false);
        }
    }
    Ok(false)
}

/// A tokio stream as hyper wants it. Copies through a small buffer: a probe is not worth an unsafe block.
pub(crate) struct Io<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8 * 1024];
        let room = bytes.len().min(into.remaining());
        let mut buffer = ReadBuf::new(&mut bytes[..room]);
        std::task::ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        into.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
