//! One keep-alive connection to an upstream as the fast path has it: the socket, and nothing around it.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd as _;

use prumo_clock::Moment;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::stream::UpstreamStream;
use crate::upstream::{IDLE_AGE_MAX, IDLE_MAX};

/// One keep-alive connection to an upstream.
pub(crate) struct BareLink {
    pub(crate) stream: UpstreamStream,
    /// It has carried a request before, so the upstream may have closed it without our knowing.
    pub(crate) is_reused: bool,
    idle_since: Moment,
}

impl BareLink {
    pub(crate) fn new(stream: UpstreamStream, now: Moment) -> BareLink {
        BareLink { stream, is_reused: false, idle_since: now }
    }

    /// True when another request may be sent: the kernel has reported neither a close nor bytes that nobody asked for.
    fn is_quiet(&self) -> bool {
        let read = match &self.stream {
            UpstreamStream::Tcp(stream) => stream.try_read(&mut [0]),
            UpstreamStream::Unix(stream) => stream.try_read(&mut [0]),
            // A service with TLS is not plain, so this path never asks it.
            UpstreamStream::Tls(_) => return false,
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl BareLink {
    /// Whether the upstream has closed it by now, asked of the kernel: what the runtime knows may be a moment old. For
    /// requests that may not be asked twice, because for the others finding out is as good.
    pub(crate) fn lives(&self) -> bool {
        let socket = match &self.stream {
            UpstreamStream::Tcp(stream) => stream.as_fd(),
            UpstreamStream::Unix(stream) => stream.as_fd(),
            UpstreamStream::Tls(_) => return false,
        };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(socket, &mut [0; 1][..], flags), Err(Errno::AGAIN))
    }
}

/// The idle connections to one upstream. Last in, first out: the warmest is used, the others may grow old.
#[derive(Default)]
pub(crate) struct IdleLinks(RefCell<Vec<BareLink>>);

impl IdleLinks {
    /// The warmest connection that still lives.
    pub(crate) fn take(&self, now: Moment) -> Option<BareLink> {
        let mut idle = self.0.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if now.since(link.idle_since) < IDLE_AGE_MAX && link.is_quiet() {
                link.is_reused = true;
                return Some(link);
            }
        }
        None
    }

    /// The caller has seen that the upstream is not retired.
    pub(crate) fn keep(&self, mut link: BareLink, now: Moment) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < IDLE_MAX {
            link.idle_since = now;
            idle.push(link);
        }
    }

    /// Closes those that have been idle too long or that the upstream has closed.
    pub(crate) fn sweep(&self, now: Moment) {
        self.0.borrow_mut().retain(|link| now.since(link.idle_since) < IDLE_AGE_MAX && link.is_quiet());
    }

    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
