//! HTTP/2 frame by frame, after the sections of RFC 9113 and RFC 7541 (EDGE-03).
//!
//! The cases are text files in `http2/`; its README says how to read and write them.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "http2/case.rs"]
mod case;
#[path = "site/cases.rs"]
mod cases;
#[path = "http2/frame.rs"]
mod frame;
mod site;

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use case::{Case, Step, Verdict};
use frame::Frame;
use site::{App, Site, Wire, eventually, reply_with};

/// How long a case waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest body that the route accepts in these cases.
const BODY_MAX: u64 = 1 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Goal: every sequence of frames has the fate that is written beside it.
#[test]
fn frames_have_one_meaning() {
    let cases: Vec<Case> = cases::files("http2").iter().flat_map(|path| case::read(path)).collect();
    assert!(cases.len() >= 140, "only {} cases were found", cases.len());
    cases::judge_all(&cases, judge);
}

fn judge(case: &Case) -> Result<(), String> {
    let app = App::start(|ask, stream| {
        if ask.path() == "/slow" {
            std::thread::sleep(Duration::from_millis(300));
        }
        reply_with(stream, b"answer");
        true
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |route| route.body_max = BODY_MAX);
    site.serve(&[app.upstream("one")]);
    let mut talk = Talk { wire: site.connect(), received: Vec::new(), rest: Vec::new(), is_closed: false };
    if case.with_preface {
        talk.wire.send(PREFACE);
        talk.wire.send(&Frame { kind: 4, flags: 0, stream: 0, payload: Vec::new() }.bytes());
    }
    for step in &case.steps {
        let judged = match step {
            Step::Send(bytes) => {
                talk.wire.try_send(bytes);
                Ok(())
            }
            Step::Await(verdicts) => talk.expect(verdicts, &app),
        };
        judged.map_err(|why| format!("{}:{} {}\n    {why}", case.file, case.line, case.about))?;
    }
    Ok(())
}

/// One connection, and everything that came of it so far.
struct Talk {
    wire: Wire,
    received: Vec<Frame>,
    /// Bytes that are no whole frame yet.
    rest: Vec<u8>,
    is_closed: bool,
}

impl Talk {
    /// Reads until one of the verdicts is true, or none can be any more.
    fn expect(&mut self, verdicts: &[Verdict], app: &App) -> Result<(), String> {
        if let [Verdict::App(count)] = verdicts {
            eventually("the app has seen them", || app.asks().len() >= *count);
            let seen = app.asks().iter().filter(|ask| ask.is_whole).count();
            return if seen == *count { Ok(()) } else { Err(format!("the app saw {seen} requests and not {count}")) };
        }
        if verdicts.contains(&Verdict::Open) {
            self.wire.try_send(&Frame { kind: 6, flags: 0, stream: 0, payload: IS_OPEN.to_vec() }.bytes());
        }
        let began = Instant::now();
        loop {
            if verdicts.iter().any(|verdict| self.holds(verdict)) {
                return Ok(());
            }
            if self.is_closed || began.elapsed() > PATIENCE {
                return Err(format!("{verdicts:?} did not come; {}", self.story()));
            }
            self.read();
        }
    }

    fn holds(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Status(status, stream) => self.received.iter().any(|frame| {
                let is_there = stream.is_none_or(|stream| frame.stream == stream);
                frame.is("HEADERS") && is_there && frame.status() == Some(*status)
            }),
            Verdict::Http1(status) => self.rest.starts_with(format!("HTTP/1.1 {status} ").as_bytes()),
            Verdict::Connection(codes) => match self.goaway() {
                Some(code) => codes.contains(&code),
                None => self.is_closed,
            },
            Verdict::Stream(stream, codes) => {
                let is_reset = self.received.iter().any(|frame| {
                    let is_it = stream.is_none_or(|stream| frame.stream == stream);
                    frame.is("RST_STREAM") && is_it && frame.number_at(0).is_some_and(|code| codes.contains(&code))
                });
                is_reset || self.goaway().is_some_and(|code| codes.contains(&code))
            }
            Verdict::SettingsAck => self.received.iter().any(|frame| frame.is("SETTINGS") && frame.has_first_flag()),
            Verdict::Ping(payload) => self.has_pong(payload),
            Verdict::Open => self.has_pong(&IS_OPEN) && !self.is_closed,
            Verdict::Closed => self.is_closed,
            Verdict::App(_) => false,
        }
    }

    fn has_pong(&self, payload: &[u8]) -> bool {
        self.received.iter().any(|frame| frame.is("PING") && frame.has_first_flag() && frame.payload == payload)
    }

    /// The code of the last GOAWAY.
    fn goaway(&self) -> Option<u32> {
        self.received.iter().rev().find(|frame| frame.is("GOAWAY")).and_then(|frame| frame.number_at(4))
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let stream = self.wire.stream();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        match stream.take(buffer.len() as u64).read(&mut buffer) {
            Ok(0) => self.is_closed = true,
            Ok(read) => self.rest.extend(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.is_closed = true,
        }
        while !self.rest.starts_with(b"HTTP/1") && self.rest.len() >= 9 {
            let length = usize::from(self.rest[0]) << 16 | usize::from(self.rest[1]) << 8 | usize::from(self.rest[2]);
            if self.rest.len() < 9 + length {
                return;
            }
            let bytes: Vec<u8> = self.rest.drain(..9 + length).collect();
            let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
            self.received.push(Frame { kind: bytes[3], flags: bytes[4], stream, payload: bytes[9..].to_vec() });
        }
    }

    fn story(&self) -> String {
        let ends = if self.is_closed { "closed" } else { "open" };
        let told = |frame: &Frame| {
            let status = frame.status().filter(|_| frame.is("HEADERS"));
            let code = if frame.is("GOAWAY") { frame.number_at(4) } else { frame.number_at(0) };
            format!("type {} flags {} stream {} code {code:?} status {status:?}", frame.kind, frame.flags, frame.stream)
        };
        let frames: Vec<String> = self.received.iter().map(told).collect();
        format!("the connection is {ends}, and these came: {frames:#?}")
    }
}

const IS_OPEN: [u8; 8] = *b"is open?";
