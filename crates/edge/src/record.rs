//! What is written down about a request: its metrics, and one line of JSON.
//!
//! A record is begun with the request's head, travels with it, and writes itself when it is dropped, which is when the
//! answer has ended, however it ended.

use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Version};
use prumo_clock::Moment;

use crate::body::{BodyCut, Meter};
use crate::client::Client;
use crate::core::Core;
use crate::json;
use crate::respond::Reason;
use crate::table::RouteView;
use crate::upstream::Upstream;

/// Longer paths and user agents are cut in the log: a line is for reading.
const PATH_BYTES_MAX: usize = 2048;
const AGENT_BYTES_MAX: usize = 512;

/// What other servers log for a client that hung up before its answer. It is sent to nobody.
const CLIENT_GONE: u16 = 499;

/// What is known so far about one request. Whoever handles the request says what happens, in the order of these functions.
pub(crate) struct Record {
    core: Rc<Core>,
    started: Moment,
    /// The request's half of the access line, in a buffer borrowed from the core; empty when no log is kept.
    line: Vec<u8>,
    route: Option<Rc<RouteView>>,
    replica: Option<Rc<Upstream>>,
    meter: Option<Rc<Meter>>,
    status: StatusCode,
    bytes_in: u64,
    bytes_out: u64,
    upstream_time: Option<Duration>,
    retries: u64,
    refused: Option<Reason>,
    cut: Option<BodyCut>,
    is_tunnel: bool,
    is_unanswered: bool,
}

impl Record {
    pub(crate) fn begin(core: &Rc<Core>) -> Record {
        core.counts().unanswered.add(1);
        Record {
            core: Rc::clone(core),
            started: core.clock.now(),
            line: Vec::new(),
            route: None,
            replica: None,
            meter: None,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes_in: 0,
            bytes_out: 0,
            upstream_time: None,
            retries: 0,
            refused: None,
            cut: None,
            is_tunnel: false,
            is_unanswered: true,
        }
    }

    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    /// Writes the request's half of the line, while its head is still in reach.
    pub(crate) fn describe(&mut self, head: &Head<'_>, client: &Client, id: &HeaderValue) {
        let Some(log) = &self.core.log else { return };
        let mut line = log.borrow_buffer();
        line.extend_from_slice(b",\"id\":\"");
        json::escape(&mut line, id.as_bytes(), usize::MAX);
        line.extend_from_slice(b"\",\"client\":\"");
        json::escape(&mut line, client.facts.address.as_bytes(), usize::MAX);
        line.extend_from_slice(b"\",\"method\":\"");
        json::escape(&mut line, head.method, 32);
        line.extend_from_slice(b"\",\"host\":\"");
        json::escape(&mut line, head.authority, 255);
        // Never the query: it is where tokens and addresses of people are.
        line.extend_from_slice(b"\",\"path\":\"");
        json::escape(&mut line, head.path, PATH_BYTES_MAX);
        line.extend_from_slice(match head.version {
            Version::HTTP_2 => b"\",\"protocol\":\"HTTP/2\",\"tls\":",
            Version::HTTP_10 => b"\",\"protocol\":\"HTTP/1.0\",\"tls\":",
            _ => b"\",\"protocol\":\"HTTP/1.1\",\"tls\":",
        });
        line.extend_from_slice(if client.tls { b"true,\"user_agent\":\"" } else { b"false,\"user_agent\":\"" });
        json::escape(&mut line, head.user_agent, AGENT_BYTES_MAX);
        line.push(b'"');
        self.line = line;
    }

    /// This route takes it.
    pub(crate) fn route(&mut self, route: &Rc<RouteView>) {
        self.route = Some(Rc::clone(route));
    }

    /// The route that takes it.
    pub(crate) fn its_route(&self) -> Option<&Rc<RouteView>> {
        self.route.as_ref()
    }

    /// It has a body, whose bytes are counted here.
    pub(crate) fn measure(&mut self, meter: &Rc<Meter>) {
        self.meter = Some(Rc::clone(meter));
    }

