//! One client connection through its life: hyper speaks the protocol, [`crate::forward::answer`] answers each request.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::client::conn::http1::Builder as UpstreamBuilder;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use crate::body::{Body, BodyCut};
use crate::client::{Client, Pace, Phase};
use crate::core::Core;
use crate::deadline::SWEEP_EVERY;
use crate::fast;
use crate::forward;
use crate::respond::{self, Reason, Refusal};
use crate::settings::Settings;
use crate::stream::{ClientStream, Io};
use crate::tunnel;

/// The first bytes of HTTP/2 with prior knowledge.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client that has sent nothing may hold up a stop: a request that has reached this machine is still taken.
pub(crate) const LAST_MOMENT: Duration = SWEEP_EVERY;

/// How hyper is told to speak. Built once for each core.
pub(crate) struct Protocols {
    h1: http1::Builder,
    pub(crate) upstream: UpstreamBuilder,
}

/// hyper's read buffer, and the most it holds of a body that the other side does not take yet.
const BUFFER_BYTES: usize = 64 * 1024;

impl Protocols {
    pub(crate) fn new(settings: &Settings) -> Protocols {
        let mut h1 = http1::Builder::new();
        // Deadlines are ours (see `deadline`), so hyper needs no timer.
        h1.header_read_timeout(None)
            .max_header_size(settings.headers_max)
            .max_buf_size(BUFFER_BYTES.max(settings.headers_max));
        let mut upstream = UpstreamBuilder::new();
        upstream.max_buf_size(BUFFER_BYTES).max_header_size(BUFFER_BYTES);
        Protocols { h1, upstream }
    }
}

fn h2_builder(streams: Streams) -> http2::Builder<Streams> {
    let headers_max = u32::try_from(streams.core.settings().headers_max).unwrap_or(u32::MAX);
    let mut h2 = http2::Builder::new(streams);
    // This bounds what one connection can make us hold: 1 MiB of request bodies that no upstream takes, which all streams
    // share, and 100 × 16 KiB of answers that the client does not take.
    h2.initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_frame_size(16 * 1024)
        .max_concurrent_streams(100)
        .max_header_list_size(headers_max)
        // For web sockets.
        .enable_connect_protocol()
        .max_send_buf_size(16 * 1024)
        // Rapid Reset and MadeYouReset: a client that resets faster than this is cut off.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256);
    h2
}

/// Serves a connection whose protocol was agreed in the TLS handshake, or is told by its first bytes.
pub(crate) async fn serve(core: Rc<Core>, client: Rc<Client>, mut stream: ClientStream) {
    let (is_h2, first) = match &stream {
        ClientStream::Tls(tls) => (tls.get_ref().1.alpn_protocol() == Some(b"h2"), Bytes::new()),
        ClientStream::Plain(_) | ClientStream::Unix(_) => match read_first(&core, &client, &mut stream).await {
            Ok(first) => first,
            Err(_) => return,
        },
    };
    if is_h2 || !fast::may_serve(&core, &client) {
        return serve_any(core, client, stream, first, is_h2).await;
    }
    if let Some((stream, read)) = fast::serve(&core, &client, stream, first).await {
        serve_any(core, client, stream, read, false).await;
    }
}

/// The general path. Boxed, because its state is large and most connections have no use for it.
async fn serve_any(core: Rc<Core>, client: Rc<Client>, stream: ClientStream, first: Bytes, is_h2: bool) {
    let io = Io::client(stream, first, Rc::clone(&core), Rc::clone(&client));
    if is_h2 {
        Box::pin(serve_h2(core, client, io)).await;
    } else {
        Box::pin(serve_h1(core, client, io)).await;
    }
}

/// Reads until it is clear whether the client speaks HTTP/2: one read for nearly everybody.
async fn read_first(core: &Core, client: &Client, stream: &mut ClientStream) -> io::Result<(bool, Bytes)> {
    let mut first = Vec::with_capacity(1024);
    loop {
        let read = await_first(core, client, stream.read_buf(&mut first)).await??;
        let known = first.len().min(PREFACE.len());
        let may_be_h2 = first[..known] == PREFACE[..known];
        if read == 0 || !may_be_h2 || known == PREFACE.len() {
            return Ok((may_be_h2 && known == PREFACE.len(), Bytes::from(first)));
        }
    }
}

