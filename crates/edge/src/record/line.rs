//! How a record is written into the access log: as a JSON object, or as Apache and nginx do.

use http::Version;
use prumo_clock::Moment;

use super::{Head, Record};
use crate::client::Client;
use crate::json;
use crate::trace::Trace;

/// Longer paths, user agents and referers are cut in the log: a line is for reading.
const PATH_BYTES_MAX: usize = 2048;
const AGENT_BYTES_MAX: usize = 512;

/// The request's part of a line, in a buffer borrowed from the core.
#[derive(Default)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    /// In the combined form, where the status goes: behind the request line, before the referer.
    pub(super) split: usize,
}

impl Request {
    pub(super) fn write_json(&mut self, head: &Head<'_>, client: &Client, id: &[u8], trace: Option<&Trace>) {
        let line = &mut self.bytes;
        line.extend_from_slice(b",\"id\":\"");
        json::escape(line, id, usize::MAX);
        if let Some(trace) = trace {
            line.extend_from_slice(b"\",\"trace\":\"");
            line.extend_from_slice(&trace.id);
        }
        line.extend_from_slice(b"\",\"client\":\"");
        json::escape(line, client.facts.address.as_bytes(), usize::MAX);
        line.extend_from_slice(b"\",\"method\":\"");
        json::escape(line, head.method, 32);
        line.extend_from_slice(b"\",\"host\":\"");
        json::escape(line, head.authority, 255);
        // Never the query: it is where tokens and addresses of people are.
        line.extend_from_slice(b"\",\"path\":\"");
        json::escape(line, head.path, PATH_BYTES_MAX);
        line.extend_from_slice(b"\",\"protocol\":\"");
        line.extend_from_slice(protocol(head.version));
        line.extend_from_slice(if client.tls { b"\",\"tls\":true" } else { b"\",\"tls\":false" });
        line.extend_from_slice(b",\"user_agent\":\"");
        json::escape(line, head.user_agent, AGENT_BYTES_MAX);
        line.push(b'"');
    }

    pub(super) fn write_combined(&mut self, head: &Head<'_>, client: &Client) {
        let line = &mut self.bytes;
        line.push(b'"');
        escape(line, head.method, 32);
        line.push(b' ');
        escape(line, head.path, PATH_BYTES_MAX);
        line.push(b' ');
        line.extend_from_slice(protocol(head.version));
        line.extend_from_slice(b"\" ");
        self.split = line.len();
        // Without the query, for the same reason.
        let referer = head.referer.split(|&byte| byte == b'?').next().unwrap_or_default();
        for value in [referer, head.user_agent] {
            line.extend_from_slice(b" \"");
            escape(line, if value.is_empty() { b"-" } else { value }, AGENT_BYTES_MAX);
            line.push(b'"');
        }
        // Last, so that it can be taken from the end and put to the front.
        line.extend_from_slice(client.facts.address.as_bytes());
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_2 => b"HTTP/2",
        Version::HTTP_10 => b"HTTP/1.0",
        _ => b"HTTP/1.1",
    }
}

/// As Apache does: what could end a field, a line or a terminal's patience is written as `\xHH`.
fn escape(out: &mut Vec<u8>, bytes: &[u8], max: usize) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in &bytes[..bytes.len().min(max)] {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                out.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            plain => out.push(plain),
        }
    }
}

impl Record {
    pub(super) fn write_json(&self, line: &mut Vec<u8>, time: &[u8], request: &Request, now: Moment) {
        line.extend_from_slice(b"{\"time\":\"");
        line.extend_from_slice(time);
        line.push(b'"');
        line.extend_from_slice(&request.bytes);
        let route = self.route.as_ref().map(|route| &route.cells);
        for (key, value) in [
            (&b",\"service\":\""[..], route.map_or("", |route| &route.service)),
            (b"\",\"route\":\"", route.map_or("", |route| &route.route)),
            (b"\",\"replica\":\"", self.replica.as_ref().map_or("", |replica| replica.id())),
        ] {
            line.extend_from_slice(key);
            json::escape(line, value.as_bytes(), usize::MAX);
        }
        let micros = |since: Moment| u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        let number = |line: &mut Vec<u8>, key: &[u8], value: u64| {
            line.extend_from_slice(key);
            json::number(line, value);
        };
        number(line, b"\",\"status\":", u64::from(self.status.as_u16()));
        number(line, b",\"bytes_in\":", self.bytes_in());
        number(line, b",\"bytes_out\":", self.bytes_out);
        number(line, b",\"duration_us\":", micros(self.started));
        if let Some(connect) = self.connect_time {
            number(line, b",\"connect_us\":", u64::try_from(connect.as_micros()).unwrap_or(u64::MAX));
        }
        let first_byte =
            self.asked.map_or(0, |(_, first_byte)| u64::try_from(first_byte.as_micros()).unwrap_or(u64::MAX));
        number(line, b",\"upstream_us\":", first_byte);
        number(line, b",\"upstream_whole_us\":", self.asked.map_or(0, |(asked, _)| micros(asked)));
        if self.retries > 0 {
            number(line, b",\"retries\":", self.retries);
        }
        for (key, why) in [
            (&b",\"refused\":\""[..], self.refused.map(crate::respond::Reason::label)),
            (b",\"cut\":\"", self.cut.map(crate::body::BodyCut::label)),
        ] {
            if let Some(why) = why {
                line.extend_from_slice(key);
                line.extend_from_slice(why.as_bytes());
                line.push(b'"');
            }
        }
        line.push(b'}');
    }

    /// `client - - [time] "request" status bytes "referer" "agent"`.
    pub(super) fn write_combined(&self, line: &mut Vec<u8>, time: &[u8], request: &Request) {
        let (asked, rest) = request.bytes.split_at(request.split);
        let agent_end = rest.iter().rposition(|&byte| byte == b'"').map_or(0, |quote| quote + 1);
        let (agent, client) = rest.split_at(agent_end);
        line.extend_from_slice(client);
        line.extend_from_slice(b" - - [");
        line.extend_from_slice(time);
        line.extend_from_slice(b"] ");
        line.extend_from_slice(asked);
        json::number(line, u64::from(self.status.as_u16()));
        line.push(b' ');
        json::number(line, self.bytes_out);
        line.extend_from_slice(agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: nothing a client sends can end a field or a line of the combined form, or drive a terminal.
    #[test]
    fn fields_stay_fields() {
        let check = |bytes: &[u8], expected: &str| {
            let mut out = Vec::new();
            escape(&mut out, bytes, 8);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{bytes:?}");
        };
        check(b"plain", "plain");
        check(b"a\"b", "a\\x22b");
        check(b"a\\b", "a\\x5Cb");
        check(b"\n\x1b\xc3\xa9", "\\x0A\\x1B\\xC3\\xA9");
        check(b"123456789", "12345678");
    }
}
