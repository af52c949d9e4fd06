//! A connection between two processes of prumo: whole messages, each with at most one descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::Message;

/// The largest message. A hundred replicas of a service take a tenth of it.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// One end.
#[derive(Debug)]
pub(crate) struct Line {
    // A sequenced-packet socket, which keeps messages whole and tells its end; to tokio it is the same as a datagram one.
    socket: UnixDatagram,
}

impl Line {
    /// Our end, and the other one for a process that is about to start.
    pub(crate) fn pair() -> io::Result<(Line, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Line::over(ours)?, theirs))
    }

    /// The end that this descriptor is.
    pub(crate) fn over(descriptor: OwnedFd) -> io::Result<Line> {
        let socket = std::os::unix::net::UnixDatagram::from(descriptor);
        socket.set_nonblocking(true)?;
        Ok(Line { socket: UnixDatagram::from_std(socket)? })
    }

    /// Sends a message; waits while the other side's queue is full.
    pub(crate) async fn send(&self, message: &Message) -> io::Result<()> {
        self.transmit(message, None).await
    }

    /// Sends a message with a descriptor.
    pub(crate) async fn send_with(&self, message: &Message, descriptor: impl AsFd) -> io::Result<()> {
        self.transmit(message, Some(descriptor.as_fd())).await
    }

    async fn transmit(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        }
        let transmit = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors: &[BorrowedFd<'_>] = descriptor.as_slice();
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
            Ok(())
        };
        self.socket.async_io(Interest::WRITABLE, transmit).await
    }

    /// The next message, with its descriptor if it has one; nothing when the other side has gone.
    pub(crate) async fn next(&self) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let received = recvmsg(&self.socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let descriptor = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            Ok((received.bytes, received.flags, descriptor))
        };
        let (length, flags, descriptor) = match self.socket.async_io(Interest::READABLE, receive).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            received => received?,
        };
        if length == 0 {
            return Ok(None);
        }
        if flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of the other prumo was cut"));
        }
        Ok(Some((serde_json::from_slice(&bytes[..length])?, descriptor)))
    }

    /// The same end, for another process.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime(work: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    }

    /// Goal: messages stay whole and in order, a descriptor arrives with its own, and the end is told.
    #[test]
    fn messages_and_descriptors_arrive() {
        on_runtime(async {
            let (ours, theirs) = Line::pair().unwrap();
            let theirs = Line::over(theirs).unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            ours.send(&Message::Prepared).await.unwrap();
            ours.send_with(&Message::Socket { name: Name::Http, given: true }, &listener).await.unwrap();
            drop(listener);
            let (first, nothing) = theirs.next().await.unwrap().unwrap();
            assert_eq!((first, nothing.is_none()), (Message::Prepared, true));
            let (second, descriptor) = theirs.next().await.unwrap().unwrap();
            assert_eq!(second, Message::Socket { name: Name::Http, given: true });
            let again = std::net::TcpListener::from(descriptor.unwrap());
            assert_eq!(again.local_addr().unwrap(), address);
            drop(ours);
            assert!(theirs.next().await.unwrap().is_none());
        });
    }

    use crate::handover::Name;
}
