//! How much of what was written to a client lies in the kernel, because the client has not taken it yet.
//!
//! Writing tells only that the kernel had room, which it says in steps of a third of its buffer: for a slow client on a
//! good line that can be minutes of silence. What the client has really taken, the kernel says when it is asked about
//! one connection by its two addresses (`sock_diag`). Asked is only about a client that has kept us waiting for long.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    ours: SocketAddr,
    theirs: SocketAddr,
}

impl Ends {
    /// `None` for a Unix socket.
    pub(crate) fn of(socket: &impl AsFd) -> Option<Ends> {
        let socket = SockRef::from(socket);
        let (ours, theirs) = (socket.local_addr().ok()?.as_socket()?, socket.peer_addr().ok()?.as_socket()?);
        Some(Ends { ours: canonical(ours), theirs: canonical(theirs) })
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

const NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IS_REQUEST: u16 = 1;
const REQUEST_BYTES: usize = 72;

/// Of the answer: a head of 16 bytes, 4 of state, the 48 of the two ends, 4 of a timer, 4 of what came and was not read.
const HELD_AT: usize = 76;

/// Bytes that were written and not taken. `None` where the kernel does not tell: an old one, or a service that systemd
/// allows no such socket.
pub(crate) fn bytes(ends: &Ends) -> Option<u64> {
    let mut socket =
        Socket::new(Domain::from(NETLINK), Type::DGRAM.cloexec().nonblocking(), Some(Protocol::from(SOCK_DIAG)))
            .ok()?;
    socket.write_all(&request(ends)).ok()?;
    let mut answer = [0; 512];
    let length = socket.read(&mut answer).ok()?;
    held(answer.get(..length)?)
}

fn request(ends: &Ends) -> [u8; REQUEST_BYTES] {
    const TCP: u8 = 6;
    const FAMILY_V4: u8 = 2;
    const FAMILY_V6: u8 = 10;
    let mut request = [0; REQUEST_BYTES];
    let mut rest = &mut request[..];
    let mut put = |bytes: &[u8]| {
        let (place, left) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        place.copy_from_slice(bytes);
        rest = left;
    };
    put(&(REQUEST_BYTES as u32).to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&IS_REQUEST.to_ne_bytes());
    put(&[0; 8]);
    put(&[if ends.ours.is_ipv4() { FAMILY_V4 } else { FAMILY_V6 }, TCP, 0, 0]);
    // In any state.
    put(&u32::MAX.to_ne_bytes());
    put(&ends.ours.port().to_be_bytes());
    put(&ends.theirs.port().to_be_bytes());
    put(&padded(ends.ours.ip()));
    put(&padded(ends.theirs.ip()));
    // On any interface, whatever its cookie.
    put(&0_u32.to_ne_bytes());
    put(&u64::MAX.to_ne_bytes());
    request
}

fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut padded = [0; 16];
            padded[..4].copy_from_slice(&address.octets());
            padded
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn held(answer: &[u8]) -> Option<u64> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let held = u32::from_ne_bytes(answer.get(HELD_AT..HELD_AT + 4)?.try_into().ok()?);
    (kind == SOCK_DIAG_BY_FAMILY).then_some(u64::from(held))
}

#[cfg(test)]
mod tests;
