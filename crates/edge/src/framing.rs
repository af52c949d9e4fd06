//! A second look at each HTTP/1 request head, for what hyper tolerates and we refuse.
//!
//! hyper accepts `Content-Length` beside `Transfer-Encoding` (the latter wins), lines that end in a bare LF, and equal
//! repeated `Content-Length`. Each is legal for a lenient server, and each is how two servers come to disagree about
//! where a request ends. The look is one pass over the lines of the head.

/// The bytes of the head being read, until it is complete.
#[derive(Default)]
pub(crate) struct HeadScan {
    /// What came in earlier reads; empty for the usual head that comes in one.
    pending: Vec<u8>,
    unsafe_head: bool,
    seen: bool,
}

impl HeadScan {
    /// A head larger than any that hyper would accept needs no verdict.
    const PENDING_MAX: usize = 128 * 1024;

    /// More bytes of the head. What follows the head in the same read is not looked at.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if self.seen {
            return;
        }
        if self.pending.is_empty()
            && let Some(verdict) = judge(bytes)
        {
            self.conclude(verdict);
            return;
        }
        if self.pending.len() + bytes.len() <= HeadScan::PENDING_MAX {
            self.pending.extend_from_slice(bytes);
        }
        if let Some(verdict) = judge(&self.pending) {
            self.conclude(verdict);
        }
    }

    /// The verdict on the head that was read; ready for the next.
    pub(crate) fn take_is_safe(&mut self) -> bool {
        self.seen = false;
        self.pending = Vec::new();
        !std::mem::take(&mut self.unsafe_head)
    }

    fn conclude(&mut self, is_safe: bool) {
        self.seen = true;
        self.unsafe_head = !is_safe;
    }
}

/// Whether a head is framed safely; `None` when it is not complete.
pub(crate) fn judge(head: &[u8]) -> Option<bool> {
    let mut lengths = 0_usize;
    let mut encodings = 0_usize;
    let mut is_safe = true;
    let mut rest = trim_leading_newlines(head);
    let mut first = true;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = match rest[..end].strip_suffix(b"\r") {
            Some(line) => line,
            None => {
                is_safe = false;
                &rest[..end]
            }
        };
        rest = &rest[end + 1..];
        if line.is_empty() && !first {
            return Some(is_safe && lengths + encodings <= 1);
        }
        if first {
            // A parser that drops what follows would route on less than it forwards.
            is_safe &= !line.contains(&b'#');
        } else {
            is_safe &= !matches!(line.first(), Some(b' ' | b'\t'));
            lengths += usize::from(is_named(line, b"content-length"));
            if is_named(line, b"transfer-encoding") {
                encodings += 1;
                // Any other coding, or a list, would have to be undone by somebody, and not everybody does.
                is_safe &= line["transfer-encoding:".len()..].trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
        }
        first = false;
    }
}

/// RFC 9112 2.2: empty lines before the request line are ignored.
fn trim_leading_newlines(head: &[u8]) -> &[u8] {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    &head[start..]
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    // The first letter decides nearly every line.
    line.first().is_some_and(|byte| byte | 0x20 == name[0])
        && line.get(name.len()) == Some(&b':')
        && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
