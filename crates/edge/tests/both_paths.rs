//! The fast path and the general path, side by side: the same bytes of a client, the same answers of an app, and nobody
//! can tell which of them was taken.
//!
//! Requests are put together at random from what is usual and what is not, sent in pieces cut anywhere, one to three on a
//! connection. Answers come from a list; the path of a request names the one it gets. Compared is all that the client
//! reads to the end of its connection, and all that the app was asked.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use site::{App, Ask, Site};

/// What an app may say. Its connection stays open after those marked so.
const ANSWERS: &[(&[u8], bool)] = &[
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", false),
    (b"HTTP/1.1 204 No Content\r\n\r\n", true),
    (b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", true),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", false),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", false),
    (b"HTTP/1.0 200 OK\r\n\r\nolder", false),
    (b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n", true),
    (b"nonsense\r\n\r\n", false),
    // Several lengths are not here: hyper passes equal ones on as they are, and closes without a word over a HEAD with
    // two that differ. The fast path says one, or 502.
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", false),
    (
        b"HTTP/1.1 200 Fine Then\r\nServer: x\r\nX-Powered-By: y\r\nX-Request-Id: z\r\nDate: today\r\n\
       X-Frame-Options: DENY\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
        true,
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", true),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false),
    (b"", false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", true),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", true),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n", false),
    (b"HTTP/1.1 200 OK\r\nX: bare\nContent-Length: 2\n\nlf", true),
];

const METHODS: &[&str] = &["GET", "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];

const HEADERS: &[&str] = &[
    "Accept: text/html",
    "User-Agent: one two",
    "Cookie: a=1",
    "Cookie: b=2",
    "X-Forwarded-For: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
    "Forwarded: for=x",
    "X-Request-Id: mine",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: keep-alive, X-Own",
    "X-Own:  spaces \t",
    "X-Own: \u{e4}",
    "TE: trailers",
    "Keep-Alive: 5",
    "Upgrade: h2c",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Tracestate: a=b",
    "Expect: 100-continue",
    "Proxy: x",
    "Empty:",
    "X-Bad: a\0b",
    "No colon",
    " Folded: x",
    "Space : x",
    "Host: b.test",
    "Content-Length: 3",
    "Transfer-Encoding: gzip",
];

/// One conversation's requests.
fn conversations() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(requests(), 1..4)
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(METHODS);
    let answer = 0..ANSWERS.len();
    let headers = prop::collection::vec(prop::sample::select(HEADERS), 0..4);
    let body = prop_oneof![
        4 => Just(String::new()),
        2 => (0..2000_usize).prop_map(|length| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length))),
        2 => prop::collection::vec(1..40_usize, 0..4).prop_map(|sizes| chunked(&sizes)),
        1 => Just("Content-Length: 5\r\n\r\nabc".to_owned()),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n".to_owned()),
    ];
    let end = prop_oneof![15 => Just("\r\n"), 1 => Just("\n")];
    let version = prop_oneof![15 => Just("1.1"), 1 => Just("1.0")];
    (method, answer, headers, body, end, version).prop_map(|(method, answer, headers, body, end, version)| {
        let mut text = format!("{method} /{answer}?q=1 HTTP/{version}{end}Host: a.test{end}");
        for header in headers {
            text.push_str(header);
            text.push_str(end);
        }
        text.push_str(if body.is_empty() { "\r\n" } else { &body });
        text.into_bytes()
    })
}

fn chunked(sizes: &[usize]) -> String {
    let chunks: String = sizes.iter().map(|size| format!("{size:x};a\r\n{}\r\n", "c".repeat(*size))).collect();
    format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Sum: 1\r\n\r\n")
}

/// An edge on one of the paths, with an app behind it.
struct Bench {
    app: App,
    site: Site,
}

/// What came of a conversation.
#[derive(Debug, PartialEq)]
struct Outcome {
    answers: Vec<String>,
    asks: Vec<String>,
}

impl Bench {
    fn new(fast_path: bool) -> Bench {
        let app = App::start(|ask, stream| {
            let number: usize = ask.path().trim_start_matches('/').split('?').next().unwrap().parse().unwrap();
            let (answer, stays) = ANSWERS[number];
            let body_starts = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
            let is_head = ask.first.starts_with("HEAD ");
            // A connection that may be used again must not end in the same instant: who is met by that is chance.
            let says_close = answer.windows(5).any(|word| word == b"close") || answer.is_empty();
            stream.write_all(if is_head { &answer[..body_starts] } else { answer }).is_ok()
                && (stays || (is_head && !says_close))
        });
        let set = |settings: &mut prumo_edge::Settings| {
            settings.cores = Some(1);
            settings.fast_path = fast_path;
            settings.header_timeout = Duration::from_millis(200);
            settings.body_timeout = Duration::from_millis(200);
            settings.idle_timeout = Duration::from_millis(50);
        };
        let shape = |route: &mut prumo_edge::Route| {
            route.body_max = 1500;
            // Some answers never end.
            site::forward(route).timeout = Duration::from_secs(2);
        };
        let site = Site::start_with(set, shape);
        site.serve(&[app.upstream("one")]);
        Bench { app, site }
    }

