//! Chunked bodies: taken apart strictly, and written anew. Extensions end here, and trailers where nobody asked
//! for them.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Extensions say nothing to anybody we know of; more than this of them in one body is an attack.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;

/// Of the largest size that can be counted.
const DIGITS_MAX: u32 = 16;

/// As much as the general path takes.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
const TRAILERS_COUNT_MAX: usize = 100;

/// The last chunk, without trailers.
pub(crate) const LAST: &[u8] = b"0\r\n\r\n";

/// A chunked body, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    /// Of the chunk being read.
    left: u64,
    /// Of its size, zeros in front too: endless ones would cost the client nothing.
    digits: u32,
    extension_bytes: usize,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    FirstDigit,
    Digits,
    Space,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    LineStart,
    Line,
    LineFeed,
    LastFeed,
    Ended,
}

/// The body is not framed as RFC 9112 wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

impl BadChunk {
    /// Whether an error of reading a client, however often it was wrapped, comes from this.
    pub(crate) fn is_cause_of(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if error.is::<BadChunk>() || inner.is_some_and(|inner| inner.is::<BadChunk>()) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl fmt::Display for BadChunk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the body is not framed as it must be")
    }
}

impl Error for BadChunk {}

impl Chunks {
    pub(crate) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes from `input` what belongs to the body, lends its data to `data`, and says how many bytes it took.
    pub(crate) fn take(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < input.len() && !self.has_ended() {
            if self.state == State::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                data(&input[at..at + length]);
                self.left -= length as u64;
                at += length;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        Ok(match (self.state, byte) {
            (State::FirstDigit, _) => {
                self.digits = 0;
                self.add_digit(byte)?
            }
            (State::Digits, b'\r') => State::SizeFeed,
            (State::Digits | State::Space, b';') => State::Extension,
            (State::Digits | State::Space, b' ' | b'\t') => self.count_extension(State::Space)?,
            (State::Digits, _) => self.add_digit(byte)?,
            (State::Extension, b'\r') => State::SizeFeed,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.count_extension(State::Extension)?,
            (State::SizeFeed, b'\n') if self.left == 0 => State::LineStart,
            (State::SizeFeed, b'\n') => State::Data,
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::FirstDigit,
            (State::LineStart, b'\r') => State::LastFeed,
            (State::Line, b'\r') => State::LineFeed,
            (State::LineStart | State::Line, _) => self.add_trailer(byte)?,
            (State::LineFeed, b'\n') => {
                self.trailers.extend_from_slice(b"\r\n");
                State::LineStart
            }
            (State::LastFeed, b'\n') => self.check_trailers()?,
            _ => return Err(BadChunk),
        })
    }

    fn add_digit(&mut self, byte: u8) -> Result<State, BadChunk> {
        let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
        self.digits += 1;
        if self.digits > DIGITS_MAX {
            return Err(BadChunk);
        }
        self.left = self.left.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit))).ok_or(BadChunk)?;
        Ok(State::Digits)
    }

    fn count_extension(&mut self, state: State) -> Result<State, BadChunk> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX { Err(BadChunk) } else { Ok(state) }
    }

    fn add_trailer(&mut self, byte: u8) -> Result<State, BadChunk> {
        self.trailers.push(byte);
        if byte == b'\n' || self.trailers.len() > TRAILER_BYTES_MAX { Err(BadChunk) } else { Ok(State::Line) }
    }

    /// What came after the last chunk, once all has ended.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut headers = [httparse::EMPTY_HEADER; TRAILERS_COUNT_MAX];
        let mut map = HeaderMap::new();
        if let Ok(httparse::Status::Complete((_, found))) = httparse::parse_headers(&self.trailers, &mut headers) {
            for one in found {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::from_bytes(one.name.as_bytes()), HeaderValue::from_bytes(one.value))
                {
                    map.append(name, value);
                }
            }
        }
        map
    }

    /// They have to be trailers, whether they go further or not.
    fn check_trailers(&mut self) -> Result<State, BadChunk> {
        self.trailers.extend_from_slice(b"\r\n");
        let mut headers = [httparse::EMPTY_HEADER; TRAILERS_COUNT_MAX];
        match httparse::parse_headers(&self.trailers, &mut headers) {
            Ok(httparse::Status::Complete(_)) => Ok(State::Ended),
            _ => Err(BadChunk),
        }
    }
}

/// Writes `data` as one chunk.
pub(crate) fn write(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        // That would be the last one.
        return;
    }
    // Writing to a vector cannot fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
