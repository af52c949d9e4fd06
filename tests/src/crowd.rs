//! Many clients at once, for measurements: silent ones, talking ones, and some that ask at an exact pace.
//!
//! `bin/crowd.rs` is the command. Like every load of ours they go to loopback addresses only and end by themselves.

pub mod idle;
pub mod pace;
pub mod sink;
mod spread;
pub mod talk;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use spread::Spread;
use tokio::net::{TcpSocket, TcpStream};

/// Clients that share one address; a server may allow one address fewer than it allows all of them.
const CLIENTS_PER_ADDRESS: usize = 900;

/// Opens the connection of one client of many, from a loopback address that it shares with few others.
async fn connect(to: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    assert!(to.ip().is_loopback(), "load goes to loopback addresses only, and {to} is not one");
    let from = Ipv4Addr::new(127, 0, 1, 1 + (number / CLIENTS_PER_ADDRESS) as u8);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
