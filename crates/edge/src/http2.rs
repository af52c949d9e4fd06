//! A client's HTTP/2 connection: h2 speaks the protocol, and one task does the rest.
//!
//! All requests of a connection live in this one task, each in a place of its own with a bell of its own: none is
//! started elsewhere, none takes a lock of ours, and only who has something to do is polled. What they all write goes out
//! together, before the task rests.
//!
//! ```text
//! wire → h2 → accept → places ─┬─ stream ─ forward::answer ─┐
//!   ↑                          ├─ stream ─ …                ├─→ h2 → wire
//!   └──────────────────────────┴────────────────────────────┘
//! ```

mod bells;
mod stream;
mod wire;

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;

use self::bells::{BELLS, Bells};
pub(crate) use self::stream::{poll_capacity, send, unless_reset};
use self::wire::Wire;
use crate::client::{Client, Pace, Phase};
use crate::contain::contain;
use crate::core::Core;
use crate::serve::OnlyTunnels;
use crate::settings::Settings;
use crate::stream::ClientStream;

/// Requests that one connection may have in flight.
const STREAMS_MAX: u32 = 100;

/// Above [`STREAMS_MAX`], because a stream that its client has reset keeps its place until it is polled.
const PLACES: usize = BELLS - 1;

/// The bell of the connection itself, behind those of the places.
const CONNECTION: usize = PLACES;

/// How often one poll looks at all that can be done before others have their turn. Chosen by hand: one look for what
/// has come, one for what followed from it at once, and one for its end.
const LOOKS_MAX: u32 = 3;

fn builder(settings: &Settings) -> Builder {
    // Who is a little above the limit gets an answer of ours, as over HTTP/1 (`admit::check_headers`). What is far above it
    // h2 refuses with a bare status, before it holds more.
    let headers_max = u32::try_from(settings.headers_max.saturating_mul(2)).unwrap_or(u32::MAX);
    let mut h2 = Builder::new();
    // This bounds what one connection can make us hold: 1 MiB of request bodies that no upstream takes, which all streams
    // share, and 100 × 16 KiB of answers that the client does not take.
    h2.initial_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_frame_size(16 * 1024)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(headers_max)
        // For web sockets.
        .enable_connect_protocol()
        .max_send_buffer_size(16 * 1024)
        // Rapid Reset and MadeYouReset: a client that resets faster than this is cut off.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(256));
    h2
}

/// Serves a connection until it ends.
pub(crate) async fn serve(core: Rc<Core>, client: Rc<Client>, stream: ClientStream, first: Bytes) {
    // Its streams may stand still for hours, such as those of web sockets.
    stream.keep_alive();
    client.pace.enter(Phase::Shared);
    client.pace.deadline.arm(core.settings().header_timeout);
    let wire = Wire::new(Rc::clone(&core), Rc::clone(&client), stream, first);
    let mut patience = Patience { core: Rc::clone(&core), client: Rc::clone(&client), is_closing: false };
    let mut handshake = pin!(builder(core.settings()).handshake(wire.clone()));
    let shaken = std::future::poll_fn(|cx| {
        client.pace.deadline.wakes(cx.waker());
        let polled = handshake.as_mut().poll(cx);
        let sent = wire.poll_send(cx);
        match polled {
            Poll::Ready(shaken) => Poll::Ready(shaken.ok()),
            Poll::Pending if matches!(sent, Poll::Ready(Err(_))) => Poll::Ready(None),
            Poll::Pending => {
                patience.look();
                if patience.is_over() { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    });
    let Some(connection) = shaken.await else { return };
    let mut serving = Serving { connection, wire, bells: Bells::new(), places: Vec::new(), free: Vec::new(), patience };
    if serving.patience.is_closing {
        serving.connection.graceful_shutdown();
    }
    std::future::poll_fn(|cx| serving.poll(cx)).await;
}

/// Whether the connection is to end.
struct Patience {
    core: Rc<Core>,
    client: Rc<Client>,
    is_closing: bool,
}

impl Patience {
    /// True when a stop, or a client that says nothing, is seen for the first time. The client then has a while to hear
    /// of it.
    fn look(&mut self) -> bool {
        let ends = !self.is_closing && (self.core.stopping.is_stopping() || self.client.pace.is_expired());
        if ends {
            self.is_closing = true;
            self.client.pace.deadline.arm(self.core.settings().header_timeout);
        }
        ends
    }

    /// Nothing is going on, and the client does not go.
    fn is_over(&self) -> bool {
        self.is_closing && self.client.streams.get() == 0 && self.client.pace.is_expired()
    }
}

/// A connection whose preface has come.
struct Serving {
    connection: Connection<Wire, Bytes>,
    wire: Wire,
    bells: Bells,
    places: Vec<Place>,
    /// Places where nobody sits.
    free: Vec<usize>,
    patience: Patience,
}

/// Where a stream sits.
#[derive(Default)]
struct Place {
    stream: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Serving {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.patience.client.pace.deadline.wakes(cx.waker());
        if self.patience.look() {
            // GOAWAY; streams in flight end.
            self.connection.graceful_shutdown();
        }
        self.bells.begin(cx.waker());
        let polled = self.poll_all();
        if polled.is_pending() {
            self.bells.rest();
            if self.patience.is_over() {
                return Poll::Ready(());
            }
        }
        polled
    }

    /// The protocol, then those streams that have something to do, and again, because each gives work to the other.
    fn poll_all(&mut self) -> Poll<()> {
        let waker = self.bells.waker(CONNECTION).clone();
        let cx = &mut Context::from_waker(&waker);
        for _ in 0..LOOKS_MAX {
            if self.accept(cx) {
                return Poll::Ready(());
            }
            let rung = self.bells.take();
            if rung.is_empty() {
                break;
            }
            for place in rung {
                self.poll_place(place);
            }
        }
        match self.wire.poll_send(cx) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "client connection ended");
                Poll::Ready(())
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads what has come and writes what waits. True when the connection has ended.
    fn accept(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "client connection ended");
                    return true;
                }
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
    }

    /// Gives a request a place.
    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < PLACES => {
                self.places.push(Place::default());
                self.places.len() - 1
            }
            None => return respond.send_reset(Reason::REFUSED_STREAM),
        };
        let Patience { core, client, .. } = &self.patience;
        let open = OpenStream::begin(core, client, false);
        let pace = Pace::sharing(core.deadlines.add(), core.settings(), Rc::clone(client));
        let stream = stream::serve(Rc::clone(core), Rc::clone(client), Rc::new(pace), open, request, respond);
        self.places[place].stream = Some(Box::pin(stream));
        self.bells.ring(place);
    }

    fn poll_place(&mut self, number: usize) {
        let Some(place) = self.places.get_mut(number) else { return };
        let Some(stream) = &mut place.stream else { return };
        let cx = &mut Context::from_waker(self.bells.waker(number));
        // What a panic leaves of a stream is dropped, which resets it; the others of its connection go on.
        let polled = contain("http2 stream", || stream.as_mut().poll(cx)).unwrap_or(Poll::Ready(()));
        if polled.is_ready() {
            contain("http2 stream's end", || place.stream = None);
            self.free.push(number);
        }
    }
}

/// A stream that is counted, so that a connection knows when it is idle and when it carries only tunnels.
pub(crate) struct OpenStream {
    core: Rc<Core>,
    client: Rc<Client>,
    is_tunnel: bool,
}

impl OpenStream {
    pub(crate) fn begin(core: &Rc<Core>, client: &Rc<Client>, is_tunnel: bool) -> OpenStream {
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
