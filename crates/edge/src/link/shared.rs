//! Connections that carry many requests at once: HTTP/2. A core keeps a few to each upstream.
//!
//! Such a connection belongs to no single request, so a task of its own drives it. It ends when the pool has let go of it
//! and its last stream has ended.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use prumo_clock::Moment;
use prumo_drain::Stage;
use tokio::sync::Notify;

use super::{CONNECT_TIMEOUT, Failure, Link, NoLink, connect, failure, in_time};
use crate::body::Upload;
use crate::client::Pace;
use crate::core::Core;
use crate::settings::Upstream;
use crate::stream::{Io, UpstreamStream};

/// Streams on one connection at once, unless the upstream allows fewer: what servers usually allow.
const STREAMS_MAX: usize = 100;

/// Connections of one core to one upstream: with the above, more requests than one replica serves at once.
const CONNECTIONS_MAX: usize = 8;

/// How long a request waits for a place before another upstream is tried: their streams may stay open for hours.
const PLACE_PATIENCE: Duration = Duration::from_millis(100);

/// Long enough for a quiet minute, short enough not to hold sockets over night.
const IDLE_AGE_MAX: Duration = Duration::from_secs(60);

/// The connections of one core to one upstream.
pub(crate) struct Pool {
    connections: RefCell<Vec<Rc<Shared>>>,
    is_opening: Cell<bool>,
    /// Streams that a new connection may carry before the upstream has said how many it takes: fewer than it last declined.
    streams_first: Cell<usize>,
    /// In the last handshake it chose HTTP/1.1, so connections are not shared, and not waited for.
    speaks_h1: Cell<bool>,
    /// No longer in the table: connections are not kept.
    is_retired: Cell<bool>,
    /// A place became free, or an attempt to connect has ended.
    changed: Notify,
}

struct Shared {
    sender: SendRequest<Upload>,
    scheme: Scheme,
    streams: Cell<usize>,
    /// What the upstream allows, as far as the driver has heard.
    streams_max: Rc<Cell<usize>>,
    is_reused: Cell<bool>,
    idle_since: Cell<Moment>,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            connections: RefCell::default(),
            is_opening: Cell::new(false),
            streams_first: Cell::new(STREAMS_MAX),
            speaks_h1: Cell::new(false),
            is_retired: Cell::new(false),
            changed: Notify::new(),
        }
    }
}

impl Pool {
    /// A place on a connection; makes one where all are full, one at a time.
    pub(crate) async fn take(self: &Rc<Self>, core: &Core, upstream: &Upstream) -> Result<Link, NoLink> {
        let began = core.clock.now();
        loop {
            if let Some(place) = self.find() {
                return Ok(Link::on(place, core.clock.now()));
            }
            if self.speaks_h1.get() {
                return in_time(core, upstream, self.open(core, upstream)).await;
            }
            let is_full = self.connections.borrow().len() >= CONNECTIONS_MAX;
            if !is_full && !self.is_opening.get() {
                let _opening = Opening::begin(self);
                return in_time(core, upstream, self.open(core, upstream)).await;
            }
            let patience = if is_full { PLACE_PATIENCE } else { CONNECT_TIMEOUT };
            let left = (began + patience).since(core.clock.now());
            if left.is_zero() || core.clock.timeout(left, self.changed.notified()).await.is_err() {
                return Err(NoLink::NoPlace);
            }
        }
    }

    /// A new connection: shared from now on, if the upstream agrees to HTTP/2.
    async fn open(self: &Rc<Self>, core: &Core, upstream: &Upstream) -> io::Result<Link> {
        let stream = connect(upstream).await?;
        self.speaks_h1.set(!stream.speaks_h2());
        if self.speaks_h1.get() {
            return Link::single(core, stream).await;
        }
        let shared = Rc::new(open(core, stream, upstream.secure.is_some(), self.streams_first.get()).await?);
        if !self.is_retired.get() {
            self.connections.borrow_mut().push(Rc::clone(&shared));
        }
        Ok(Link::on(self.place(&shared), core.clock.now()))
    }

