//! Connections come in. Sockets are bound before any thread starts, so that a taken port is an error of the start; then
//! each core accepts on sockets of its own, counts whom it lets in, and reads who a load balancer says it is.

mod bind;
mod crowd;
mod owner;
pub(crate) mod proxy;
mod room;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prumo_probe::is_shortage;
use rustix::io::Errno;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::contain::contain;
use crate::core::{Core, OpenConnection};
use crate::respond::{Reason, Refusal};
use crate::serve;
use crate::settings::Scheme;
use crate::stream::{ClientStream, UnderTls};
use crate::tls;

pub(crate) use bind::{CoreSocket, Listeners, open};
pub(crate) use crowd::{Cells, Crowd};
pub use owner::owner_of_port;
use proxy::{Announced, HEADER_BYTES_MAX};
pub(crate) use room::connections_max;

/// How long accepting pauses when there are no descriptors left: others must close some first.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a shortage of descriptors is told again while it lasts.
const TELL_SHORTAGE_EVERY: Duration = Duration::from_secs(10);

/// Whoever may open a Unix socket is on this machine.
const ON_THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(socket: CoreSocket) -> io::Result<Listener> {
        let is_unix = socket.socket.local_addr()?.is_unix();
        Ok(if is_unix {
            Listener::Unix(UnixListener::from_std(socket.socket.into())?)
        } else {
            Listener::Tcp(TcpListener::from_std(socket.socket.into())?)
        })
    }

    fn port(&self) -> u16 {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or(0, |address| address.port()),
            // Where clear text is spoken when nobody says otherwise.
            Listener::Unix(_) => 80,
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(ClientStream, SocketAddr)>> {
        Poll::Ready(match self {
            Listener::Tcp(listener) => {
                ready!(listener.poll_accept(cx)).map(|(stream, peer)| (ClientStream::Plain(stream), peer))
            }
            Listener::Unix(listener) => {
                ready!(listener.poll_accept(cx)).map(|(stream, _)| (ClientStream::Unix(stream), ON_THIS_MACHINE))
            }
        })
    }

    /// Asks the kernel and nobody else: the runtime may not have heard yet of who has just come, and lets a task take
    /// only so many at once.
    fn accept_now(&self) -> io::Result<(ClientStream, SocketAddr)> {
        let (socket, peer) = match self {
            Listener::Tcp(listener) => SockRef::from(listener).accept()?,
            Listener::Unix(listener) => SockRef::from(listener).accept()?,
        };
        socket.set_nonblocking(true)?;
        Ok(match self {
            Listener::Tcp(_) => {
                let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                (ClientStream::Plain(TcpStream::from_std(socket.into())?), peer)
            }
            Listener::Unix(_) => (ClientStream::Unix(UnixStream::from_std(socket.into())?), ON_THIS_MACHINE),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

/// A connection that was accepted.
struct Arrival {
    stream: ClientStream,
    peer: SocketAddr,
    port: u16,
    acceptor: Option<TlsAcceptor>,
}

/// Accepts until the stage stops, then what has already arrived.
pub(crate) async fn accept(core: Rc<Core>, socket: CoreSocket, tls: Option<Arc<ServerConfig>>) {
    let tls = tls.filter(|_| socket.scheme == Scheme::Https);
    let listener = match Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "listener not served"),
    };
    let port = listener.port();
    core.counts().listeners.add(1);
    let acceptor = tls.map(TlsAcceptor::from);
    let mut stopped = pin!(core.stopping.wait());
    let arrival = |(stream, peer)| Arrival { stream, peer, port, acceptor: acceptor.clone() };
    let (mut told, mut is_scarce) = (None, false);
    loop {
        is_scarce = is_scarce && room::is_scarce(&listener);
        if is_scarce {
            tokio::select! {
                () = pause(&core, &"the last file descriptors are kept back", &mut told) => continue,
                () = &mut stopped => break,
            }
        }
        let accepted = tokio::select! {
            accepted = std::future::poll_fn(|cx| listener.poll_accept(cx)) => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_scarce = room::is_among_last(stream.as_fd().as_raw_fd());
                contain("greeting", || greet(&core, arrival((stream, peer))));
            }
            Err(error) if is_shortage(&error, None) => pause(&core, &error, &mut told).await,
            Err(error) if listens_no_more(&error) => {
                core.counts().listeners.sub(1);
                return tracing::error!(port, %error, "somebody has shut a listening socket down");
            }
            // It concerned one connection, which is gone.
            Err(_) => {}
        }
    }
    // Closing the socket would reset who is in its queue.
    for _ in 0..bind::BACKLOG {
        match listener.accept_now() {
            Ok(accepted) => drop(contain("greeting", || greet(&core, arrival(accepted)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_shortage(&error, None) => break,
            // It concerned one connection, which is gone.
            Err(_) => {}
        }
    }
    core.counts().listeners.sub(1);
}

/// Whether nobody will ever be accepted on this socket again.
fn listens_no_more(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::BADF, Errno::NOTSOCK].into_iter().any(|code| Errno::from_io_error(error) == Some(code))
}

/// Waits a little until there may be room again.
async fn pause(core: &Core, why: &dyn fmt::Display, told: &mut Option<prumo_clock::Moment>) {
    let now = core.clock.now();
    core.counts().refused(Reason::Descriptors).add(1);
    if told.is_none_or(|told| now.since(told) >= TELL_SHORTAGE_EVERY) {
        tracing::warn!(%why, "no more connections are accepted for now, they wait in the queue of the system");
        *told = Some(now);
    }
    core.clock.sleep(PAUSE).await;
}

fn greet(core: &Rc<Core>, arrival: Arrival) {
    let ip = arrival.peer.ip().to_canonical();
    let Some(mut open) = core.admit_connection() else { return refuse(core, &arrival, Reason::Connections) };
    let is_balancer = core.settings().proxy_protocol.iter().any(|network| network.contains(ip));
    if !is_balancer && !open.count_address(ip) {
        return refuse(core, &arrival, Reason::PerIp);
    }
    if let ClientStream::Plain(stream) = &arrival.stream {
        // Answers are written whole; waiting to fill a segment only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay not set");
        }
    }
    if is_balancer {
        core.stage.spawn_local("proxied connection", welcome_proxied(Rc::clone(core), arrival, open));
        return;
    }
    let client = Rc::new(client_of(core, &arrival));
    spawn(core, client, arrival, open);
}

fn client_of(core: &Core, arrival: &Arrival) -> Client {
    Client::new(arrival.peer, arrival.acceptor.is_some(), arrival.port, core.settings(), &core.deadlines)
}

fn spawn(core: &Rc<Core>, client: Rc<Client>, arrival: Arrival, open: OpenConnection) {
    match (arrival.acceptor, arrival.stream) {
        (Some(acceptor), ClientStream::Plain(stream)) => {
            core.stage.spawn_local("https connection", welcome_tls(Rc::clone(core), client, stream, acceptor, open))
        }
        (_, stream) => core.stage.spawn_local("http connection", welcome(Rc::clone(core), client, stream, open)),
    };
}

fn refuse(core: &Core, arrival: &Arrival, why: Reason) {
    core.counts().refused(why).add(1);
    if arrival.acceptor.is_some() {
        // Over TLS there is nobody yet to say it to.
        return;
    }
    let full = core.refuse_unread(Refusal::CONNECTIONS);
    // Only what the socket takes at once.
    let _ = match &arrival.stream {
        ClientStream::Plain(stream) => stream.try_write(&full),
        ClientStream::Unix(stream) => stream.try_write(&full),
        ClientStream::Tls(_) => Ok(0),
    };
}

async fn welcome(core: Rc<Core>, client: Rc<Client>, stream: ClientStream, open: OpenConnection) {
    serve::serve(core, client, stream).await;
    drop(open);
}

async fn welcome_tls(
    core: Rc<Core>,
    client: Rc<Client>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    open: OpenConnection,
) {
    let shake_hands = async {
        // Looked at, not taken: the handshake reads it again.
        serve::await_first(&core, &client, stream.peek(&mut [0])).await??;
        let secure = Arc::clone(&core.view.secure());
        tls::shake_hands(UnderTls(stream), acceptor.config(), &secure.rules).await
    };
    // Boxed, because the handshake's state is large and soon gone.
    let handshake = Box::pin(core.clock.timeout(core.settings().header_timeout, shake_hands)).await;
    match handshake {
        Ok(Ok((stream, introduction))) => {
            core.counts().shook_hands(stream.get_ref().1.handshake_kind());
            // The connection is new, so nothing was said before.
            let _ = client.introduction.set(introduction);
            serve::serve(core, client, ClientStream::Tls(Box::new(stream))).await;
        }
        Ok(Err(error)) => {
            core.counts().refused(Reason::Tls).add(1);
            tracing::debug!(%error, client = ?client.facts.address, "TLS handshake failed");
        }
        Err(_) => core.counts().refused(Reason::Tls).add(1),
    }
    drop(open);
}

/// Reads who the client is; from then on everything is as if it had connected itself.
async fn welcome_proxied(core: Rc<Core>, mut arrival: Arrival, mut open: OpenConnection) {
    let announced = {
        let header = core.clock.timeout(core.settings().header_timeout, read_header(&mut arrival.stream));
        let stopped = async {
            core.stopping.wait().await;
            core.clock.sleep(serve::LAST_MOMENT).await;
        };
        tokio::select! {
            header = header => header.unwrap_or(Ok(None)),
            () = stopped => return,
        }
    };
    match announced {
        Ok(Some(Announced::Itself)) => {}
        Ok(Some(Announced::Client { from, to })) => {
            if !open.count_address(from.ip().to_canonical()) {
                return refuse(&core, &arrival, Reason::PerIp);
            }
            (arrival.peer, arrival.port) = (from, to.port());
        }
        // A balancer that only looks whether the port is open says nothing and leaves.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
        Ok(None) | Err(_) => {
            core.counts().refused(Reason::Proxy).add(1);
            return tracing::debug!(peer = %arrival.peer, "connection closed: no good PROXY header");
        }
    }
    let client = Rc::new(client_of(&core, &arrival));
    spawn(&core, client, arrival, open);
}

/// Takes the header and not a byte more; `None` when it is none.
async fn read_header(stream: &mut ClientStream) -> io::Result<Option<Announced>> {
    let mut header = Vec::with_capacity(HEADER_BYTES_MAX);
    let mut seen = [0; HEADER_BYTES_MAX];
    loop {
        let count = peek(stream, &mut seen).await?;
        if count == 0 {
            let is_silent = header.is_empty();
            return if is_silent { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
        }
        let taken = header.len();
        header.extend_from_slice(&seen[..count]);
        match proxy::parse(&header) {
            Err(proxy::Malformed) => return Ok(None),
            Ok(None) => drop(stream.read_exact(&mut seen[..count]).await?),
            Ok(Some((announced, length))) => {
                stream.read_exact(&mut seen[..length - taken]).await?;
                return Ok(Some(announced));
            }
        }
    }
}

async fn peek(stream: &ClientStream, into: &mut [u8]) -> io::Result<usize> {
    match stream {
        ClientStream::Plain(stream) => stream.peek(into).await,
        ClientStream::Unix(stream) => {
            let look = || {
                let (count, _) = rustix::net::recv(stream, &mut *into, rustix::net::RecvFlags::PEEK)?;
                Ok(count)
            };
            stream.async_io(Interest::READABLE, look).await
        }
        ClientStream::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
