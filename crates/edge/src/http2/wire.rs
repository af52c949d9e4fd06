//! The socket of an HTTP/2 connection, shared by the protocol, which writes frame by frame, and by the connection's
//! task, which sends what all streams have written in one go before it rests: one TLS record and one call of the kernel
//! for many answers.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::Client;
use crate::core::Core;
use crate::stream::ClientStream;

/// What is gathered before it is sent in the middle of things: as much as rustls encrypts at once.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// A client's socket, with what waits to be written to it.
#[derive(Clone)]
pub(super) struct Wire(Rc<RefCell<Inner>>);

struct Inner {
    core: Rc<Core>,
    client: Rc<Client>,
    stream: ClientStream,
    /// Bytes that were read before it was known what they are.
    first: Bytes,
    /// Borrowed from the core while there is something to write.
    gathered: Vec<u8>,
    /// How much of it the socket has taken.
    written: usize,
    /// TLS may hold back the end of what was written.
    is_unflushed: bool,
}

impl Wire {
    pub(super) fn new(core: Rc<Core>, client: Rc<Client>, stream: ClientStream, first: Bytes) -> Wire {
        let gathered = Vec::new();
        let inner = Inner { core, client, stream, first, gathered, written: 0, is_unflushed: false };
        Wire(Rc::new(RefCell::new(inner)))
    }

    /// Sends what was gathered.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_empty(cx))?;
        if inner.is_unflushed {
            ready!(Pin::new(&mut inner.stream).poll_flush(cx))?;
            inner.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Inner {
    /// Writes what was gathered, to the last byte.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.is_unflushed = true;
        while self.written < self.gathered.len() {
            let rest = &self.gathered[self.written..];
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            self.client.is_full(&self.stream, written.is_pending());
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.client.wrote(written);
            self.written += written;
        }
        self.written = 0;
        self.core.desk.return_sheet(std::mem::take(&mut self.gathered));
        Poll::Ready(Ok(()))
    }

    /// Takes a part of `bytes`; nothing when there is no room.
    fn gather(&mut self, bytes: &[u8]) -> usize {
        if self.gathered.is_empty() {
            self.gathered = self.core.desk.borrow_sheet(GATHERED_BYTES_MAX);
        }
        let taken = bytes.len().min(GATHERED_BYTES_MAX - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() < GATHERED_BYTES_MAX { Poll::Ready(Ok(())) } else { self.poll_empty(cx) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        if !inner.first.is_empty() {
            let taken = inner.first.len().min(into.remaining());
            into.put_slice(&inner.first[..taken]);
            inner.first.advance(taken);
            return Poll::Ready(Ok(()));
        }
        let Inner { core, stream, .. } = inner;
        core.scratch.poll_read(stream, cx, into.remaining(), |_, bytes| into.put_slice(bytes))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_room(cx))?;
        Poll::Ready(Ok(inner.gather(bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_room(cx))?;
        Poll::Ready(Ok(slices.iter().map(|slice| inner.gather(slice)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The protocol flushes after every frame; what it wants to be sent is sent when the connection's task rests.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let inner = &mut *self.0.borrow_mut();
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}
