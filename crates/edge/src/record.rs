//! What is written down about a request: its metrics, and one line of the access log.
//!
//! A record is begun with the request's head, travels with it, and writes itself when it is dropped, which is when the
//! answer has ended, however it ended.

use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Version};
use prumo_clock::Moment;

use crate::access_log::Lines;
use crate::body::{BodyCut, Meter};
use crate::client::Client;
use crate::core::Core;
use crate::metrics::{RouteCount, class_of};
use crate::respond::Reason;
use crate::settings::LineFormat;
use crate::table::RouteView;
use crate::trace::Trace;
use crate::upstream::Upstream;

mod line;

/// What other servers log for a client that hung up before its answer. It is sent to nobody.
const CLIENT_GONE: u16 = 499;

/// What is known so far about one request. Whoever handles the request says what happens, in the order of these functions.
pub(crate) struct Record {
    core: Rc<Core>,
    started: Moment,
    /// The request's half of the access line, in a buffer borrowed from the core; empty when no log is kept.
    line: line::Request,
    route: Option<Rc<RouteView>>,
    replica: Option<Rc<Upstream>>,
    meter: Option<Rc<Meter>>,
    status: StatusCode,
    bytes_in: u64,
    bytes_out: u64,
    connect_time: Option<Duration>,
    /// When the upstream that has answered was asked, and how long it took to begin.
    asked: Option<(Moment, Duration)>,
    retries: u64,
    refused: Option<Reason>,
    cut: Option<BodyCut>,
    is_tunnel: bool,
    is_unanswered: bool,
    is_written: bool,
}

impl Record {
    pub(crate) fn begin(core: &Rc<Core>, now: Moment) -> Record {
        core.counts().unanswered.add(1);
        Record {
            core: Rc::clone(core),
            started: now,
            line: line::Request::default(),
            route: None,
            replica: None,
            meter: None,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes_in: 0,
            bytes_out: 0,
            connect_time: None,
            asked: None,
            retries: 0,
            refused: None,
            cut: None,
            is_tunnel: false,
            is_unanswered: true,
            is_written: false,
        }
    }

    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    /// Writes the request's half of the line, while its head is still in reach.
    pub(crate) fn describe(&mut self, head: &Head<'_>, client: &Client, id: &[u8], trace: Option<&Trace>) {
        let Some(log) = &self.core.log else { return };
        let mut line = line::Request { bytes: log.borrow_buffer(), split: 0 };
        match log.format {
            LineFormat::Json => line.write_json(head, client, id, trace),
            LineFormat::Combined => line.write_combined(head, client),
        }
        self.line = line;
    }

    /// This route takes it.
    pub(crate) fn route(&mut self, route: &Rc<RouteView>) {
        self.route = Some(Rc::clone(route));
        self.count_of_route().in_flight.add(1);
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
    pub(crate) fn receive(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// This replica is to answer.
    pub(crate) fn choose(&mut self, replica: &Rc<Upstream>) {
        self.replica = Some(Rc::clone(replica));
    }

    /// A connection to the replica had to be made.
    pub(crate) fn connected(&mut self, within: Duration) {
        self.connect_time = Some(within);
    }

    /// It is asked again.
    pub(crate) fn retry(&mut self) {
        self.retries += 1;
    }

    /// Nothing is written: another record is begun for the same request.
    pub(crate) fn forget(mut self) {
        self.note_answer();
        if self.route.is_some() {
            self.count_of_route().in_flight.sub(1);
        }
        if let Some(log) = &self.core.log {
            log.return_buffer(std::mem::take(&mut self.line).bytes);
        }
        self.is_written = true;
    }

    /// The answer's head has come from an upstream that was asked at `asked`.
    pub(crate) fn answered(&mut self, status: StatusCode, asked: Moment, now: Moment) {
        self.status = status;
        self.asked = Some((asked, now.since(asked)));
        self.note_answer();
    }

    /// The answer is one of ours, and not an error.
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

    fn count_of_route(&self) -> &RouteCount {
        let cells = self.route.as_ref().map_or(&self.core.shared.unrouted, |route| &route.cells);
        &cells.cores[self.core.number].0
    }

    fn count(&self, now: Moment) {
        let count = self.count_of_route();
        let class = class_of(self.status);
        count.status[class].add(1);
        count.bytes_in.add(self.bytes_in());
        count.bytes_out.add(self.bytes_out);
        if self.route.is_some() {
            count.in_flight.sub(1);
        }
        if self.retries > 0 {
            count.retries.add(self.retries);
        }
        if let Some(connect_time) = self.connect_time {
            count.connect.observe(connect_time);
        }
        if let Some(replica) = &self.replica {
            let count = replica.cells.core(self.core.number);
            count.status[class].add(1);
            if let Some((_, first_byte)) = self.asked {
                count.first_byte.observe(first_byte);
            }
        }
        if self.is_tunnel {
            return;
        }
        count.duration.observe(now.since(self.started));
        if let Some((asked, _)) = self.asked {
            count.exchange.observe(now.since(asked));
        }
    }

    fn write_line(&mut self, now: Moment) {
        let request = std::mem::take(&mut self.line);
        let Some(log) = &self.core.log else { return };
        if self.is_worth_a_line(log) {
            log.write_line(self.core.wall_at(self.started), |line, time| match log.format {
                LineFormat::Json => self.write_json(line, time, &request, now),
                LineFormat::Combined => self.write_combined(line, time, &request),
            });
        }
        log.return_buffer(request.bytes);
    }

    /// What went wrong always is.
    fn is_worth_a_line(&self, log: &Lines) -> bool {
        let went_wrong = self.status.as_u16() >= 400 || self.cut.is_some() || self.refused.is_some();
        went_wrong || log.wants(|| self.core.clock.random())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end();
    }
}

impl Record {
    /// The answer has ended. Whoever does not say so drops the record.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.is_written, true) {
            return;
        }
        let now = self.core.clock.now();
        // Of an error of ours, too, the client hears nothing; but it has not gone.
        if self.is_unanswered && self.refused.is_none() && !std::thread::panicking() {
            let gone = StatusCode::from_u16(CLIENT_GONE).expect("three digits are a status");
            self.refuse(gone, Reason::Client);
        }
        self.note_answer();
        if self.is_tunnel {
            self.core.counts().tunnels_open.sub(1);
        }
        self.count(now);
        self.write_line(now);
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
    pub(crate) referer: &'a [u8],
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
            referer: said(header::REFERER),
        }
    }
}