    /// Sends the pieces and reads to the end.
    fn converse(&self, pieces: &[&[u8]]) -> Outcome {
        self.app.asks.lock().unwrap().clear();
        let mut stream = TcpStream::connect(self.site.http()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                // A head in two packets instead of one; nothing depends on whether it is seen so.
                std::thread::sleep(Duration::from_millis(3));
            }
            let _ = stream.write_all(piece);
        }
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read);
        self.site.assert_nothing_in_flight("one");
        let mut asks: Vec<String> = self.app.asks().iter().filter(|ask| ask.is_whole).map(seen).collect();
        // The general path cannot tell an answer that makes no sense from none at all, and asks once more over a fresh
        // connection where that does no harm. The fast path can.
        asks.dedup_by(|again, first| again == first && !first.starts_with("POST") && !first.starts_with("PATCH"));
        Outcome { answers: answers_of(&read), asks }
    }
}

/// A request as the app saw it, without what differs from one to the next.
fn seen(ask: &Ask) -> String {
    let varies = |name: &str| matches!(name, "x-request-id" | "traceparent" | "x-forwarded-port");
    format!("{}\n{}\n{}", ask.first, fields(&ask.headers, varies), String::from_utf8_lossy(&ask.body))
}

fn fields(headers: &[(String, String)], varies: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .map(|(name, value)| if varies(&name) { name } else { format!("{name}: {value}") })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// What a client read, answer by answer.
fn answers_of(mut read: &[u8]) -> Vec<String> {
    let mut answers = Vec::new();
    while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read = &read[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let find =
            |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let (body, rest) = match find("content-length").map(|length| length.parse::<usize>().unwrap()) {
            // An answer to HEAD is followed by the next answer, or by nothing.
            Some(_) if read.is_empty() || read.starts_with(b"HTTP/1.1 ") => (&b""[..], read),
            Some(length) => read.split_at(length.min(read.len())),
            None => {
                let next = read.windows(9).position(|nine| nine == b"HTTP/1.1 ").unwrap_or(read.len());
                read.split_at(next)
            }
        };
        read = rest;
        let varies = |name: &str| matches!(name, "x-request-id" | "date");
        let body = readable(&find("transfer-encoding").map_or_else(|| body.to_vec(), |_| unchunked(body)));
        // Who has the whole body already need not be told to go on.
        if !status.starts_with("HTTP/1.1 100") {
            let fields = fields(&headers, varies);
            let fields = if status.contains("502") { fields.replace("connection: close\n", "") } else { fields };
            answers.push(format!("{status}\n{fields}\n{body}"));
        }
    }
    answers
}

/// The data of chunks, and a mark where they end.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { break };
        if size == 0 {
            data.extend_from_slice(b"[end]");
            break;
        }
        data.extend_from_slice(&body[end + 2..(end + 2 + size).min(body.len())]);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    data
}

/// Pages name the request; that differs.
fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split(|letter: char| !letter.is_ascii_hexdigit())
        .filter(|word| word.len() == 32)
        .fold(text.to_string(), |text, id| text.replace(id, "ID"))
}

/// Conversations held.
const CASES: u32 = 100;

/// How often a conversation is held again before its difference counts: one that comes from the moment at which something
/// closes does not come every time.
const TRIES: usize = 8;

fn compare(fast: &Bench, general: &Bench, pieces: &[&[u8]]) -> Result<(), TestCaseError> {
    let mut compared = compare_once(fast, general, pieces);
    for _ in 1..TRIES {
        if compared.is_ok() {
            break;
        }
        compared = compare_once(fast, general, pieces);
    }
    compared
}

fn compare_once(fast: &Bench, general: &Bench, pieces: &[&[u8]]) -> Result<(), TestCaseError> {
    let (mut one, mut other) = (fast.converse(pieces), general.converse(pieces));
    // After an error of ours a connection goes on where all of the request was read, which each path sees at its own time.
    let until = one.answers.len().min(other.answers.len());
    if until > 0 && one.answers[until - 1].starts_with("HTTP/1.1 502") {
        let asked = one.asks.len().min(other.asks.len());
        for outcome in [&mut one, &mut other] {
            outcome.answers.truncate(until);
            outcome.asks.truncate(asked);
        }
    }
    prop_assert_eq!(&one, &other, "\nsent: {}", pieces.concat().escape_ascii());
    Ok(())
}

/// Goal: each answer of the list reaches the client in the same way on both paths, for each plain method, and is followed
/// by what belongs to the next request.
#[test]
fn every_answer_is_the_same() {
    let (fast, general) = (Bench::new(true), Bench::new(false));
    for (number, (answer, _)) in ANSWERS.iter().enumerate() {
        for method in ["GET", "HEAD", "POST"] {
            let sent =
                format!("{method} /{number} HTTP/1.1\r\nHost: a.test\r\n\r\nGET /0 HTTP/1.1\r\nHost: a.test\r\n\r\n");
            if let Err(why) = compare(&fast, &general, &[sent.as_bytes()]) {
                panic!("{method} {}: {why}", answer.escape_ascii());
            }
        }
    }
}

/// Goal: whatever a client sends, and in whatever pieces, both paths make the same of it.
#[test]
fn every_request_is_the_same() {
    let (fast, general) = (Bench::new(true), Bench::new(false));
    // The same conversations each time.
    let config = ProptestConfig { cases: CASES, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let conversation = (conversations(), prop::collection::vec(0.0..1.0_f64, 0..3));
    let run = runner.run(&conversation, |(requests, cuts)| {
        let sent = requests.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (cut * sent.len() as f64) as usize).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([sent.len()]) {
            pieces.push(&sent[from..cut]);
            from = cut;
        }
        compare(&fast, &general, &pieces)
    });
    run.unwrap_or_else(|why| panic!("{why}"));
}
