//! Clients of HTTP/1 that end their side of the connection after a whole request, and wait for the answer: as `nc -N` does,
//! and some scripts. From here they look like clients that have closed and gone.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use prumo_edge::Settings;
use site::{App, Gate, Site, Wire, eventually, forward};

/// Both ways through the edge.
const PATHS: [bool; 2] = [true, false];

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A site whose app answers when the gate opens.
fn site_behind(gate: &Arc<Gate>, fast: bool, patience: Duration) -> (App, Site) {
    let app = App::behind(gate, b"done");
    let set = |settings: &mut Settings| {
        settings.fast_path = fast;
        settings.half_closed_timeout = patience;
    };
    // Nobody but the client is given up.
    let site = Site::start_with(set, |route| forward(route).timeout = NEVER);
    site.serve(&[app.upstream("one")]);
    (app, site)
}

/// Sends all there is and ends our side.
fn send_and_end(site: &Site, sent: &[u8]) -> Wire {
    let mut wire = site.connect();
    wire.send(sent);
    wire.stream().shutdown(Shutdown::Write).unwrap();
    wire
}

/// The same, and waits until the app works on it.
fn ask_and_end(site: &Site, sent: &[u8]) -> Wire {
    let wire = send_and_end(site, sent);
    eventually("the app works", || site.edge.in_flight("one").requests == 1);
    wire
}

/// Goal: such a client gets its answer, whatever it asked and by whichever version, and the connection ends after it.
#[test]
fn it_gets_its_answer() {
    let requests: [&[u8]; 4] = [
        GET,
        b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    for fast in PATHS {
        for request in requests {
            let gate = Gate::closed();
            let (_app, site) = site_behind(&gate, fast, NEVER);
            let mut wire = ask_and_end(&site, request);
            // Time to see the end. Without it the test would only be easier.
            std::thread::sleep(Duration::from_millis(50));
            assert!(!wire.has_something_to_read(), "fast {fast}: {}", request.escape_ascii());
            gate.open();
            let answer = wire.answer();
            assert_eq!((answer.status, answer.text().as_str()), (200, "done"), "fast {fast}");
            assert!(wire.is_closed());
            site.assert_nothing_in_flight("one");
        }
    }
}

/// Goal: so it is for several requests behind one another, each in its turn.
#[test]
fn requests_in_a_row_are_answered() {
    for fast in PATHS {
        let gate = Gate::closed();
        let (_app, site) = site_behind(&gate, fast, NEVER);
        let mut wire = ask_and_end(&site, &[GET, GET, GET].concat());
        gate.open();
        for _ in 0..3 {
            assert_eq!(wire.answer().text(), "done", "fast {fast}");
        }
        assert!(wire.is_closed());
    }
}

/// Goal: who does not come back is given up after the time that the file says; that is counted as a client that has gone,
/// and neither as an error nor against the replica.
#[test]
fn it_is_not_waited_for_for_ever() {
    for fast in PATHS {
        let gate = Gate::closed();
        let (app, site) = site_behind(&gate, fast, Duration::from_millis(100));
        let mut wire = send_and_end(&site, GET);
        assert!(wire.is_closed(), "fast {fast}");
        site.assert_nothing_in_flight("one");
        let counted = || site.metrics().contains("prumo_edge_refused_total{reason=\"client_gone\"} 1");
        eventually("it is counted", counted);
        assert!(site.metrics().contains("{service=\"app\",route=\"all\",status=\"5xx\"} 0"), "{}", site.metrics());
        eventually("the app was asked", || !app.asks().is_empty());
        assert_eq!(app.asks().len(), 1, "it is not asked again for nobody");
        gate.open();
    }
}

/// Goal: a body that ends before its end is no request, however its client ends.
#[test]
fn half_a_request_is_none() {
    for fast in PATHS {
        let gate = Gate::closed();
        gate.open();
        let (app, site) = site_behind(&gate, fast, NEVER);
        let mut wire = send_and_end(&site, b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50\r\n\r\nhello");
        assert!(wire.try_answer().is_none_or(|answer| answer.status == 400), "fast {fast}");
        site.assert_nothing_in_flight("one");
        eventually("the app has heard it all", || app.asks().iter().all(|ask| !ask.is_whole));
    }
}

/// Goal: who resets its connection has gone, and frees the replica at once.
#[test]
fn a_reset_is_no_half_closed_connection() {
    for fast in PATHS {
        let gate = Gate::closed();
        let (_app, site) = site_behind(&gate, fast, NEVER);
        let mut wire = site.connect();
        wire.send(GET);
        eventually("the app works", || site.edge.in_flight("one").requests == 1);
        socket2::SockRef::from(wire.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(wire);
        site.assert_nothing_in_flight("one");
        gate.open();
    }
}

/// Goal: an answer that goes on and on, such as events, goes on for a client that has ended its side, and ends when that
/// has gone: what is written to it then comes back as a reset.
#[test]
fn events_go_on_until_nobody_takes_them() {
    for fast in PATHS {
        let (say, said) = mpsc::channel::<&'static str>();
        let said = Mutex::new(said);
        let app = App::start(move |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while let Ok(event) = said.lock().unwrap().recv() {
                if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_err() {
                    break;
                }
            }
            false
        });
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = NEVER;
            settings.half_closed_timeout = NEVER;
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[app.upstream("one")]);
        let mut wire = ask_and_end(&site, GET);
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            say.send(event).unwrap();
            assert!(wire.read_until("\n\n\r\n").ends_with(&format!("{event}\r\n")), "fast {fast}");
        }
        drop(wire);
        eventually("nobody takes them", || {
            let _ = say.send("data: to nobody\n\n");
            site.edge.in_flight("one").requests == 0
        });
    }
}

/// Goal: events that do not come are not waited for longer than a body may stand still.
#[test]
fn silent_events_end() {
    for fast in PATHS {
        let app = App::start(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            // Until the edge hangs up.
            let _ = stream.read(&mut [0]);
            false
        });
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.body_timeout = Duration::from_millis(100);
        };
        let site = Site::start_with(set, |route| forward(route).idle_timeout = NEVER);
        site.serve(&[app.upstream("one")]);
        let mut wire = send_and_end(&site, GET);
        wire.read_until("\r\n\r\n");
        assert!(wire.is_closed(), "fast {fast}");
        site.assert_nothing_in_flight("one");
    }
}
