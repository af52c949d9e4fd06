//! The way of a file's bytes to a socket without a copy through us.
//!
//! `sendfile` waits for the disk, and a core must not. So the core first asks for single bytes of what it is about to
//! send, without waiting: pages come into memory in runs, and leave it in runs. A window with a byte that is not there
//! goes the other way, by a reader. What is evicted between the question and the call costs the wait that it costs.

use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Download, Reading, Rest};
use crate::body::BodyCut;
use crate::files::found::Stamp;
use crate::files::look::{Patience, read_at};

/// Sent at a time: long enough that the questions cost a tenth of it, short enough for the others on the core.
const WINDOW_BYTES: u64 = 512 << 10;

/// Between two bytes that are asked for. The kernel reads ahead in runs of twice as much.
const ASKED_EVERY: usize = 64 << 10;

/// What became of a look at the socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many bytes of the file.
    Some(usize),
    /// What comes next has to be read by [`Download::poll_frame`].
    NotThisWay,
    /// The download has ended early.
    Cut,
}

impl Download {
    /// Moves what the socket takes, straight from the system's memory.
    pub(crate) fn poll_send(&mut self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<Sent> {
        if !self.may_send() {
            return Poll::Ready(Sent::NotThisWay);
        }
        let Rest::Disk(reading) = &mut self.rest else { return Poll::Ready(Sent::NotThisWay) };
        let sent = match ready!(reading.poll_send(socket, cx)) {
            Ok(sent) => sent,
            Err(cut) => {
                self.record.cut(cut);
                self.cut = Some(cut);
                return Poll::Ready(Sent::Cut);
            }
        };
        self.record.send(sent as u64);
        Poll::Ready(Sent::Some(sent))
    }
}

impl Download {
    /// Whether the next bytes may go by [`Download::poll_send`] to a socket in clear text.
    pub(crate) fn may_send(&mut self) -> bool {
        match &mut self.rest {
            Rest::Disk(reading) => self.cut.is_none() && reading.waits.is_none() && reading.may_send(),
            Rest::Memory(_) => false,
        }
    }
}

impl Reading {
    /// Whether what comes next is in memory.
    fn may_send(&mut self) -> bool {
        if self.range.start >= self.asked_until {
            let end = self.range.end.min(self.range.start + WINDOW_BYTES);
            if !is_in_memory(&self.file, self.range.start..end) {
                return false;
            }
            self.asked_until = end;
        }
        true
    }

    fn poll_send(&mut self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<Result<usize, BodyCut>> {
        let file = &self.file;
        loop {
            if ready!(socket.poll_write_ready(cx)).is_err() {
                return Poll::Ready(Err(BodyCut::Client));
            }
            let mut offset = self.range.start;
            let length = usize::try_from(self.asked_until - offset).unwrap_or(usize::MAX);
            let sent = socket
                .try_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), length)?));
            return Poll::Ready(match sent {
                // The file has become shorter.
                Ok(0) => Err(BodyCut::File),
                Ok(sent) if self.is_same() => {
                    self.range.start += sent as u64;
                    Ok(sent)
                }
                Ok(_) => Err(BodyCut::File),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                Err(_) => Err(BodyCut::Client),
            });
        }
    }

    /// Whether the file is still the one that was promised.
    pub(super) fn is_same(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| Stamp::of(&stat).holds_the_same(&self.stamp))
    }
}

fn is_in_memory(file: &OwnedFd, range: Range<u64>) -> bool {
    let is_there = |offset: u64| read_at(file, &mut [0], offset, Patience::None) == Ok(1);
    is_there(range.end - 1) && range.step_by(ASKED_EVERY).all(is_there)
}
