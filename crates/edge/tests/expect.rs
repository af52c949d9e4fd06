//! Clients that wait to be asked for their body (`Expect: 100-continue`), and services that ask, do not ask, or answer
//! without it.
//!
//! The edge's clock stands still unless a test moves it, so that what happens does not happen for want of patience.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;
#[path = "site/streams.rs"]
mod streams;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use prumo_clock::{Clock, Simulation, Timestamp};
use prumo_edge::{Address, Settings, Upstream};
use site::{PATHS, Site, Wire, eventually};
use streams::{collect, connect, converse, send};

const POST: &[u8] = b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
/// After which its connection takes no other request.
const LAST_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// A site whose service is played by the test.
struct Bench {
    site: Site,
    simulation: Simulation,
    service: TcpListener,
}

impl Bench {
    fn new(fast: bool) -> Bench {
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.cores = Some(1);
        };
        let site = Site::start_at(clock, set, |route| route.body_max = 1000);
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        site.serve(&[Upstream::new("one", Address::Tcp(service.local_addr().unwrap()))]);
        Bench { site, simulation, service }
    }

    /// The next connection that the service is given.
    fn accept(&self) -> TcpStream {
        let stream = self.service.accept().unwrap().0;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Lets time pass until the client has something to read.
    fn wait_for(&self, wire: &Wire) {
        eventually("the client is told something", || {
            self.simulation.advance(Duration::from_millis(50));
            wire.has_something_to_read()
        });
    }

    /// Ends the site, whose clock has to go for that.
    fn end(self) {
        self.site.assert_nothing_in_flight("one");
        let stopping = self.site.begin_stop(Duration::from_secs(20));
        while !stopping.is_finished() {
            self.simulation.advance(Duration::from_millis(50));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Reads up to and with `end`.
fn hear(stream: &mut TcpStream, end: &str) -> String {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    String::from_utf8(heard).unwrap()
}

/// The head of a request that waits, as the service sees it.
fn hear_waiting(stream: &mut TcpStream) {
    let head = hear(stream, "\r\n\r\n").to_ascii_lowercase();
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
}

/// Goal: the service is asked whether it wants the body, and its word reaches the client, which sends it then.
#[test]
fn a_service_asks_for_the_body() {
    for fast in PATHS {
        let bench = Bench::new(fast);
        let mut wire = bench.site.connect();
        for _ in 0..2 {
            wire.send(POST);
            let mut service = bench.accept();
            hear_waiting(&mut service);
            assert!(!wire.has_something_to_read(), "fast {fast}: nobody but the service says so");
            service.write_all(CONTINUE.as_bytes()).unwrap();
            assert_eq!(wire.read_until("\r\n\r\n"), CONTINUE);
            wire.send(b"hello");
            assert_eq!(hear(&mut service, "hello"), "hello");
            service.write_all(LAST_ANSWER).unwrap();
            assert_eq!(wire.answer().text(), "done", "fast {fast}");
        }
        drop(wire);
        bench.end();
    }
}

/// Goal: a service that answers without the body is heard, and the body is not: the client is told nothing else before,
/// and that its connection ends.
#[test]
fn a_service_answers_without_the_body() {
    for fast in PATHS {
        for status in [417, 413, 401, 200] {
            let bench = Bench::new(fast);
            let mut wire = bench.site.connect();
            wire.send(POST);
            let mut service = bench.accept();
            hear_waiting(&mut service);
            service.write_all(format!("HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\nno").as_bytes()).unwrap();
            let head = wire.read_until("\r\n\r\n");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "fast {fast}: {head}");
            assert!(head.contains("connection: close\r\n"), "fast {fast}: {head}");
            wire.read_until("no");
            // It comes too late, and nobody takes it for anything.
            wire.try_send(b"hello");
            assert!(wire.is_closed());
            assert_eq!(service.read(&mut [0; 16]).unwrap_or(0), 0, "the service is not sent it either");
            drop(wire);
            bench.end();
        }
    }
}

/// Goal: a service that does not know of this says nothing, and after a moment its client is asked for the body anyway.
#[test]
fn a_silent_service_gets_the_body() {
    for fast in PATHS {
        let bench = Bench::new(fast);
        let mut wire = bench.site.connect();
        wire.send(POST);
        let mut service = bench.accept();
        hear_waiting(&mut service);
        assert!(!wire.has_something_to_read(), "fast {fast}");
        bench.wait_for(&wire);
        assert_eq!(wire.read_until("\r\n\r\n"), CONTINUE);
        wire.send(b"hello");
        assert_eq!(hear(&mut service, "hello"), "hello");
        // Its own word comes late, and is not said twice.
        service.write_all(CONTINUE.as_bytes()).unwrap();
        service.write_all(ANSWER).unwrap();
        assert!(wire.read_until("done").starts_with("HTTP/1.1 200"), "fast {fast}");
        drop(wire);
        bench.end();
    }
}

/// Goal: a client that sends its body without being asked is not held up, and its service does not hear of any waiting.
#[test]
fn a_body_that_is_here_waits_for_nobody() {
    for fast in PATHS {
        let bench = Bench::new(fast);
        let mut wire = bench.site.connect();
        wire.send(&[POST, b"hello"].concat());
        let mut service = bench.accept();
        let heard = hear(&mut service, "hello");
        assert!(!heard.contains("xpect"), "fast {fast}: {heard}");
        service.write_all(ANSWER).unwrap();
        assert_eq!(wire.answer().text(), "done");
        drop(wire);
        bench.end();
    }
}

/// Goal: a body that is too large is refused before anybody is asked for anything.
#[test]
fn a_large_body_is_refused_first() {
    for fast in PATHS {
        let bench = Bench::new(fast);
        let mut wire = bench.site.connect();
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
        assert!(wire.read_until("\r\n\r\n").starts_with("HTTP/1.1 413 "), "fast {fast}");
        bench.service.set_nonblocking(true).unwrap();
        assert!(bench.service.accept().is_err(), "the service was not asked");
        drop(wire);
        bench.end();
    }
}

/// Goal: a kept connection that turns out to be closed costs such a request nothing, whatever its method: nothing of its
/// body was read.
#[test]
fn a_body_that_was_not_read_can_be_asked_again() {
    let bench = Bench::new(true);
    let mut wire = bench.site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut service = bench.accept();
    hear(&mut service, "\r\n\r\n");
    service.write_all(ANSWER).unwrap();
    assert_eq!(wire.answer().text(), "done");
    wire.send(POST);
    hear_waiting(&mut service);
    drop(service);
    let mut service = bench.accept();
    hear_waiting(&mut service);
    service.write_all(CONTINUE.as_bytes()).unwrap();
    assert_eq!(wire.read_until("\r\n\r\n"), CONTINUE);
    wire.send(b"hello");
    hear(&mut service, "hello");
    service.write_all(ANSWER).unwrap();
    assert_eq!(wire.answer().text(), "done");
    drop(wire);
    bench.end();
}

/// Goal: a client of HTTP/2 that waits is asked, too, when its service asks.
#[test]
fn a_client_of_http2_is_asked() {
    for fast in PATHS {
        let bench = Bench::new(fast);
        let address = bench.site.http();
        let service = bench.service.try_clone().unwrap();
        let app = std::thread::spawn(move || {
            let mut service = service.accept().unwrap().0;
            hear_waiting(&mut service);
            service.write_all(CONTINUE.as_bytes()).unwrap();
            hear(&mut service, "hello");
            service.write_all(ANSWER).unwrap();
            // Until the edge lets go of it.
            let _ = service.read(&mut [0]);
        });
        converse(async {
            let mut client = connect(address).await.ready().await.unwrap();
            let request =
                Request::post("http://a.test/up").header("expect", "100-continue").header("content-length", "5");
            let (mut answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
            let asked = std::future::poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
            assert_eq!(asked.status(), 100, "fast {fast}");
            send(&mut body, Bytes::from("hello"), true).await;
            let answer = answer.await.unwrap();
            assert_eq!(collect(&mut answer.into_body()).await.unwrap().0, b"done");
        });
        bench.end();
        app.join().unwrap();
    }
}