/// Waits for a client's first bytes until its deadline, or until a stop that should not wait for them.
pub(crate) async fn await_first<T>(core: &Core, client: &Client, work: impl Future<Output = T>) -> io::Result<T> {
    let mut work = pin!(work);
    let mut is_closing = false;
    std::future::poll_fn(|cx| {
        client.pace.deadline.wakes(cx.waker());
        if !is_closing && core.stopping.is_stopping() {
            is_closing = true;
            client.pace.deadline.arm(LAST_MOMENT);
        }
        match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if client.pace.is_expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn serve_h1(core: Rc<Core>, client: Rc<Client>, io: Io<ClientStream>) {
    let service = {
        let (core, client) = (Rc::clone(&core), Rc::clone(&client));
        service_fn(move |request| {
            let (core, client) = (Rc::clone(&core), Rc::clone(&client));
            let pace = Rc::clone(&client.pace);
            client.begin_answer();
            let heard = Heard(Rc::clone(&client));
            async move {
                let answer = forward::answer(core, client, pace, request).await;
                Ok::<_, Infallible>(answer.map(|body| Watched { body, _heard: heard }))
            }
        })
    };
    client.expect_request();
    let mut connection = core.protocols.h1.serve_connection(io, service);
    let mut is_closing = false;
    let ended = std::future::poll_fn(|cx| {
        client.pace.deadline.wakes(cx.waker());
        if !is_closing && core.stopping.is_stopping() && !core.awaits_next(&client) {
            is_closing = true;
            Pin::new(&mut connection).graceful_shutdown();
            // hyper would still wait for a first request.
            if client.is_silent() {
                client.pace.deadline.arm(LAST_MOMENT);
            }
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The request, if there is one, was polled just now and has not answered: cut.
            Poll::Pending if client.pace.is_expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if let Some(Err(error)) = &ended {
        note_error(&core, error);
    }
    let was_in_head = ended.is_none() && client.pace.phase() == Phase::Head;
    let parts = connection.into_parts();
    let mut stream = parts.io.stream;
    let tunnel = client.tunnel.borrow_mut().take();
    match tunnel {
        Some(tunnel) => {
            stream.keep_alive();
            let _only = OnlyTunnels::begin(&core);
            tunnel::run(&core, stream, parts.read_buf, tunnel).await;
        }
        None if was_in_head => refuse_slow_head(&core, &mut stream).await,
        None => {
            // For TLS this says goodbye; a peer that does not read it is not waited for.
            let _ = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_shutdown(cx))).await;
        }
    }
}

/// The body of an answer, which says when hyper has all of it.
struct Watched {
    body: Body,
    _heard: Heard,
}

struct Heard(Rc<Client>);

impl Drop for Heard {
    fn drop(&mut self) {
        self.0.end_answer();
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn note_error(core: &Core, error: &hyper::Error) {
    if error.is_parse() {
        let reason = if error.is_parse_too_large() { Reason::Headers } else { Reason::Framing };
        core.counts().refused(reason).add(1);
    }
    tracing::debug!(%error, "client connection ended");
}

async fn refuse_slow_head(core: &Core, stream: &mut ClientStream) {
    core.counts().refused(Refusal::SLOW_CLIENT.reason).add(1);
    let answer = respond::refuse_unread(Refusal::SLOW_CLIENT, &core.answer);
    // Once, as much as the socket takes: there is no more time for this client.
    let mut write = pin!(stream.write(&answer));
    let _ = std::future::poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
}

async fn serve_h2(core: Rc<Core>, client: Rc<Client>, io: Io<ClientStream>) {
    // Its streams may stand still for hours, such as those of web sockets.
    io.stream.keep_alive();
    client.pace.enter(Phase::Shared);
    client.pace.deadline.arm(core.settings().header_timeout);
    let service = {
        let (core, client) = (Rc::clone(&core), Rc::clone(&client));
        service_fn(move |request| {
            let (core, client) = (Rc::clone(&core), Rc::clone(&client));
            async move {
                let pace = core.stream_pace.borrow().clone().unwrap_or_else(|| Rc::clone(&client.pace));
                Ok::<_, Infallible>(forward::answer(core, client, pace, request).await)
            }
        })
    };
    let streams = Streams { core: Rc::clone(&core), client: Rc::clone(&client) };
    let mut connection = pin!(h2_builder(streams).serve_connection(io, service));
    let mut is_closing = false;
    std::future::poll_fn(|cx| {
        client.pace.deadline.wakes(cx.waker());
        if !is_closing && (core.stopping.is_stopping() || client.pace.is_expired()) {
            is_closing = true;
            // GOAWAY; streams in flight end. An idle client has a while to answer it.
            connection.as_mut().graceful_shutdown();
            client.pace.deadline.arm(core.settings().header_timeout);
        }
        match connection.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "client connection ended");
                Poll::Ready(())
            }
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Pending if is_closing && client.streams.get() == 0 && client.pace.is_expired() => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

/// Gives each HTTP/2 stream a task, and a pace of its own.
#[derive(Clone)]
struct Streams {
    core: Rc<Core>,
    client: Rc<Client>,
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // hyper starts a stream while its connection is polled, and within a stream what writes a tunnel's bytes.
        if self.core.stream_pace.borrow().is_some() {
            let open = OpenStream::begin(&self.core, &self.client, true);
            self.core.stage.spawn_local("http2 tunnel", async move {
                stream.await;
                drop(open);
            });
            return;
        }
        let open = OpenStream::begin(&self.core, &self.client, false);
        let pace = Rc::new(Pace::new(self.core.deadlines.add(), self.core.settings()));
        let core = Rc::clone(&self.core);
        self.core.stage.spawn_local("http2 stream", async move {
            run_stream(&core, &pace, stream).await;
            drop(open);
        });
    }
}

/// Polls a stream until it ends or takes too long; dropping it then resets the stream.
async fn run_stream(core: &Core, pace: &Rc<Pace>, stream: impl Future<Output = ()>) {
    let mut stream = pin!(stream);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        pace.deadline.wakes(cx.waker());
        core.stream_pace.replace(Some(Rc::clone(pace)));
        let polled = stream.as_mut().poll(cx);
        core.stream_pace.replace(None);
        if polled.is_pending() && pace.is_expired() { Poll::Ready(()) } else { polled }
    })
    .await;
}

/// A stream that is counted, so that a connection knows when it is idle and when it carries only tunnels.
struct OpenStream {
    core: Rc<Core>,
    client: Rc<Client>,
    is_tunnel: bool,
}

impl OpenStream {
    fn begin(core: &Rc<Core>, client: &Rc<Client>, is_tunnel: bool) -> OpenStream {
        client.pace.deadline.disarm();
        let open = OpenStream { core: Rc::clone(core), client: Rc::clone(client), is_tunnel };
        open.count(|count| count + 1);
        open
    }

    fn count(&self, change: impl Fn(usize) -> usize) {
        let (streams, tunnels) = (&self.client.streams, &self.client.tunnels);
        streams.set(change(streams.get()));
        if self.is_tunnel {
            tunnels.set(change(tunnels.get()));
        }
        let is_only = streams.get() > 0 && streams.get() == tunnels.get();
        let mut only = self.client.only_tunnels.borrow_mut();
        if is_only != only.is_some() {
            *only = is_only.then(|| OnlyTunnels::begin(&self.core));
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.count(|count| count - 1);
        if self.client.streams.get() == 0 {
            self.client.pace.deadline.arm(self.client.pace.idle_timeout());
        }
    }
}

/// A client connection that carries nothing but tunnels: a stop of the edge does not wait for it.
pub(crate) struct OnlyTunnels(Rc<Core>);

impl OnlyTunnels {
    fn begin(core: &Rc<Core>) -> OnlyTunnels {
        core.counts().only_tunnels.add(1);
        OnlyTunnels(Rc::clone(core))
    }
}

impl Drop for OnlyTunnels {
    fn drop(&mut self) {
        self.0.counts().only_tunnels.sub(1);
    }
}
