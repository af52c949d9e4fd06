//! What the system had too little of when something failed: descriptors, memory, ports. It says nothing of anybody else.

use std::io;

use rustix::io::Errno;

/// Whether this came of something that prumo, or the machine, has run out of.
pub(crate) fn is_one(error: &io::Error) -> bool {
    const SHORTAGES: [Errno; 5] = [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|code| SHORTAGES.contains(&code))
}
