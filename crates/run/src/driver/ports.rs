//! Private ports: finding a free one, and finding out where a program listens instead.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::driver::tree::Tree;

/// How often to ask for another port when the one we got belongs to a replica that is just starting.
const ATTEMPTS: usize = 64;

/// A port of the loopback that nobody listens on and no other replica was promised.
pub(crate) fn free(taken: &BTreeSet<u16>) -> io::Result<u16> {
    // The listeners are kept until one fits, or the kernel would offer the same port again.
    let mut offered = Vec::new();
    for _ in 0..ATTEMPTS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if !taken.contains(&port) {
            return Ok(port);
        }
        offered.push(listener);
    }
    Err(io::Error::other("every free port of 127.0.0.1 is promised to another replica"))
}

/// The TCP ports that the processes of a tree listen on.
pub(crate) fn listening(tree: &Tree) -> BTreeSet<u16> {
    let sockets: BTreeSet<u64> = tree.members().iter().flat_map(|member| sockets_of(member.pid)).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(listener_of);
    rows.filter(|(_, inode)| sockets.contains(inode)).map(|(port, _)| port).collect()
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let socket = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    files.flatten().filter_map(socket).collect()
}

/// Port and inode of a row of `/proc/net/tcp` that is in state LISTEN.
fn listener_of(row: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = row.split_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?))
}

#[cfg(test)]
mod tests;
