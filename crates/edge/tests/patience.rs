//! Who is waited for, and how long: streams of events that have nothing to say, and readers that do not read.

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
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prumo_clock::{Clock, Timestamp};
use prumo_edge::{AccessLog, Address, LineFormat, Settings, Share, Upstream};
use site::{App, PATHS, Site, Wire, eventually, forward};
use streams::{H2App, connect, converse, next, ok, post, send};

/// An app that sends an event each time that the test says so.
fn events() -> (App, mpsc::Sender<&'static str>) {
    let (say, said) = mpsc::channel::<&'static str>();
    let said = Arc::new(Mutex::new(said));
    let app = App::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        while let Ok(event) = said.lock().unwrap().recv() {
            if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_err() {
                break;
            }
        }
        false
    });
    (app, say)
}

fn subscribe(site: &Site) -> Wire {
    let mut wire = site.connect();
    wire.send(b"GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n");
    assert!(wire.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    wire
}

/// Goal: each event reaches the client before the next one is sent, and silence between them, however much longer than a
/// body may stand still, ends nothing.
#[test]
fn an_idle_stream_of_events_goes_on() {
    for fast in PATHS {
        let (app, say) = events();
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = Duration::from_millis(100);
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[app.upstream("one")]);
        let mut wire = subscribe(&site);
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            std::thread::sleep(Duration::from_millis(300));
            say.send(event).unwrap();
            assert!(wire.read_until("\n\n\r\n").ends_with(&format!("{event}\r\n")));
        }
        drop(wire);
        let _ = say.send(": to nobody\n\n");
        site.assert_nothing_in_flight("one");
    }
}

/// Goal: a gRPC stream whose server has nothing to say, and whose client has sent all it has, goes on too.
#[test]
fn an_idle_stream_of_grpc_goes_on() {
    let app = H2App::start(|_, mut respond| {
        Box::pin(async move {
            let mut answer = respond.send_response(ok(), false).unwrap();
            for message in ["one", "two", "three"] {
                tokio::time::sleep(Duration::from_millis(300)).await;
                send(&mut answer, Bytes::from(message), message == "three").await;
            }
        })
    });
    let site = Site::start_with(|settings| settings.body_timeout = Duration::from_millis(100), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await.ready().await.unwrap();
        let (answer, _) = client.send_request(post("/news"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        for message in ["one", "two", "three"] {
            assert_eq!(next(&mut body).await, message);
        }
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: an app that says nothing for longer than the route allows is given up, and the log calls it idle; one that has
/// promised a length and stands still has stalled.
#[test]
fn silence_has_its_limit() {
    for fast in PATHS {
        let app = App::start(|ask, stream| {
            let framing = if ask.path() == "/length" { "Content-Length: 10" } else { "Transfer-Encoding: chunked" };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n1\r\nx\r\n").as_bytes());
            // Until the edge hangs up.
            let _ = stream.read(&mut [0]);
            false
        });
        for (path, label, idle, body) in [("/events", "idle", 100, 60_000), ("/length", "stalled", 60_000, 100)] {
            let log = tempfile::tempdir().unwrap();
            let path_of_log = log.path().join("access.log");
            let logged = AccessLog {
                path: path_of_log.clone(),
                keep_bytes: 1 << 20,
                format: LineFormat::Json,
                sample: Share::ALL,
            };
            let site = Site::start_with(
                |settings| {
                    settings.fast_path = fast;
                    settings.body_timeout = Duration::from_millis(body);
                    settings.access_log = Some(logged);
                },
                |route| forward(route).idle_timeout = Duration::from_millis(idle),
            );
            site.serve(&[app.upstream("one")]);
            assert!(!site.get(path).is_whole);
            let cut = format!("\"cut\":\"{label}\"");
            eventually("the log says why", || {
                std::fs::read_to_string(&path_of_log).is_ok_and(|log| log.contains(&cut))
            });
            site.assert_nothing_in_flight("one");
        }
    }
}

/// Goal: a client that asks for much and takes nothing of it is cut, and frees its upstream (slowloris, read form).
#[test]
fn a_reader_that_does_not_read_is_cut() {
    for fast in PATHS {
        let app = App::start(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            while stream.write_all(&piece).is_ok() {}
            false
        });
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = Duration::from_millis(200);
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[app.upstream("one")]);
        let wire = subscribe(&site);
        site.assert_nothing_in_flight("one");
        drop(wire);
    }
}

/// A client's first bytes over HTTP/2: GET / with windows that never close.
fn wide_open() -> Vec<u8> {
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0];
    let head = [&[0x82, 0x86, 0x84, 0x41, 6], b"a.test".as_slice()].concat();
    let headers = [&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1], head.as_slice()].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &window, &headers].concat()
}

