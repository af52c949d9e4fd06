//! One client connection through its life: which protocol it speaks, and the general path of HTTP/1, where hyper speaks
//! and [`crate::forward::answer`] answers each request.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::client::conn::http1::Builder as UpstreamBuilder;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use crate::body::{Body, BodyCut, ClientBody};
use crate::client::{Client, Phase};
use crate::core::Core;
use crate::deadline::SWEEP_EVERY;
use crate::fast;
use crate::forward;
use crate::http2;
use crate::linger::linger;
use crate::respond::{Reason, Refusal};
use crate::settings::Settings;
use crate::stream::{ClientStream, Io};
use crate::tunnel::{self, Tunnel};

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
    // Boxed: who goes on elsewhere, such as a web socket that stays for hours, does not keep the room for a request.
    let left = Box::pin(fast::serve(&core, &client, stream, first)).await;
    if let Some((stream, read)) = left {
        serve_any(core, client, stream, read, false).await;
    }
}

/// The general path. Boxed, because its state is large and most connections have no use for it.
async fn serve_any(core: Rc<Core>, client: Rc<Client>, stream: ClientStream, first: Bytes, is_h2: bool) {
    if is_h2 {
        return Box::pin(http2::serve(core, client, stream, first)).await;
    }
    let io = Io::client(stream, first, Rc::clone(&core), Rc::clone(&client));
    // All that HTTP needed is gone before a tunnel begins, which may be idle for hours.
    let left = Box::pin(serve_h1(&core, client, io)).await;
    if let Some(left) = left {
        Box::pin(left.serve(&core)).await;
    }
}

/// What is left of a connection whose last answer was `101 Switching Protocols`.
struct Left {
    stream: ClientStream,
    /// Read and not yet passed on.
    read: Bytes,
    tunnel: Tunnel,
}

impl Left {
    async fn serve(self, core: &Rc<Core>) {
        self.stream.keep_alive();
        let _only = OnlyTunnels::begin(core);
        tunnel::run(core, self.stream, self.read, self.tunnel).await;
    }
}

/// Reads until it is clear whether the client speaks HTTP/2: one read for nearly everybody.
async fn read_first(core: &Core, client: &Client, stream: &mut ClientStream) -> io::Result<(bool, Bytes)> {
    let mut first = Vec::with_capacity(1024);
    loop {
        let read = await_first(core, client, stream.read_buf(&mut first)).await??;
        if read > 0 {
            client.speaks();
        }
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

async fn serve_h1(core: &Rc<Core>, client: Rc<Client>, io: Io<ClientStream>) -> Option<Left> {
    let service = {
        let (core, client) = (Rc::clone(core), Rc::clone(&client));
        service_fn(move |request| {
            let (core, client) = (Rc::clone(&core), Rc::clone(&client));
            let pace = Rc::clone(&client.pace);
            client.begin_answer();
            let heard = Heard(Rc::clone(&client));
            async move {
                let answer = forward::answer(core, client, pace, request.map(ClientBody::Http1), None).await;
                Ok::<_, Infallible>(answer.map(|body| Telltale { body, _heard: heard }))
            }
        })
    };
    client.expect_request();
    let mut connection = core.protocols.h1.serve_connection(io, service);
    let (mut is_begun, mut is_hurried, mut is_closing) = (false, false, false);
    let ended = std::future::poll_fn(|cx| {
        client.pace.deadline.wakes(cx.waker());
        if !is_closing && core.stopping.is_stopping() && !core.awaits_next(&client) {
            // Told so before it has read anything, hyper would close in the face of a request that is already here.
            if client.is_silent() {
                if !std::mem::replace(&mut is_hurried, true) {
                    client.pace.deadline.arm(LAST_MOMENT);
                }
            } else if is_begun {
                is_closing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
        is_begun = true;
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The request, if there is one, was polled just now and has not answered: cut.
            Poll::Pending if client.pace.is_expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if let Some(Err(error)) = &ended {
        note_error(core, error);
    }
    let was_in_head = ended.is_none() && client.pace.phase() == Phase::Head;
    let parts = connection.into_parts();
    let (mut stream, held) = parts.io.into_parts();
    let tunnel = client.tunnel.borrow_mut().take();
    if let Some(tunnel) = tunnel {
        let read = if parts.read_buf.is_empty() { held } else { [parts.read_buf, held].concat().into() };
        return Some(Left { stream, read, tunnel });
    }
    if was_in_head {
        refuse_slow_head(core, &mut stream).await;
        return None;
    }
    // For TLS this says goodbye; a peer that does not read it is not waited for.
    let _ = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_shutdown(cx))).await;
    if client.pace.has_unread() {
        linger(core, &client, &mut stream).await;
    }
    None
}

/// The body of an answer, which says when hyper has all of it.
struct Telltale {
    body: Body,
    _heard: Heard,
}

struct Heard(Rc<Client>);

impl Drop for Heard {
    fn drop(&mut self) {
        self.0.end_answer();
    }
}

impl http_body::Body for Telltale {
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
    let answer = core.refuse_unread(Refusal::SLOW_CLIENT);
    // Once, as much as the socket takes: there is no more time for this client.
    let mut write = pin!(stream.write(&answer));
    let _ = std::future::poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
}

/// A client connection that carries nothing but tunnels: a stop of the edge does not wait for it.
pub(crate) struct OnlyTunnels(Rc<Core>);

impl OnlyTunnels {
    pub(crate) fn begin(core: &Rc<Core>) -> OnlyTunnels {
        core.counts().only_tunnels.add(1);
        OnlyTunnels(Rc::clone(core))
    }
}

impl Drop for OnlyTunnels {
    fn drop(&mut self) {
        self.0.counts().only_tunnels.sub(1);
    }
}