    /// A place on the connection that was made first: those made for a burst may grow idle.
    fn find(self: &Rc<Self>) -> Option<Place> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|shared| !shared.sender.is_closed());
        let shared = connections.iter().find(|shared| shared.streams.get() < shared.streams_max.get())?;
        Some(self.place(shared))
    }

    fn place(self: &Rc<Self>, shared: &Rc<Shared>) -> Place {
        shared.streams.set(shared.streams.get() + 1);
        let is_reused = shared.is_reused.replace(true);
        Place { sender: shared.sender.clone(), is_reused, shared: Rc::clone(shared), pool: Rc::clone(self) }
    }

    /// Lets go of connections that are closed or have been idle too long.
    pub(crate) fn sweep(&self, now: Moment) {
        self.connections.borrow_mut().retain(|shared| {
            if shared.streams.get() > 0 {
                shared.idle_since.set(now);
            }
            !shared.sender.is_closed() && now.since(shared.idle_since.get()) < IDLE_AGE_MAX
        });
    }

    /// Lets go of all: each ends with its last stream.
    pub(crate) fn retire(&self) {
        self.is_retired.set(true);
        self.connections.borrow_mut().clear();
    }
}

/// One attempt to connect at a time: a burst of requests to a new replica shares what the first of them opens.
struct Opening<'a>(&'a Pool);

impl<'a> Opening<'a> {
    fn begin(pool: &'a Pool) -> Opening<'a> {
        pool.is_opening.set(true);
        Opening(pool)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.is_opening.set(false);
        self.0.changed.notify_waiters();
    }
}

async fn open(core: &Core, stream: UpstreamStream, is_tls: bool, streams_first: usize) -> io::Result<Shared> {
    // Streams may stand still for hours; the kernel finds out when the other side is gone.
    stream.keep_alive();
    let io = Io::upstream(stream, core.scratch.clone());
    let tasks = Tasks(core.stage.clone());
    let (sender, connection) = builder(tasks, streams_first).handshake(io).await.map_err(io::Error::other)?;
    let streams_max = Rc::new(Cell::new(streams_first));
    let heard = Rc::clone(&streams_max);
    core.stage.spawn_local("http2 upstream", async move {
        let mut connection = pin!(connection);
        let ended = std::future::poll_fn(|cx: &mut Context<'_>| {
            let polled = connection.as_mut().poll(cx);
            heard.set(connection.current_max_send_streams().clamp(1, STREAMS_MAX));
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    let (streams, is_reused) = (Cell::new(0), Cell::new(false));
    let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    Ok(Shared { sender, scheme, streams, streams_max, is_reused, idle_since: Cell::new(core.clock.now()) })
}

fn builder(tasks: Tasks, streams_first: usize) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks);
    // What one connection can make us hold: 1 MiB of answers that no client takes, which all its streams share, and for
    // each stream 64 KiB of a request that the upstream does not take.
    builder
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_frame_size(16 * 1024)
        .max_header_list_size(64 * 1024)
        .max_send_buf_size(64 * 1024)
        .initial_max_send_streams(streams_first);
    builder
}

/// Starts what hyper needs for a connection and for each of its streams.
#[derive(Clone)]
struct Tasks(Stage);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        self.0.spawn_local("http2 upstream stream", work);
    }
}

/// A request's place on a shared connection, given back when dropped.
pub(crate) struct Place {
    sender: SendRequest<Upload>,
    is_reused: bool,
    shared: Rc<Shared>,
    pool: Rc<Pool>,
}

impl Place {
    pub(super) fn scheme(&self) -> Scheme {
        self.shared.scheme.clone()
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(super) async fn exchange(
        &mut self,
        request: Request<Upload>,
        pace: &Pace,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = std::future::poll_fn(move |cx| match Pin::new(&mut answer).poll(cx) {
            Poll::Ready(answered) => Poll::Ready(answered.map_err(failure)),
            Poll::Pending if pace.upstream_is_late() => Poll::Ready(Err(Failure::Expired)),
            Poll::Pending => Poll::Pending,
        })
        .await;
        if matches!(answered, Err(Failure::Declined(_))) {
            self.was_declined();
        }
        answered
    }

    /// So many at once are too many, here and on the next connection.
    fn was_declined(&self) {
        let fewer = self.shared.streams.get().saturating_sub(1).clamp(1, self.shared.streams_max.get());
        self.shared.streams_max.set(fewer);
        self.pool.streams_first.set(fewer);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.streams.set(self.shared.streams.get() - 1);
        self.pool.changed.notify_one();
    }
}

/// True when the upstream has not looked at the request: it refused the stream, or went away before it came (RFC 9113 8.7).
pub(super) fn is_declined(error: &hyper::Error) -> bool {
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else { return false };
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}
