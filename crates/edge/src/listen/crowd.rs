//! How many connections one address has, over all cores, in memory of a fixed size and without a lock.
//!
//! Addresses are counted in two rows of cells, in each at a place that a secret of this process decides. The smaller of
//! an address's two cells is never below its true number, and above it only when other addresses meet it in both rows,
//! which nobody outside can arrange.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::balance::hash::mix;

/// Cells in a row: some times the connections of a busy site, so that two addresses rarely meet. A power of two.
const CELLS: usize = 1 << 15;

/// Counts connections by address.
pub(crate) struct Crowd {
    most: u32,
    secrets: [u64; 2],
    rows: [Box<[AtomicU32]>; 2],
}

/// Where an address is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells([usize; 2]);

impl Crowd {
    pub(crate) fn new(most: u32, secrets: [u64; 2]) -> Crowd {
        let row = || (0..CELLS).map(|_| AtomicU32::new(0)).collect();
        Crowd { most, secrets, rows: [row(), row()] }
    }

    /// Counts a connection of this address in, unless it has too many.
    pub(crate) fn enter(&self, ip: IpAddr) -> Option<Cells> {
        let key = key_of(ip);
        let cells = Cells(self.secrets.map(|secret| place(key, secret)));
        let before = self.each(cells).map(|cell| cell.fetch_add(1, Ordering::Relaxed));
        if before[0].min(before[1]) >= self.most {
            self.leave(cells);
            return None;
        }
        Some(cells)
    }

    pub(crate) fn leave(&self, cells: Cells) {
        for cell in self.each(cells) {
            cell.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn each(&self, Cells([first, second]): Cells) -> [&AtomicU32; 2] {
        [&self.rows[0][first], &self.rows[1][second]]
    }
}

/// One IPv4 address, or the /64 that one IPv6 customer has at least.
fn key_of(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        // The upper half of an IPv6 address in use is never this small.
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}

fn place(key: u64, secret: u64) -> usize {
    let mixed = mix(mix(key ^ secret).wrapping_add(secret));
    mixed as usize & (CELLS - 1)
}

#[cfg(test)]
mod tests;