    /// Where its body's bytes are counted.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_deref()
    }

    /// So many bytes of its body have come, where no meter counts them.
    #[expect(dead_code, reason = "for answers that come from elsewhere than hyper's client")]
    pub(crate) fn receive(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// This replica is to answer.
    pub(crate) fn choose(&mut self, replica: &Rc<Upstream>) {
        self.replica = Some(Rc::clone(replica));
    }

    /// It is asked again.
    pub(crate) fn retry(&mut self) {
        self.retries += 1;
    }

    /// The answer's head has come from an upstream that was asked at `asked`.
    pub(crate) fn answered(&mut self, status: StatusCode, asked: Moment, now: Moment) {
        self.status = status;
        self.upstream_time = Some(now.since(asked));
        self.note_answer();
    }

    /// The answer is one of ours, and not an error.
    #[expect(dead_code, reason = "for answers that come from elsewhere than hyper's client")]
    pub(crate) fn answer(&mut self, status: StatusCode) {
        self.status = status;
        self.note_answer();
    }

    /// The answer is an error of ours.
    pub(crate) fn refuse(&mut self, status: StatusCode, reason: Reason) {
        self.status = status;
        self.refused = Some(reason);
        self.core.counts().refused(reason).add(1);
    }

    /// So many bytes of the answer's body are on their way.
    pub(crate) fn send(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// The answer ends before its end.
    pub(crate) fn cut(&mut self, why: BodyCut) {
        self.cut = Some(why);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    fn note_answer(&mut self) {
        if std::mem::take(&mut self.is_unanswered) {
            self.core.counts().unanswered.sub(1);
        }
    }

    /// From here on it is a tunnel: its duration says nothing about requests.
    pub(crate) fn become_tunnel(&mut self) {
        self.is_tunnel = true;
        self.core.counts().tunnels_open.add(1);
    }

    fn bytes_in(&self) -> u64 {
        self.bytes_in + self.meter.as_ref().map_or(0, |meter| meter.bytes.get())
    }

    fn count(&self, duration: Duration) {
        let cells = self.route.as_ref().map_or(&self.core.shared.unrouted, |route| &route.cells);
        let count = &cells.cores[self.core.number].0;
        let class = usize::from(self.status.as_u16() / 100).clamp(1, 5) - 1;
        count.status[class].add(1);
        count.bytes_in.add(self.bytes_in());
        count.bytes_out.add(self.bytes_out);
        if self.retries > 0 {
            count.retries.add(self.retries);
        }
        if !self.is_tunnel {
            count.duration.observe(duration);
        }
        if let Some(upstream_time) = self.upstream_time {
            count.upstream.observe(upstream_time);
        }
    }

    fn write_line(&mut self, duration: Duration) {
        let request = std::mem::take(&mut self.line);
        let Some(log) = &self.core.log else { return };
        log.write_line(self.core.wall_at(self.started), |line| {
            line.extend_from_slice(&request);
            self.write_outcome(line, duration);
        });
        log.return_buffer(request);
    }

    fn write_outcome(&self, line: &mut Vec<u8>, duration: Duration) {
        let route = self.route.as_ref().map(|route| &route.cells);
        for (key, value) in [
            (&b",\"service\":\""[..], route.map_or("", |route| &route.service)),
            (b"\",\"route\":\"", route.map_or("", |route| &route.route)),
            (b"\",\"replica\":\"", self.replica.as_ref().map_or("", |replica| &replica.id)),
        ] {
            line.extend_from_slice(key);
            json::escape(line, value.as_bytes(), usize::MAX);
        }
        for (key, value) in [
            (&b"\",\"status\":"[..], u64::from(self.status.as_u16())),
            (b",\"bytes_in\":", self.bytes_in()),
            (b",\"bytes_out\":", self.bytes_out),
            (b",\"duration_us\":", micros(duration)),
            (b",\"upstream_us\":", self.upstream_time.map_or(0, micros)),
        ] {
            line.extend_from_slice(key);
            json::number(line, value);
        }
        if let Some(reason) = self.refused {
            line.extend_from_slice(b",\"refused\":\"");
            line.extend_from_slice(reason.label().as_bytes());
            line.push(b'"');
        }
        if let Some(cut) = self.cut {
            line.extend_from_slice(b",\"cut\":\"");
            line.extend_from_slice(cut.label().as_bytes());
            line.push(b'"');
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.core.clock.now().since(self.started);
        if self.is_unanswered && self.refused.is_none() {
            let gone = StatusCode::from_u16(CLIENT_GONE).expect("three digits are a status");
            self.refuse(gone, Reason::Client);
        }
        self.note_answer();
        if self.is_tunnel {
            self.core.counts().tunnels_open.sub(1);
        }
        self.count(duration);
        self.write_line(duration);
    }
}

/// The parts of a request's head that are written down, as they stood on the wire.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) authority: &'a [u8],
    /// Without the query.
    pub(crate) path: &'a [u8],
    pub(crate) version: Version,
    pub(crate) user_agent: &'a [u8],
}

impl<'a> Head<'a> {
    /// `authority` is what the request was found to name; without it, what it says in `Host`.
    pub(crate) fn of(parts: &'a Parts, authority: Option<&'a HeaderValue>) -> Head<'a> {
        let said = |name: HeaderName| parts.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        Head {
            method: parts.method.as_str().as_bytes(),
            authority: authority.map_or_else(|| said(header::HOST), HeaderValue::as_bytes),
            path: parts.uri.path().as_bytes(),
            version: parts.version,
            user_agent: said(header::USER_AGENT),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
