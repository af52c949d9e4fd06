//! A request's connection to its upstream: one of its own for as long as it lasts (HTTP/1.1), or a stream of one that it
//! shares (HTTP/2).

pub(crate) mod shared;
mod single;

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use prumo_clock::Moment;
use prumo_probe::is_shortage;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::body::Upload;
use crate::client::Pace;
use crate::core::Core;
use crate::head;
use crate::settings::{Address, Upstream};
use crate::stream::{UnderTls, UpstreamStream};
use shared::Place;
use single::Single;

/// How long a connection to an upstream may take: they are on this machine or next to it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A request's connection to its upstream.
pub(crate) struct Link {
    carrier: Carrier,
    /// The connection has carried a request before, so the upstream may have closed it without our knowing.
    pub(crate) is_reused: bool,
    /// For one that is not yet used, when it was begun.
    pub(crate) idle_since: Moment,
}

#[expect(clippy::large_enum_variant, reason = "a link is boxed, and nearly all are single")]
enum Carrier {
    Single(Single),
    Shared(Place),
}

/// Why there is no connection.
pub(crate) enum NoLink {
    /// The upstream takes none.
    Refused(io::Error),
    /// All places on those that there may be are taken, which says nothing against the upstream.
    NoPlace,
    /// Prumo had no descriptor or port for one, which says nothing against the upstream either.
    Shortage(io::Error),
}

/// Connects, or says that the upstream did not let us in time.
pub(crate) async fn in_time<T>(
    core: &Core,
    upstream: &Upstream,
    connects: impl Future<Output = io::Result<T>>,
) -> Result<T, NoLink> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {CONNECT_TIMEOUT:?}"));
    let connected = core.clock.timeout(CONNECT_TIMEOUT, connects).await;
    connected.unwrap_or_else(|_| Err(late())).map_err(|error| {
        let is_ours = is_shortage(&error, upstream.address.ip());
        if is_ours { NoLink::Shortage(error) } else { NoLink::Refused(error) }
    })
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// No byte of the request was written: another upstream may be asked, whatever the method.
    NotSent(Box<Request<Upload>>),
    /// The upstream says that it has not looked at the request: it may be asked again, whatever the method.
    Declined(hyper::Error),
    /// The connection ended before the answer began.
    Died(hyper::Error),
    /// The client or the upstream took too long.
    Expired,
}

fn failure(mut error: TrySendError<Request<Upload>>) -> Failure {
    if let Some(request) = error.take_message() {
        return Failure::NotSent(Box::new(request));
    }
    let error = error.into_error();
    if shared::is_declined(&error) { Failure::Declined(error) } else { Failure::Died(error) }
}

impl Link {
    /// Connects for one request at a time; the caller limits the time.
    pub(crate) async fn open(core: &Core, upstream: &Upstream) -> io::Result<Link> {
        Link::single(core, connect(upstream).await?).await
    }

    async fn single(core: &Core, stream: UpstreamStream) -> io::Result<Link> {
        let single = Single::open(stream, &core.protocols.upstream, core.scratch.clone()).await?;
        Ok(Link { carrier: Carrier::Single(single), is_reused: false, idle_since: core.clock.now() })
    }

    /// A connection on which a request was asked by others, and whose answer begins with `read`: whoever sends the same
    /// request again on it is given that answer, and the upstream hears nothing.
    pub(crate) async fn begun(core: &Core, stream: UpstreamStream, read: Bytes) -> io::Result<Link> {
        let single = Single::begun(stream, read, &core.protocols.upstream, core.scratch.clone()).await?;
        Ok(Link { carrier: Carrier::Single(single), is_reused: false, idle_since: core.clock.now() })
    }

    pub(crate) fn on(place: Place, now: Moment) -> Link {
        let is_reused = place.is_reused();
        Link { carrier: Carrier::Shared(place), is_reused, idle_since: now }
    }

    /// True when it is one stream of a connection that others share and a task of its own drives.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.carrier, Carrier::Shared(_))
    }

    /// Moves bytes both ways, where nobody else does. True when the connection is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.carrier {
            Carrier::Single(single) => single.poll(cx),
            Carrier::Shared(_) => false,
        }
    }

    /// True when another request may be sent on it, by whoever is given it next.
    pub(crate) fn settle(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Single(single) => single.settle(),
            // Its place is given back when it is dropped; the connection never left its pool.
            Carrier::Shared(_) => false,
        }
    }

    /// Sends `request` and waits for the head of the answer.
    pub(crate) async fn exchange(
        &mut self,
        mut request: Request<Upload>,
        pace: &Pace,
    ) -> Result<Response<Incoming>, Failure> {
        match &mut self.carrier {
            Carrier::Single(single) => {
                head::write_h1(&mut request);
                single.exchange(request, pace).await
            }
            Carrier::Shared(place) => {
                head::write_h2(&mut request, place.scheme());
                place.exchange(request, pace).await
            }
        }
    }

    /// After `101 Switching Protocols`: the bare socket, and what was read beyond the answer's head.
    pub(crate) fn into_stream(self) -> Option<(UpstreamStream, Bytes)> {
        match self.carrier {
            Carrier::Single(single) => Some(single.into_stream()),
            Carrier::Shared(_) => None,
        }
    }
}

pub(crate) async fn connect(upstream: &Upstream) -> io::Result<UpstreamStream> {
    match &upstream.address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let Some(secure) = &upstream.secure else { return Ok(UpstreamStream::Tcp(stream)) };
            let handshake =
                TlsConnector::from(Arc::clone(&secure.config)).connect(secure.name.clone(), UnderTls(stream));
            Ok(UpstreamStream::Tls(Box::new(handshake.await?)))
        }
        Address::Unix(path) => Ok(UpstreamStream::Unix(connect_socket(path).await?)),
    }
}

/// Connects to the very socket that lies at the path. Its folder may belong to the app's user, who must not be able to lead
/// us, by a link, to a socket of somebody else.
async fn connect_socket(path: &Path) -> io::Result<UnixStream> {
    use rustix::fs::{FileType, Mode, OFlags, fstat, open};
    let socket = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&socket)?.st_mode) != FileType::Socket {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "what lies there is not a socket"));
    }
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an app that puts a link in the place of its socket leads us nowhere.
    #[tokio::test]
    async fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let _listener = std::os::unix::net::UnixListener::bind(&real).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(connect_socket(&real).await.is_ok());
        for other in ["link", "file", "none"] {
            assert!(connect_socket(&folder.path().join(other)).await.is_err(), "{other}");
        }
    }
}
