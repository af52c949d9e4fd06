//! Sockets as hyper wants them: clear text or TLS on the client's side, TCP or Unix on the upstream's.

mod under_tls;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use hyper::rt::ReadBufCursor;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::client::Client;
use crate::core::Core;
use crate::framing::Gate;
use crate::interim;
use crate::respond::Refusal;

pub(crate) use self::under_tls::UnderTls;

/// A client's socket.
pub(crate) enum ClientStream {
    Plain(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<UnderTls>>),
}

impl ClientStream {
    pub(crate) fn keep_alive(&self) {
        match self {
            ClientStream::Plain(stream) => keep_alive(stream),
            ClientStream::Tls(stream) => keep_alive(&stream.get_ref().0.0),
            // The kernel knows at once when a process on this machine has gone.
            ClientStream::Unix(_) => {}
        }
    }
}

impl ClientStream {
    /// Reads once and lends what came to `take`: what TLS has decrypted from where it lies, a record at a time, everything
    /// else from the core's scratch buffer. For heads; bodies are read in larger pieces. Nothing when the client has ended.
    pub(crate) fn poll_take<T>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        match self {
            ClientStream::Plain(stream) => scratch.poll_read(stream, cx, Scratch::BYTES, take),
            ClientStream::Unix(stream) => scratch.poll_read(stream, cx, Scratch::BYTES, take),
            ClientStream::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                if session.wants_read() {
                    // It holds nothing. When the socket has nothing either, it costs less to learn it from the socket.
                    ready!(socket.0.poll_read_ready(cx))?;
                }
                // A `poll_read` would try for more, and fail, after each request.
                let bytes = ready!(Pin::new(&mut **stream).poll_fill_buf(cx))?;
                let (length, taken) = (bytes.len(), take(cx, bytes));
                Pin::new(&mut **stream).consume(length);
                Poll::Ready(Ok(taken))
            }
        }
    }

    /// Reads what comes, for nobody. Of TLS not even the encryption is looked at.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, scratch: &Scratch) -> Poll<io::Result<usize>> {
        let count = |_: &mut Context<'_>, bytes: &[u8]| bytes.len();
        match self {
            ClientStream::Plain(stream) => scratch.poll_read(stream, cx, Scratch::BYTES, count),
            ClientStream::Tls(stream) => scratch.poll_read(stream.get_mut().0, cx, Scratch::BYTES, count),
            ClientStream::Unix(stream) => scratch.poll_read(stream, cx, Scratch::BYTES, count),
        }
    }
}

/// An upstream's socket.
pub(crate) enum UpstreamStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tokio_rustls::client::TlsStream<UnderTls>>),
}

impl UpstreamStream {
    pub(crate) fn keep_alive(&self) {
        match self {
            UpstreamStream::Tcp(stream) => keep_alive(stream),
            UpstreamStream::Tls(stream) => keep_alive(&stream.get_ref().0.0),
            UpstreamStream::Unix(_) => {}
        }
    }

    /// Whether HTTP/2 may be spoken: without TLS it was known before.
    pub(crate) fn speaks_h2(&self) -> bool {
        match self {
            UpstreamStream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            UpstreamStream::Tcp(_) | UpstreamStream::Unix(_) => true,
        }
    }
}

/// Lets the kernel find out that the peer of a silent connection is gone.
fn keep_alive(stream: &TcpStream) {
    // Linux gives up after two hours by default; a tunnel's peer is missed after about two minutes.
    let probes = TcpKeepalive::new()
        .with_time(std::time::Duration::from_secs(60))
        .with_interval(std::time::Duration::from_secs(20))
        .with_retries(3);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "keepalive not set");
    }
}

macro_rules! socket {
    (Tls, $stream:expr) => {
        $stream.get_ref().0.as_fd()
    };
    ($kind:ident, $stream:expr) => {
        $stream.as_fd()
    };
}

macro_rules! either_stream {
    ($name:ident { $($kind:ident),+ }) => {
        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                match self {
                    $($name::$kind(stream) => socket!($kind, stream),)+
                }
            }
        }

        impl AsyncRead for $name {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($name::$kind(stream) => Pin::new(stream).poll_read(cx, buffer),)+
                }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($name::$kind(stream) => Pin::new(stream).poll_write(cx, bytes),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($name::$kind(stream) => Pin::new(stream).poll_write_vectored(cx, slices),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $($name::$kind(stream) => stream.is_write_vectored(),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($name::$kind(stream) => Pin::new(stream).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($name::$kind(stream) => Pin::new(stream).poll_shutdown(cx),)+
                }
            }
        }
    };
}

