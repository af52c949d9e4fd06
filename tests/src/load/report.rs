//! The account of a load: what was sent, what came back, and each thing that went wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Failures kept with their details; the rest is only counted.
const DETAILS_MAX: usize = 200;

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests sent.
    pub sent: u64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// How many failed, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// The first failures, with their details.
    pub failures: Vec<Failure>,
    /// What became of the web sockets.
    pub sockets: Sockets,
    /// From the first request due to the last answer.
    pub lasted: Duration,
    /// Microseconds from when a request was due to the end of its answer.
    latencies: Vec<u32>,
}

/// What became of the web sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Handshakes that succeeded.
    pub opened: u64,
    /// Messages that came back as they were sent.
    pub messages: u64,
    /// Closed by the server with a proper close frame; the next connection was opened at once.
    pub moved: u64,
    /// Messages that crossed such a close on the wire and were sent again on the next connection.
    pub resent: u64,
    /// Cut without a close frame, or closed with a code that means trouble.
    pub cut: u64,
}

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of thing.
    pub kind: FailureKind,
    /// When it was sent, since the load began.
    pub sent_after: Duration,
    /// When it was seen to fail, since the load began.
    pub at: Duration,
    /// What was seen.
    pub detail: String,
}

/// Kinds of failure, as a user would tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The connection was not taken.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// No whole answer in time.
    Timeout,
    /// Some other status than 200.
    Status(u16),
    /// The answer was not the expected one.
    WrongBody,
    /// A web socket could not be opened.
    Handshake,
    /// A web socket was cut, or stayed silent.
    Cut,
    /// The generator itself could not keep up.
    NotSent,
}

/// Latency from the moment a request was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the requests were faster.
    pub p50: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// None was slower.
    pub max: Duration,
}

impl Report {
    /// How many failed, of every kind, web sockets included.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether no user noticed anything.
    pub fn is_clean(&self) -> bool {
        self.failed_in_all() == 0 && self.sockets.cut == 0
    }

    /// How many failed in this way.
    pub fn failed(&self, kind: FailureKind) -> u64 {
        self.failed.get(&kind).copied().unwrap_or(0)
    }

    /// The latency of the requests that succeeded; `None` when none did.
    pub fn latency(&self) -> Option<Latency> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
            Duration::from_micros(u64::from(sorted[place]))
        };
        (!sorted.is_empty()).then(|| Latency { p50: at(0.50), p99: at(0.99), max: at(1.0) })
    }

    /// The account as JSON, for benchmarks.
    pub fn to_json(&self) -> serde_json::Value {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let latency = self.latency().map(|latency| {
            serde_json::json!({ "p50_us": micros(latency.p50), "p99_us": micros(latency.p99), "max_us": micros(latency.max) })
        });
        let failed: BTreeMap<String, u64> =
            self.failed.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
        serde_json::json!({
            "lasted_ms": self.lasted.as_millis() as u64,
            "sent": self.sent,
            "ok": self.ok,
            "failed": failed,
            "latency": latency,
            "web_sockets": {
                "opened": self.sockets.opened, "messages": self.sockets.messages, "moved": self.sockets.moved,
                "resent": self.sockets.resent, "cut": self.sockets.cut,
            },
        })
    }

    pub(super) fn count_success(&mut self, latency: Duration) {
        self.ok += 1;
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn count_failure(&mut self, failure: Failure) {
        *self.failed.entry(failure.kind).or_default() += 1;
        if failure.kind == FailureKind::Cut {
            self.sockets.cut += 1;
        }
        if self.failures.len() < DETAILS_MAX {
            self.failures.push(failure);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed_in_all();
        writeln!(out, "{} sent in {:.1?}: {} ok, {failed} failed", self.sent, self.lasted, self.ok)?;
        if let Some(Latency { p50, p99, max }) = self.latency() {
            writeln!(out, "latency from the moment due: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")?;
        }
        let Sockets { opened, messages, moved, resent, cut } = self.sockets;
        if opened + cut > 0 {
            writeln!(
                out,
                "web sockets: {opened} opened, {messages} messages, {moved} moved, {resent} resent, {cut} cut"
            )?;
        }
        for (kind, count) in &self.failed {
            writeln!(out, "failed: {count} x {kind}")?;
        }
        for failure in self.failures.iter().take(20) {
            writeln!(out, "  at {:>8.3} s: {}: {}", failure.at.as_secs_f64(), failure.kind, failure.detail)?;
        }
        Ok(())
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Connect => out.write_str("connect"),
            FailureKind::Reset => out.write_str("reset"),
            FailureKind::Timeout => out.write_str("timeout"),
            FailureKind::Status(code) => write!(out, "status {code}"),
            FailureKind::WrongBody => out.write_str("wrong body"),
            FailureKind::Handshake => out.write_str("web socket handshake"),
            FailureKind::Cut => out.write_str("web socket cut"),
            FailureKind::NotSent => out.write_str("not sent"),
        }
    }
}
