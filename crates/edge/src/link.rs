//! One keep-alive connection to an upstream.
//!
//! hyper's connection future is not given a task of its own: whoever waits for the answer polls it. A proxied request
//! thus stays inside the client connection's task, dropping the request closes the upstream connection, and an idle
//! connection costs no task.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use prumo_clock::Moment;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::unconstrained;

use crate::body::Upload;
use crate::client::Pace;
use crate::settings::Address;
use crate::stream::{Io, Scratch, UpstreamStream};

/// One keep-alive connection to an upstream.
pub(crate) struct Link {
    sender: SendRequest<Upload>,
    connection: Connection<Io<UpstreamStream>, Upload>,
    ended: bool,
    /// It has carried a request before, so the upstream may have closed it without our knowing.
    pub(crate) is_reused: bool,
    /// For one that is not yet used, when it was begun.
    pub(crate) idle_since: Moment,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// No byte of the request was written: another upstream may be asked, whatever the method.
    NotSent(Box<Request<Upload>>),
    /// The connection ended before the answer began.
    Died(hyper::Error),
    /// The client or the upstream took too long.
    Expired,
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

impl Link {
    /// Connects; the caller limits the time.
    pub(crate) async fn open(address: &Address, builder: &Builder, scratch: Scratch, now: Moment) -> io::Result<Link> {
        let stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                UpstreamStream::Tcp(stream)
            }
            Address::Unix(path) => UpstreamStream::Unix(connect_socket(path).await?),
        };
        let io = Io::upstream(stream, scratch);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        Ok(Link { sender, connection, ended: false, is_reused: false, idle_since: now })
    }

    /// Moves bytes both ways. True when the connection is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.ended = true;
        }
        self.ended
    }

    /// True when another request may be sent. Sees a close by the upstream that the kernel has already reported.
    pub(crate) fn settle(&mut self) -> bool {
        !self.poll(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of the answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Upload>,
        pace: &Pace,
    ) -> Result<Response<Incoming>, Failure> {
        // Unconstrained, because it is polled with a waker that wakes nobody and so must not be put off.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        std::future::poll_fn(move |cx| {
            if !*ended && Pin::new(&mut *connection).poll(cx).is_ready() {
                *ended = true;
            }
            // The answer is handed over inside the call above, made by this task: it need wake nobody.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                    Some(request) => Failure::NotSent(Box::new(request)),
                    None => Failure::Died(error.into_error()),
                })),
                Poll::Pending if pace.is_expired() => Poll::Ready(Err(Failure::Expired)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// After `101 Switching Protocols`: the bare socket, and what was read beyond the answer's head.
    pub(crate) fn into_stream(mut self) -> (UpstreamStream, bytes::Bytes) {
        self.poll(&mut Context::from_waker(Waker::noop()));
        let parts = self.connection.into_parts();
        (parts.io.stream, parts.read_buf)
    }
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