either_stream!(ClientStream { Plain, Unix, Tls });
either_stream!(UpstreamStream { Tcp, Unix, Tls });

/// A core's one read buffer. Every socket reads into it and what arrived is copied on: copying the few hundred bytes of
/// a usual message is cheaper than clearing hyper's 8 KiB for each read, and an idle connection holds no buffer.
#[derive(Clone)]
pub(crate) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Scratch {
    /// As much as hyper's largest read.
    pub(crate) const BYTES: usize = 64 * 1024;

    pub(crate) fn new() -> Scratch {
        Scratch(Rc::new(RefCell::new(vec![0; Scratch::BYTES].into_boxed_slice())))
    }

    /// Reads at most `max` bytes and lends them to `take`.
    pub(crate) fn poll_read<S: AsyncRead + Unpin, T>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
        max: usize,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut scratch = self.0.borrow_mut();
        let max = max.min(scratch.len());
        let mut buffer = ReadBuf::new(&mut scratch[..max]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(cx, buffer.filled())))
    }

    /// Writes small slices as one.
    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut scratch = self.0.borrow_mut();
        let mut length = 0;
        for slice in slices {
            scratch[length..length + slice.len()].copy_from_slice(slice);
            length += slice.len();
        }
        Pin::new(stream).poll_write(cx, &scratch[..length])
    }
}

/// Up to this size, copying a head and its body together costs less than the kernel's way through several slices:
/// measured with answers of 1 KiB.
const GATHER_BYTES_MAX: usize = 4 * 1024;

/// A socket in hyper's terms.
pub(crate) struct Io<S> {
    pub(crate) stream: S,
    /// Bytes that were read before hyper took over.
    first: Bytes,
    /// What decides where requests begin and end; the client's side only.
    gate: Option<Gate>,
    /// The request was sent by others: what is written goes nowhere. The upstream's side only.
    begun: Option<Begun>,
    scratch: Scratch,
    /// Who is told of what moves; the client's side only.
    client: Option<Rc<Client>>,
    /// For refusals in hyper's stead; the client's side only.
    core: Option<Rc<Core>>,
    /// What comes before an answer and waits for its socket; the client's side only.
    interim: Bytes,
}

impl<S: AsFd> Io<S> {
    pub(crate) fn upstream(stream: S, scratch: Scratch) -> Io<S> {
        Io {
            stream,
            first: Bytes::new(),
            gate: None,
            begun: None,
            scratch,
            client: None,
            core: None,
            interim: Bytes::new(),
        }
    }

    /// For an upstream that was asked by others, and whose answer begins with `first`.
    pub(crate) fn begun(stream: S, first: Bytes, scratch: Scratch) -> Io<S> {
        Io { first, begun: Some(Begun::default()), ..Io::upstream(stream, scratch) }
    }

    pub(crate) fn client(stream: S, first: Bytes, core: Rc<Core>, client: Rc<Client>) -> Io<S> {
        let gate = Some(Gate::new(core.settings().headers_max));
        let scratch = core.scratch.clone();
        let (client, core) = (Some(client), Some(core));
        Io { stream, first, gate, begun: None, scratch, client, core, interim: Bytes::new() }
    }

    /// The socket, and what was read and never taken.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.gate.map_or(self.first, Gate::into_held))
    }

    /// What the client is told instead of `bytes`, when these are hyper's answer to something that is no request: hyper's
    /// has no headers of ours and no words. The connection ends after it, so what a slow client does not take is lost.
    fn refusal_of_hyper(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.client.as_ref().filter(|client| client.hears_hyper())?;
        let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        let refusal = Refusal::unread(StatusCode::from_bytes(status).ok()?);
        Some(self.core.as_ref()?.refuse_unread(refusal))
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(client) = &self.client else { return written };
        client.is_blocked(&self.stream, written.is_pending());
        if let Poll::Ready(Ok(bytes @ 1..)) = &written {
            client.wrote(*bytes);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Io<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let (Some(gate), Some(client)) = (&mut this.gate, &this.client) {
            let first = std::mem::take(&mut this.first);
            return Gated { stream: &mut this.stream, scratch: &this.scratch, gate, client }
                .poll_read(cx, &first, into);
        }
        if let Some(begun) = &this.begun {
            if !begun.is_asked {
                // An answer before its question would be an error. Whoever asks wakes.
                return Poll::Pending;
            }
            if !this.first.is_empty() {
                let now = this.first.split_to(this.first.len().min(into.remaining()));
                into.put_slice(&now);
                return Poll::Ready(Ok(()));
            }
        }
        this.scratch.poll_read(&mut this.stream, cx, into.remaining(), |_, bytes| into.put_slice(bytes))
    }
}

