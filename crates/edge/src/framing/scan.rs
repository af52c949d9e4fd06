//! One pass over the lines of a request head. Pure.

use super::{Framing, digits, letters_and};

/// What a head turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is complete: so many bytes, its empty line included, and a body that is delimited in this way.
    Safe(usize, Framing),
    /// Two programs could read it differently, or nobody as a request.
    Unsafe,
}

/// A head, as far as it was looked at: no byte is looked at twice, however the pieces come.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Where the present line begins.
    line: usize,
    /// How far the end of it was looked for.
    searched: usize,
    has_request_line: bool,
    is_http_10: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Scan {
    /// Looks at what there is of the head, which begins with what was there before. `None` when more of it is needed.
    pub(crate) fn look(&mut self, head: &[u8]) -> Option<Verdict> {
        loop {
            let Some(end) = head[self.searched..].iter().position(|&byte| byte == b'\n') else {
                self.searched = head.len();
                let is_hopeless = !self.has_request_line && !may_become_request_line(&head[self.line..]);
                return is_hopeless.then_some(Verdict::Unsafe);
            };
            let end = self.searched + end;
            let line = head[self.line..end].strip_suffix(b"\r");
            (self.line, self.searched) = (end + 1, end + 1);
            let read = match (line, self.has_request_line) {
                (None, _) => None,
                // RFC 9112 2.2: empty lines before the request line are ignored.
                (Some(b""), false) => Some(()),
                (Some(b""), true) => {
                    let safe = self.framing().map(|framing| Verdict::Safe(end + 1, framing));
                    return Some(safe.unwrap_or(Verdict::Unsafe));
                }
                (Some(line), false) => self.read_request_line(line),
                (Some(line), true) => self.read_field(line),
            };
            if read.is_none() {
                return Some(Verdict::Unsafe);
            }
        }
    }

    fn framing(&self) -> Option<Framing> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => None,
            // RFC 9112 6.1: HTTP/1.0 has no chunks.
            (true, None) => (!self.is_http_10).then_some(Framing::Chunked),
            (false, None | Some(0)) => Some(Framing::None),
            (false, Some(length)) => Some(Framing::Length(length)),
        }
    }

    /// `None` when it is not as it must be.
    fn read_request_line(&mut self, line: &[u8]) -> Option<()> {
        self.has_request_line = true;
        let mut parts = line.split(|&byte| byte == b' ');
        let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
        self.is_http_10 = version == b"HTTP/1.0";
        // A parser that drops what follows a `#` would route on less than it forwards.
        let is_target = |byte: &u8| !matches!(byte, 0..=b' ' | b'#' | 0x7f);
        let is_good = is_token(method)
            && !target.is_empty()
            && target.iter().all(is_target)
            && (self.is_http_10 || version == b"HTTP/1.1")
            && parts.next().is_none();
        is_good.then_some(())
    }

    /// `None` when it is not as it must be, or says once more, or otherwise, where the body ends.
    fn read_field(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !is_token(name) || !value.iter().all(is_text) {
            return None;
        }
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.length.replace(digits(value.trim_ascii())?).is_none().then_some(())
            }
            // Any other coding, or a list, would have to be undone by somebody, and not everybody does.
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let is_first = !std::mem::replace(&mut self.is_chunked, true);
                (is_first && value.trim_ascii().eq_ignore_ascii_case(b"chunked")).then_some(())
            }
            _ => Some(()),
        }
    }
}

/// False for what is another protocol, which may never end its line.
fn may_become_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    (line.is_empty() || is_token(method)) && !line.iter().any(u8::is_ascii_control)
}

/// A name as RFC 9110 5.6.2 spells it.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| TOKEN[usize::from(byte)])
}

const TOKEN: [bool; 256] = letters_and(b"!#$%&'*+-.^_`|~");
