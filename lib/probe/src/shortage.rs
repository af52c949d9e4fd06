//! What prumo, or the machine, has run out of: descriptors, memory, ports. It says nothing of whoever is at the other end.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

/// Whether this came of a shortage; `to` is where a connection was to lead, for what failed to connect over IP.
pub fn is_shortage(error: &io::Error, to: Option<SocketAddr>) -> bool {
    const SHORTAGES: [Errno; 4] = [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|code| {
        // Over IPv4 a connection lacks nothing but a port then. Over IPv6 it means as well, and far oftener, that this
        // machine has no address to call from, which stays so.
        let has_no_port = code == Errno::ADDRNOTAVAIL && to.is_some_and(|to| to.ip().to_canonical().is_ipv4());
        has_no_port || SHORTAGES.contains(&code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what has run out on this side is told from what is wrong on the other, and from an IPv6 that is off.
    #[test]
    fn shortages() {
        let check = |code: Errno, to: Option<&str>, expected: bool| {
            let to = to.map(|to| to.parse().unwrap());
            assert_eq!(is_shortage(&code.into(), to), expected, "{code} to {to:?}");
        };
        for code in [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOBUFS] {
            check(code, None, true);
            check(code, Some("[::1]:80"), true);
        }
        check(Errno::ADDRNOTAVAIL, Some("127.0.0.1:80"), true);
        check(Errno::ADDRNOTAVAIL, Some("192.0.2.1:80"), true);
        check(Errno::ADDRNOTAVAIL, Some("[::ffff:127.0.0.1]:80"), true);
        check(Errno::ADDRNOTAVAIL, Some("[::1]:80"), false);
        check(Errno::ADDRNOTAVAIL, Some("[2001:db8::1]:80"), false);
        check(Errno::ADDRNOTAVAIL, None, false);
        check(Errno::CONNREFUSED, Some("127.0.0.1:80"), false);
        assert!(!is_shortage(&io::Error::other("for a reason"), None));
    }
}