/// Whether the request was sent once more, to nobody.
#[derive(Default)]
struct Begun {
    is_asked: bool,
}

impl Begun {
    fn write(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(bytes))
    }
}

/// The reading half of an HTTP/1 client.
struct Gated<'a, S> {
    stream: &'a mut S,
    scratch: &'a Scratch,
    gate: &'a mut Gate,
    client: &'a Client,
}

impl<S: AsyncRead + Unpin> Gated<'_, S> {
    /// What may pass of what is there; what may not yet is asked for again when the answer before it is written.
    fn poll_read(self, cx: &mut Context<'_>, first: &[u8], mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Gated { stream, scratch, gate, client } = self;
        let mut pass = |gate: &mut Gate, bytes: &[u8]| {
            let passed = gate.pass(bytes, into.remaining(), client.hears_hyper(), |bytes| into.put_slice(bytes));
            if gate.is_unsafe() {
                client.note_unsafe_head();
            }
            client.note_body(gate.has_begun_body());
            passed
        };
        if !first.is_empty() {
            client.read();
        }
        let mut passed = pass(gate, first)?;
        while passed == 0 {
            if gate.is_full() {
                return Poll::Pending;
            }
            if gate.awaits_rest_of_head() {
                client.begin_head();
            }
            let read = scratch.poll_read(stream, cx, Scratch::BYTES, |_, bytes| {
                client.read();
                if bytes.is_empty() { Ok(None) } else { pass(gate, bytes).map(Some) }
            });
            match ready!(read)?? {
                Some(some) => passed = some,
                // Told of it, hyper would give up the answer that is due. It is told afterwards.
                None if gate.has_passed() && !client.hears_hyper() && client.pace.half_close() => return Poll::Pending,
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + AsFd + Unpin> Io<S> {
    /// Writes what is to come before an answer. hyper, which has no way to, has written all before it, or nothing.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(client), Some(core)) = (&self.client, &self.core) else { return Poll::Ready(Ok(())) };
        let heads = if client.hears_hyper() { Vec::new() } else { client.pace.take_interims() };
        if !heads.is_empty() {
            let mut text = self.interim.to_vec();
            for mut head in heads {
                interim::clean(&mut head, &core.answer);
                interim::write_h1(&mut text, &head);
            }
            self.interim = text.into();
        }
        while !self.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            client.wrote(written);
            self.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + AsFd + Unpin> hyper::rt::Write for Io<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refusal_of_hyper(bytes) {
            return Pin::new(&mut this.stream).poll_write(cx, &refusal).map_ok(|_| bytes.len());
        }
        if let Some(begun) = &mut this.begun {
            return begun.write(cx, bytes.len());
        }
        ready!(this.poll_interims(cx))?;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // hyper refuses in one short slice.
        if let [one] = slices
            && let Some(refusal) = this.refusal_of_hyper(one)
        {
            return Pin::new(&mut this.stream).poll_write(cx, &refusal).map_ok(|_| one.len());
        }
        if let Some(begun) = &mut this.begun {
            return begun.write(cx, slices.iter().map(|slice| slice.len()).sum());
        }
        ready!(this.poll_interims(cx))?;
        let written = match slices {
            [one] => Pin::new(&mut this.stream).poll_write(cx, one),
            small if small.iter().map(|slice| slice.len()).sum::<usize>() <= GATHER_BYTES_MAX => {
                this.scratch.poll_write(&mut this.stream, cx, small)
            }
            large => Pin::new(&mut this.stream).poll_write_vectored(cx, large),
        };
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper calls this when its own buffer is empty.
        ready!(this.poll_interims(cx))?;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        let Some(client) = &this.client else { return flushed };
        // TLS may hold something that the socket does not take.
        client.is_blocked(&this.stream, flushed.is_pending());
        let waits = client.pace.is_half_closed() || this.gate.as_ref().is_some_and(Gate::is_full);
        if client.flushed() && waits {
            // The next request may pass now, or the end.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
