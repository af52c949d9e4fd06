//! What a client sends, let through one request at a time. Pure.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};

use super::chunks::{BadChunk, Chunks};
use super::{Framing, Scan, Verdict};

/// Between a client's socket and whoever serves its requests.
///
/// A head passes when it is complete and safe, a body as far as it is framed well, and what comes behind waits until the
/// request is answered: so nobody reads two requests as one, or one as two. A head that is not safe ends this: the
/// one behind is told, and serves nothing more.
#[derive(Debug)]
pub(crate) struct Gate {
    state: State,
    /// What was read and may not pass yet: usually nothing, never more than a head and one read.
    held: BytesMut,
    head_bytes_max: usize,
    /// Nothing is to be served any more: a head is unsafe.
    is_unsafe: bool,
    /// Something of a body has passed.
    has_begun_body: bool,
}

#[derive(Debug)]
enum State {
    Head(Scan),
    /// So much of a head is still to pass.
    Safe(usize, Framing),
    Length(u64),
    Chunked(Box<Chunks>),
    /// All of a request has passed.
    Passed,
    /// A body is not framed as it must be.
    Broken,
    /// A head that is unsafe or too large: whoever is behind says so, or is told.
    Refused,
}

impl Gate {
    /// `head_bytes_max` is what the one behind takes of a head.
    pub(crate) fn new(head_bytes_max: usize) -> Gate {
        let (state, held) = (State::Head(Scan::default()), BytesMut::new());
        Gate { state, held, head_bytes_max, is_unsafe: false, has_begun_body: false }
    }

    /// Puts through what may pass of what is held and of what was `read` now, `limit` bytes at most, and says how much that
    /// was. `is_answered` when no answer is due to what has passed.
    pub(crate) fn pass(
        &mut self,
        read: &[u8],
        limit: usize,
        is_answered: bool,
        put: impl FnOnce(&[u8]),
    ) -> io::Result<usize> {
        if is_answered && matches!(self.state, State::Passed) {
            self.state = State::Head(Scan::default());
        }
        if self.held.is_empty() {
            let passed = self.advance(read, limit)?;
            put(&read[..passed]);
            self.held.extend_from_slice(&read[passed..]);
            return Ok(passed);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(read);
        let passed = self.advance(&held, limit)?;
        put(&held[..passed]);
        held.advance(passed);
        if !held.is_empty() {
            self.held = held;
        }
        Ok(passed)
    }

    /// Something of a request's body has passed, and not only its head.
    pub(crate) fn has_begun_body(&self) -> bool {
        self.has_begun_body
    }

    /// All of a request has passed, and nothing of another.
    pub(crate) fn has_passed(&self) -> bool {
        matches!(self.state, State::Passed) && self.held.is_empty()
    }

    /// A part of a head is here, and the rest is awaited.
    pub(crate) fn awaits_rest_of_head(&self) -> bool {
        matches!(self.state, State::Head(_)) && !self.held.is_empty()
    }

    /// More is here than may pass before an answer.
    pub(crate) fn is_full(&self) -> bool {
        !matches!(self.state, State::Head(_)) && !self.held.is_empty()
    }

    /// A head is unsafe. It passes with all that comes behind it, and whoever reads on serves nothing of it.
    pub(crate) fn is_unsafe(&self) -> bool {
        self.is_unsafe
    }

    /// What was read and has not passed.
    pub(crate) fn into_held(self) -> Bytes {
        self.held.freeze()
    }

    /// How many of `bytes`, which nobody has seen, pass now.
    fn advance(&mut self, bytes: &[u8], limit: usize) -> io::Result<usize> {
        let mut passed = 0;
        while passed < bytes.len().min(limit) {
            let step = self.step(&bytes[passed..], limit - passed);
            if step == 0 {
                break;
            }
            passed += step;
        }
        match self.state {
            // What came before it was good.
            State::Broken if passed == 0 => Err(io::Error::new(io::ErrorKind::InvalidData, BadChunk)),
            _ => Ok(passed),
        }
    }

    fn step(&mut self, bytes: &[u8], limit: usize) -> usize {
        if let State::Head(scan) = &mut self.state {
            match scan.look(bytes) {
                Some(Verdict::Safe(length, framing)) => {
                    self.state = State::Safe(length, framing);
                    self.has_begun_body = false;
                }
                Some(Verdict::Unsafe) => {
                    self.is_unsafe = true;
                    self.state = State::Refused;
                }
                None if bytes.len() > self.head_bytes_max => self.state = State::Refused,
                None => return 0,
            }
        }
        let most = bytes.len().min(limit);
        self.has_begun_body |= matches!(self.state, State::Length(_) | State::Chunked(_));
        match &mut self.state {
            State::Safe(left, framing) => {
                let passed = most.min(*left);
                *left -= passed;
                if *left == 0 {
                    self.state = State::after(*framing);
                }
                passed
            }
            State::Length(left) => {
                let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(most);
                *left -= passed as u64;
                if *left == 0 {
                    self.state = State::Passed;
                }
                passed
            }
            State::Chunked(chunks) => match chunks.take(&bytes[..most], |_| {}) {
                Ok(passed) => {
                    if chunks.has_ended() {
                        self.state = State::Passed;
                    }
                    passed
                }
                Err(BadChunk) => {
                    self.state = State::Broken;
                    0
                }
            },
            State::Refused => most,
            State::Head(_) | State::Passed | State::Broken => 0,
        }
    }
}

impl State {
    /// What follows a head.
    fn after(framing: Framing) -> State {
        match framing {
            Framing::None => State::Passed,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Box::default()),
        }
    }
}

#[cfg(test)]
mod tests;