/// Goal: over HTTP/2 a slow reader whose buffers are large is not cut while the kernel says that it reads, though its
/// socket makes no room for a minute; when it reads no more, it is cut and frees its upstream.
#[test]
fn a_slow_reader_of_http2_is_known_by_what_it_takes() {
    const READ_EACH_SECOND: usize = 20 * 1024;
    for fast in PATHS {
        let app = App::start(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            while stream.write_all(&piece).is_ok() {}
            false
        });
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let site = Site::start_at(clock, |settings| settings.fast_path = fast, |_| {});
        site.serve(&[app.upstream("one")]);
        let a_second = || {
            let before = site.edge.rounds();
            simulation.advance(Duration::from_secs(1));
            eventually("every core goes round", || {
                site.edge.rounds().iter().zip(&before).all(|(now, before)| now > before)
            });
        };
        let mut wire = site.connect();
        wire.send(&wide_open());
        let mut part = vec![0; READ_EACH_SECOND];
        for _ in 0..100 {
            wire.reader.read_exact(&mut part).unwrap();
            a_second();
        }
        assert_eq!(site.edge.in_flight("one").requests, 1, "fast {fast}: it reads");
        let is_cut = (0..200).any(|_| {
            a_second();
            site.edge.in_flight("one").requests == 0
        });
        assert!(is_cut, "fast {fast}: it reads no more");
        let stopping = site.begin_stop(Duration::from_secs(60));
        while !stopping.is_finished() {
            simulation.advance(Duration::from_millis(50));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Goal: who drips a body is told 408 after half a minute of being waited for, on both ways, however long a body may stand
/// still.
#[test]
fn a_dripping_upload_is_refused() {
    for fast in PATHS {
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = Duration::from_secs(3600);
        };
        let site = Site::start_at(clock, set, |_| {});
        let app = App::named("one");
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n");
        eventually("it is on its way", || site.edge.in_flight("one").requests == 1);
        let start = Instant::now();
        while !wire.has_something_to_read() {
            assert!(start.elapsed() < Duration::from_secs(60), "a drip is enough");
            wire.try_send(b"x");
            simulation.advance(Duration::from_millis(500));
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(wire.answer().status, 408, "{fast}");
        site.assert_nothing_in_flight("one");
        let stopping = site.begin_stop(Duration::from_secs(60));
        while !stopping.is_finished() {
            simulation.advance(Duration::from_millis(50));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Goal: who keeps its side of a conversation open, and says nothing for a while, is not taken for a slow upload.
#[test]
fn an_open_conversation_goes_on() {
    let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
    let app = H2App::start(|request, mut respond| {
        Box::pin(async move {
            let mut said = request.into_body();
            let mut answer = respond.send_response(ok(), false).unwrap();
            for is_last in [false, true] {
                let message = next(&mut said).await;
                send(&mut answer, message, is_last).await;
            }
        })
    });
    let site = Site::start_at(clock, |settings| settings.body_timeout = Duration::from_secs(3600), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await.ready().await.unwrap();
        let (answer, mut ours) = client.send_request(post("/talk"), false).unwrap();
        send(&mut ours, Bytes::from("one"), false).await;
        let mut theirs = answer.await.unwrap().into_body();
        assert_eq!(next(&mut theirs).await, "one");
        for _ in 0..200 {
            simulation.advance(Duration::from_millis(500));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        send(&mut ours, Bytes::from("two"), true).await;
        assert_eq!(next(&mut theirs).await, "two");
    });
    let stopping = site.begin_stop(Duration::from_secs(60));
    while !stopping.is_finished() {
        simulation.advance(Duration::from_millis(50));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Goal: a client that sends all of its upload before it reads gets its answer, also when nobody wanted the rest: what is too
/// large is refused while it streams, and an app may answer early. No reset takes the answer away (OBJ-05).
#[test]
fn an_early_answer_is_read() {
    const PIECES: usize = 256;
    for fast in PATHS {
        for (body_max, status) in [(1 << 20, 413), (1 << 30, 403)] {
            let address = app_that_refuses(status == 403);
            let set = |route: &mut prumo_edge::Route| route.body_max = body_max;
            let site = Site::start_with(|settings| settings.fast_path = fast, set);
            site.serve(&[Upstream::new("one", Address::Tcp(address))]);
            let mut wire = site.connect();
            wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
            let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            (0..PIECES).for_each(|_| wire.send(&piece));
            wire.send(b"0\r\n\r\n");
            assert_eq!(wire.answer().status, status, "fast: {fast}");
            drop(wire);
            site.assert_nothing_in_flight("one");
        }
    }
}

/// An app that reads a request to its end, and before that may have answered 403.
fn app_that_refuses(answers: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut buffer = vec![0; 0x10000];
        let _ = stream.read(&mut buffer);
        if answers {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        }
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    address
}

/// Goal: a client that asks before it sends is told to go on only when its upload is wanted: what is too large by its own
/// word is refused without a byte of it (OBJ-05).
#[test]
fn an_unwanted_upload_is_not_sent() {
    for fast in PATHS {
        let app = App::named("one");
        let site = Site::start_with(|settings| settings.fast_path = fast, |route| route.body_max = 10);
        site.serve(&[app.upstream("one")]);
        for (length, expected) in [(11, "HTTP/1.1 413 "), (10, "HTTP/1.1 100 Continue\r\n\r\n")] {
            let mut wire = site.connect();
            let head =
                format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n");
            wire.send(head.as_bytes());
            assert!(wire.read_until("\r\n\r\n").starts_with(expected), "{length} bytes, fast: {fast}");
            if length == 10 {
                wire.send(b"ten bytes!");
                assert_eq!(wire.answer().status, 200);
            }
        }
        assert_eq!(app.asks().len(), 1);
    }
}
