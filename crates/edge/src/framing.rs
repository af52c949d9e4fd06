//! Where a client's HTTP/1 requests begin and end: decided here, once, and strictly.
//!
//! Everybody else who reads a request is given bytes that can be read in one way only. hyper, which reads them on the general
//! path, accepts `Content-Length` beside `Transfer-Encoding`, lines that end in a bare LF, equal repeated lengths, and
//! anything in a chunk's extension. Each is legal for a lenient server, and each is how two servers come to disagree
//! about where a request ends. So it is given one request at a time, through a [`Gate`], and is told when nothing more is to be
//! served. The fast path takes itself what is plain, which is less than what is safe (a fuzz target
//! holds it to that), and leaves all else to this.

pub(crate) mod chunks;
mod fuzz;
mod gate;
mod scan;

pub(crate) use self::fuzz::{fuzz_gate, fuzz_head};
pub(crate) use self::gate::Gate;
pub(crate) use self::scan::{Scan, Verdict};

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Letters, digits and these others: which bytes may stand in a word of HTTP.
pub(crate) const fn letters_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

/// A number as RFC 9110 writes lengths: digits alone.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
