//! Sockets are bound before any thread starts, so that a taken port is an error of the start; then each core accepts
//! on sockets of its own.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::core::{Core, OpenConnection};
use crate::error::{EdgeError, Owner};
use crate::respond::{self, Reason, Refusal};
use crate::serve;
use crate::settings::Port;
use crate::stream::ClientStream;

/// Connections the kernel holds while a core is busy. The kernel lowers it to `net.core.somaxconn`, usually 4096.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when there are no descriptors left: others must close some first.
const PAUSE: Duration = Duration::from_millis(100);

/// The same address for every core.
pub(crate) struct Listeners {
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

/// Binds `port` (or what `Auto` stands for) once for each core.
pub(crate) fn bind(address: IpAddr, port: Port, usual: u16, cores: usize) -> Result<Option<Listeners>, EdgeError> {
    match port {
        Port::Off => Ok(None),
        Port::Number(number) => bind_all(SocketAddr::new(address, number), cores).map(Some),
        Port::Auto => match bind_all(SocketAddr::new(address, usual), cores) {
            Ok(listeners) => Ok(Some(listeners)),
            Err(error) => {
                // 80 → 8080, 443 → 8443.
                let other = usual + 8000;
                tracing::info!(port = other, instead_of = usual, %error, "usual port not bound");
                bind_all(SocketAddr::new(address, other), cores).map(Some)
            }
        },
    }
}

fn bind_all(address: SocketAddr, cores: usize) -> Result<Listeners, EdgeError> {
    let failed = |source: io::Error| explain(address, source);
    // SO_REUSEPORT would let us share the port with another process of the same user that uses it too. Binding once
    // without it finds that process out.
    let probe = bind_one(address, false).map_err(failed)?;
    let address = probe.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    drop(probe);
    let mut sockets = Vec::with_capacity(cores);
    for _ in 0..cores {
        let socket = bind_one(address, true).map_err(failed)?;
        sockets.push(TcpListener::from(socket));
    }
    // Only now, so that no connection waits at a socket that a later failure would close.
    for socket in &sockets {
        socket2::SockRef::from(socket).listen(BACKLOG).map_err(failed)?;
    }
    Ok(Listeners { address, sockets })
}

fn bind_one(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` serves IPv4 too.
        socket.set_only_v6(false)?;
    }
    // Connections of a former process in TIME_WAIT do not keep us from starting.
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn explain(address: SocketAddr, source: io::Error) -> EdgeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => EdgeError::AddressTaken { address, owner: owner_of_port(address.port()) },
        _ => EdgeError::AddressRefused { address, source },
    }
}

/// The process that listens on `port`, as far as `/proc` shows it to us.
pub fn owner_of_port(port: u16) -> Option<Owner> {
    let inodes: HashSet<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening_inodes(table, port)).collect();
    if inodes.is_empty() {
        return None;
    }
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if holds_any(&process.path(), &inodes) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Owner { pid, name: name.trim().to_owned() });
        }
    }
    None
}

fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let text = std::fs::read_to_string(table).unwrap_or_default();
    let port = format!(":{port:04X}");
    text.lines().skip(1).filter_map(|line| listening_inode(line, &port)).collect()
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`
fn listening_inode(line: &str, port: &str) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let is_wanted = fields.get(1)?.ends_with(port) && *fields.get(3)? == LISTEN;
    if is_wanted { Some((*fields.get(9)?).to_owned()) } else { None }
}

fn holds_any(process: &Path, inodes: &HashSet<String>) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        std::fs::read_link(descriptor.path()).is_ok_and(|target| {
            let target = target.to_string_lossy();
            target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|inode| inodes.contains(inode))
        })
    })
}

/// Accepts until the stage stops, then what has already arrived.
pub(crate) async fn accept(core: Rc<Core>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "listener not served"),
    };
    let port = listener.local_addr().map_or(0, |address| address.port());
    core.counts().listeners.add(1);
    let acceptor = tls.map(TlsAcceptor::from);
    let mut stopped = pin!(core.stopping.wait());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((stream, address)) => greet(&core, stream, address, port, acceptor.clone()),
            Err(error) => pause_after(&core, &error).await,
        }
    }
    // Closing the socket would reset who is in its queue.
    let waiting = std::future::poll_fn(|cx| {
        while let std::task::Poll::Ready(Ok((stream, address))) = listener.poll_accept(cx) {
            greet(&core, stream, address, port, acceptor.clone());
        }
        std::task::Poll::Ready(())
    });
    waiting.await;
    core.counts().listeners.sub(1);
}

async fn pause_after(core: &Core, error: &io::Error) {
    const SHORTAGES: [Errno; 4] = [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOBUFS];
    if Errno::from_io_error(error).is_some_and(|code| SHORTAGES.contains(&code)) {
        tracing::warn!(%error, "no more connections can be accepted, pausing");
        core.clock.sleep(PAUSE).await;
    }
    // Anything else happened to one connection, which is gone.
}

fn greet(core: &Rc<Core>, stream: TcpStream, address: SocketAddr, port: u16, acceptor: Option<TlsAcceptor>) {
    let Some(open) = core.admit_connection() else {
        core.counts().refused(Reason::Connections).add(1);
        if acceptor.is_none() {
            let full = respond::refuse_unread(Refusal::CONNECTIONS, false, &core.answer);
            let _ = stream.try_write(&full);
        }
        return;
    };
    // Answers are written whole; waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay not set");
    }
    let client = Rc::new(Client::new(address, acceptor.is_some(), port, core.settings(), &core.deadlines));
    match acceptor {
        None => core.stage.spawn_local("http connection", welcome(Rc::clone(core), client, stream, open)),
        Some(acceptor) => {
            core.stage.spawn_local("https connection", welcome_tls(Rc::clone(core), client, stream, acceptor, open))
        }
    };
}

async fn welcome(core: Rc<Core>, client: Rc<Client>, stream: TcpStream, open: OpenConnection) {
    serve::serve(core, client, ClientStream::Plain(stream)).await;
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
        acceptor.accept(stream).await
    };
    // Boxed, because the handshake's state is large and soon gone.
    let handshake = Box::pin(core.clock.timeout(core.settings().header_timeout, shake_hands)).await;
    match handshake {
        Ok(Ok(stream)) => serve::serve(core, client, ClientStream::Tls(Box::new(stream))).await,
        Ok(Err(error)) => {
            core.counts().refused(Reason::Tls).add(1);
            tracing::debug!(%error, client = ?client.facts.address, "TLS handshake failed");
        }
        Err(_) => core.counts().refused(Reason::Tls).add(1),
    }
    drop(open);
}

#[cfg(test)]
mod tests;
