//! A request on its way to the service, and its answer on the way back: what is told to whom when something goes wrong in
//! between. The same on both paths, and for clients of both protocols.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use prumo_edge::{AccessLog, LineFormat, Route, Settings, Share};
use site::{App, Gate, PATHS, Site, eventually, forward};
use streams::{collect, connect, converse, get};

/// Goal: a client whose chunks are not framed as they must be is told 400 and counted for that, and not as one that has
/// gone; its connection ends, and the app never takes what it has for a whole request.
#[test]
fn a_bad_chunk_is_a_fault_of_framing() {
    for fast in PATHS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let format = LineFormat::Json;
        let log = AccessLog { path: path.clone(), keep_bytes: 1 << 20, format, sample: Share::ALL };
        let app = App::named("one");
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.access_log = Some(log);
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[app.upstream("one")]);
        for bad in [&b"2\r\nabc\r\n0\r\n\r\n"[..], b"x\r\n", b"-1\r\n", b"1;\0\r\na\r\n0\r\n\r\n", b"1\na\r\n0\r\n\r\n"]
        {
            let mut wire = site.connect();
            wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            eventually("the request is on its way", || site.edge.in_flight("one").requests == 1);
            wire.send(bad);
            let answer = wire.answer();
            assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{}", bad.escape_ascii());
            assert!(wire.is_closed());
            site.assert_nothing_in_flight("one");
        }
        let metrics = site.metrics();
        assert!(metrics.contains("prumo_edge_refused_total{reason=\"framing\"} 5"), "fast {fast}: {metrics}");
        assert!(metrics.contains("reason=\"client_gone\"} 0\n"), "fast {fast}: {metrics}");
        eventually("the log says so", || {
            std::fs::read_to_string(&path).is_ok_and(|log| log.matches("\"refused\":\"framing\"").count() == 5)
        });
        site.settle(&app);
        let whole: Vec<_> = app.asks().into_iter().filter(|ask| ask.is_whole).map(|ask| ask.first).collect();
        assert_eq!(whole, ["GET / HTTP/1.1"], "fast {fast}");
    }
}

/// Goal: the same once the answer has begun, when nothing but the end of the connection can say so; the log names it.
#[test]
fn a_bad_chunk_ends_an_answer_that_has_begun() {
    for fast in PATHS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let format = LineFormat::Json;
        let log = AccessLog { path: path.clone(), keep_bytes: 1 << 20, format, sample: Share::ALL };
        let (listener, upstream) = talker();
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.access_log = Some(log);
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[upstream]);
        let mut wire = site.connect();
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let (mut app, _) = listener.accept().unwrap();
        hear(&mut app, "hello\r\n");
        app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").unwrap();
        assert!(wire.read_until("hi\r\n").starts_with("HTTP/1.1 200 OK"));
        wire.send(b"nonsense");
        assert!(wire.is_closed());
        eventually("the log says why", || {
            std::fs::read_to_string(&path).is_ok_and(|log| log.contains("\"cut\":\"framing\""))
        });
        site.assert_nothing_in_flight("one");
    }
}

/// An upstream whose side of the conversation the test plays itself.
fn talker() -> (std::net::TcpListener, prumo_edge::Upstream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = prumo_edge::Address::Tcp(listener.local_addr().unwrap());
    (listener, prumo_edge::Upstream::new("one", address))
}

/// Reads up to and with `end`.
fn hear(stream: &mut std::net::TcpStream, end: &str) -> String {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    String::from_utf8(heard).unwrap()
}

/// Longer than any test, however quickly its time passes.
const AGES: Duration = Duration::from_secs(10_000_000);

/// More than is read at once, so that the answer that is held has not come in one piece.
const SORRY_BYTES: usize = 300_000;

/// Two replicas. Whoever is asked first says 503 at length, and whoever is asked next says nothing until the gate opens.
fn sorry_then_silent(gate: &Arc<Gate>) -> [App; 2] {
    let asked = Arc::new(AtomicUsize::new(0));
    [(); 2].map(|()| {
        let (asked, gate) = (Arc::clone(&asked), Arc::clone(gate));
        App::start(move |_, stream| {
            if asked.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                gate.wait();
                return false;
            }
            let _ = stream.write_all(b"HTTP/1.1 503 Sorry\r\nRetry-After: 77\r\nTransfer-Encoding: chunked\r\n\r\n");
            let _ = stream.write_all(format!("{SORRY_BYTES:x}\r\n").as_bytes());
            let _ = stream.write_all(&vec![b's'; SORRY_BYTES]);
            stream.write_all(b"\r\n0\r\n\r\n").is_ok()
        })
    })
}

/// Goal: an answer that was held back, because another replica might have a better one, reaches the client as it is when
/// the other one does not answer in time.
#[test]
fn a_held_answer_is_not_lost() {
    for fast in PATHS {
        let gate = Gate::closed();
        let apps = sorry_then_silent(&gate);
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = AGES;
        };
        let shape = |route: &mut Route| {
            forward(route).timeout = Duration::from_secs(10);
            forward(route).idle_timeout = AGES;
        };
        let site = Site::start_at(clock, set, shape);
        site.serve(&[apps[0].upstream("one"), apps[1].upstream("two")]);
        let asks = || apps.iter().map(|app| app.asks().len()).sum::<usize>();
        // Time stands still until the second replica has been asked.
        let outlast = |count: usize, ask: &(dyn Fn() + Sync)| {
            std::thread::scope(|scope| {
                let asking = scope.spawn(ask);
                eventually("both were asked", || asks() == count || asking.is_finished());
                eventually("the second is late", || {
                    simulation.advance(Duration::from_millis(500));
                    asking.is_finished()
                });
            });
        };
        outlast(2, &|| {
            let answer = site.get("/");
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("77")), "fast {fast}");
            assert!(answer.is_whole && answer.body == vec![b's'; SORRY_BYTES]);
        });
        outlast(4, &|| {
            converse(async {
                let mut client = connect(site.http()).await.ready().await.unwrap();
                let answer = client.send_request(get("/"), true).unwrap().0.await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"77"[..]));
                assert_eq!(collect(&mut answer.into_body()).await.unwrap().0.len(), SORRY_BYTES);
            });
        });
        for id in ["one", "two"] {
            site.assert_nothing_in_flight(id);
        }
        assert_eq!(asks(), 4, "each request was asked twice");
        gate.open();
        site.end(&simulation);
    }
}

/// Goal: the same when the other replica takes the request and ends without a word.
#[test]
fn a_held_answer_outlives_a_death() {
    for fast in PATHS {
        let gate = Gate::closed();
        gate.open();
        let apps = sorry_then_silent(&gate);
        let site = Site::start_with(|settings| settings.fast_path = fast, |_| {});
        site.serve(&[apps[0].upstream("one"), apps[1].upstream("two")]);
        let answer = site.get("/");
        assert_eq!((answer.status, answer.body.len()), (503, SORRY_BYTES), "fast {fast}");
    }
}
