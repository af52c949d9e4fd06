//! The PROXY protocol, versions 1 and 2: what a load balancer says about the client before the client's first byte. Pure.
//!
//! Read strictly: whoever sends this header names the client, so what is not clearly one is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The specification promises senders that a header of this size is taken; nobody needs more.
pub(crate) const HEADER_BYTES_MAX: usize = 536;

/// Version 1: `PROXY UNKNOWN` with two IPv6 addresses and two ports.
const LINE_BYTES_MAX: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The balancer speaks for itself, or of a client without an IP address: its own address counts.
    Itself,
    /// A client, and the address that it connected to.
    Client { from: SocketAddr, to: SocketAddr },
}

/// It is no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The header at the beginning of `bytes` and its length; nothing while more bytes are needed. All bytes are part of
/// the header then, so that they may be taken.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Announced, usize)>, Malformed> {
    if begins_like(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else if begins_like(bytes, b"PROXY ") {
        parse_line(bytes)
    } else {
        Err(Malformed)
    }
}

/// Whether `bytes` are the whole beginning, or a beginning of it.
fn begins_like(bytes: &[u8], beginning: &[u8]) -> bool {
    let known = bytes.len().min(beginning.len());
    bytes[..known] == beginning[..known]
}

fn parse_line(bytes: &[u8]) -> Result<Option<(Announced, usize)>, Malformed> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let rest = line.strip_prefix("PROXY ").ok_or(Malformed)?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(Some((Announced::Itself, end + 1)));
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, from, to, from_port, to_port] = words[..] else { return Err(Malformed) };
    let address = |text: &str, port: &str| Ok(SocketAddr::new(parse_ip(family, text)?, parse_port(port)?));
    let announced = Announced::Client { from: address(from, from_port)?, to: address(to, to_port)? };
    Ok(Some((announced, end + 1)))
}

fn parse_ip(family: &str, text: &str) -> Result<IpAddr, Malformed> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Malformed),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

/// Digits only, and no zero in front of others.
fn parse_port(text: &str) -> Result<u16, Malformed> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(Malformed)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(Announced, usize)>, Malformed> {
    const HEAD: usize = 16;
    let Some((head, _)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    let length = HEAD + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > HEADER_BYTES_MAX {
        return Err(Malformed);
    }
    let is_local = match head[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    let Some(body) = bytes.get(HEAD..length) else { return Ok(None) };
    let announced = match (is_local, head[13]) {
        // Whatever it says about addresses is to be ignored.
        (true, _) => Announced::Itself,
        (false, 0x00) => Announced::Itself,
        (false, 0x11) => client_v4(body.first_chunk().ok_or(Malformed)?),
        (false, 0x21) => client_v6(body.first_chunk().ok_or(Malformed)?),
        // Two Unix paths: known to be a client of the balancer's own machine.
        (false, 0x31) if body.len() >= 216 => Announced::Itself,
        // Datagrams do not arrive on a stream.
        _ => return Err(Malformed),
    };
    // What follows the addresses are TLVs, which tell us nothing that we use.
    Ok(Some((announced, length)))
}

fn client_v4(body: &[u8; 12]) -> Announced {
    let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    Announced::Client { from: (ip(0), port(8)).into(), to: (ip(4), port(10)).into() }
}

fn client_v6(body: &[u8; 36]) -> Announced {
    let ip = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&body[at..at + 16]);
        Ipv6Addr::from(octets)
    };
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    Announced::Client { from: (ip(0), port(32)).into(), to: (ip(16), port(34)).into() }
}

#[cfg(test)]
mod tests;
