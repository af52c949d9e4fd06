//! Descriptors are kept back from new clients: a request of those who are in needs one more for its upstream, and prumo
//! itself needs a few, for checks, files and the ledger.

use std::os::fd::{AsFd, AsRawFd as _, RawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// One descriptor in so many is kept back.
const KEPT_SHARE: u64 = 8;

/// And never more than this. It is enough for the requests of one moment and the checks of ordinary sites; there can be
/// more checks than that at once, and those that find no descriptor count for nothing.
const KEPT_MAX: u64 = 512;

/// Whether a descriptor with this number is one of the last. The kernel gives out the lowest number that is free, so
/// that nearly all below are taken.
pub(super) fn is_among_last(number: RawFd) -> bool {
    let most = getrlimit(Resource::Nofile).current;
    let number = u64::try_from(number).unwrap_or_default();
    most.is_some_and(|most| is_kept(number, most))
}

/// Whether the next descriptor would still be one of the last.
pub(super) fn is_scarce(any: impl AsFd) -> bool {
    // Taken to see its number, and given back at once.
    fcntl_dupfd_cloexec(any, 0).map_or(true, |next| is_among_last(next.as_raw_fd()))
}

/// How many of the connections that are wanted there are descriptors for, at best.
pub(crate) fn connections_max(wanted: u32) -> u32 {
    getrlimit(Resource::Nofile).current.map_or(wanted, |most| possible(wanted, most))
}

fn possible(wanted: u32, most: u64) -> u32 {
    wanted.min(u32::try_from(most - kept(most)).unwrap_or(u32::MAX))
}

/// How many descriptors are kept back, of so many that there may be.
fn kept(most: u64) -> u64 {
    (most / KEPT_SHARE).min(KEPT_MAX)
}

/// Whether the descriptor with this number, of so many that there may be, is kept back.
fn is_kept(number: u64, most: u64) -> bool {
    number + kept(most) >= most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: u64, most: u64, expected: bool) {
        assert_eq!(is_kept(number, most), expected, "number {number} of {most}");
    }

    /// Goal: an eighth of the descriptors is kept back, and never more than 512.
    #[test]
    fn an_eighth_is_kept_back() {
        check(3, 1024, false);
        check(895, 1024, false);
        check(896, 1024, true);
        check(1023, 1024, true);
        check(19_487, 20_000, false);
        check(19_488, 20_000, true);
        check(1_048_063, 1_048_576, false);
        check(1_048_064, 1_048_576, true);
        check(6, 7, false);
        check(7, 7, true);
    }

    /// Goal: what is kept back is not promised to clients.
    #[test]
    fn connections_leave_room() {
        let check = |wanted, most, expected| assert_eq!(possible(wanted, most), expected, "{wanted} of {most}");
        check(10_000, 1024, 896);
        check(10_000, 4096, 3584);
        check(10_000, 10_511, 9_999);
        check(10_000, 10_512, 10_000);
        check(10_000, u64::MAX, 10_000);
    }
}
