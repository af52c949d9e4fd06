//! What was read from one side and not yet taken by the other: usually nothing, never more than a read or two.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// What grew beyond this for a slow reader is given back.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// Bytes that wait for their socket.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    written: usize,
    /// TLS may hold back the end of what was written.
    is_unflushed: bool,
}

impl Pending {
    pub(crate) fn of(bytes: Vec<u8>) -> Pending {
        Pending { bytes, ..Pending::default() }
    }

    /// The buffer, for whoever needs it next.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// The socket has taken a part of what waits.
    pub(crate) fn has_begun(&self) -> bool {
        self.written > 0
    }

    fn forget_written(&mut self) {
        self.written = 0;
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes two slices after what waits, as one where that is cheap, and keeps what the socket does not take.
    pub(crate) fn write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> io::Result<()> {
        self.is_unflushed = true;
        let (mut head, mut body) = (head, body);
        while self.bytes.is_empty() && !(head.is_empty() && body.is_empty()) {
            let written = if body.is_empty() {
                Pin::new(&mut *stream).poll_write(cx, head)
            } else if head.is_empty() {
                Pin::new(&mut *stream).poll_write(cx, body)
            } else {
                Pin::new(&mut *stream).poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)])
            };
            let Poll::Ready(written) = written else { break };
            let written = check(written?)?;
            let of_head = written.min(head.len());
            head = &head[of_head..];
            body = &body[written - of_head..];
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(body);
        Ok(())
    }

    /// Writes what waits, to the last byte.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.is_unflushed = true;
        while self.written < self.bytes.len() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.written..]))?;
            self.written += check(written)?;
        }
        self.forget_written();
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn check(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}
