//! Clients of HTTP/1 that end their side of the connection after a whole request, and wait for the answer: as `nc -N` does,
//! and some scripts. From here they look like clients that have closed and gone.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use prumo_edge::{Port, Settings, Traffic};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use site::{App, Gate, PATHS, Site, Wire, eventually, forward, reply_with};

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
        let mut wire = site.connect();
        wire.send(GET);
        eventually("the app was asked", || app.asks().len() == 1);
        wire.stream().shutdown(Shutdown::Write).unwrap();
        assert!(wire.is_closed(), "fast {fast}");
        site.assert_nothing_in_flight("one");
        let counted = || site.metrics().contains("prumo_edge_refused_total{reason=\"client_gone\"} 1");
        eventually("it is counted", counted);
        assert!(site.metrics().contains("{service=\"app\",route=\"all\",status=\"5xx\"} 0"), "{}", site.metrics());
        gate.open();
        site.settle(&app);
        let connections = app.connections.load(Ordering::SeqCst);
        assert_eq!((connections, app.asks().len()), (2, 2), "it is not asked again for nobody");
    }
}

/// Goal: a route's `timeout` that runs out before the patience with such a client counts for it as for everyone: the client
/// is told 504, and the replica is blamed.
#[test]
fn the_routes_limit_counts() {
    for fast in PATHS {
        let gate = Gate::closed();
        let app = App::behind(&gate, b"done");
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.half_closed_timeout = NEVER;
        };
        let site = Site::start_at(clock, set, |route| forward(route).timeout = Duration::from_secs(10));
        let traffic = Traffic { eject_after: 1, ..Traffic::default() };
        let generation = site.edge.traffic(BTreeMap::from([("app".to_owned(), traffic)]));
        eventually("the cores know", || site.edge.settled(generation));
        site.serve(&[app.upstream("one"), app.upstream("two")]);
        let mut wire = send_and_end(&site, GET);
        eventually("the app works", || app.asks().len() == 1);
        // Time to see the end. Without it the test would only be easier.
        std::thread::sleep(Duration::from_millis(50));
        eventually("it is told something", || {
            simulation.advance(Duration::from_millis(500));
            wire.has_something_to_read()
        });
        assert_eq!(wire.try_answer().map(|answer| answer.status), Some(504), "fast {fast}");
        assert!(wire.is_closed());
        let metrics = site.metrics();
        assert!(metrics.contains("prumo_edge_ejections_total{service=\"app\"} 1\n"), "fast {fast}: {metrics}");
        assert!(metrics.contains("prumo_edge_refused_total{reason=\"client_gone\"} 0\n"), "fast {fast}: {metrics}");
        gate.open();
        site.end(&simulation);
    }
}

/// Goal: such a client gets its answer from another replica too, when the first has none that is good: also where that is
/// asked on the general path for a request that began on the fast one.
#[test]
fn another_replica_answers_it() {
    for fast in PATHS {
        let gate = Gate::closed();
        let asked = Arc::new(AtomicUsize::new(0));
        let apps = [(); 2].map(|()| {
            let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
            App::start(move |_, stream| {
                if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                    gate.wait();
                    return stream.write_all(b"HTTP/1.1 503 Sorry\r\nContent-Length: 5\r\n\r\nsorry").is_ok();
                }
                reply_with(stream, b"done");
                true
            })
        });
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.half_closed_timeout = NEVER;
        };
        let site = Site::start_with(set, |route| forward(route).timeout = NEVER);
        site.serve(&[apps[0].upstream("one"), apps[1].upstream("two")]);
        let mut wire = send_and_end(&site, GET);
        eventually("the first works", || asked.load(Ordering::SeqCst) == 1);
        // Time to see the end. Without it the test would only be easier.
        std::thread::sleep(Duration::from_millis(50));
        gate.open();
        let answer = wire.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"), "fast {fast}");
        assert!(wire.is_closed());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "fast {fast}");
    }
}

/// Goal: the same over TLS, where a client says that it has no more to say.
#[test]
fn over_tls_it_gets_its_answer() {
    for fast in PATHS {
        let gate = Gate::closed();
        let app = App::behind(&gate, b"done");
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.half_closed_timeout = NEVER;
            settings.https = Port::Number(0);
        };
        let site = Site::start_with(set, |route| forward(route).timeout = NEVER);
        site.serve(&[app.upstream("one")]);
        let mut wire = tls_wire(&site);
        wire.write_all(GET).unwrap();
        eventually("the app works", || site.edge.in_flight("one").requests == 1);
        wire.conn.send_close_notify();
        while wire.conn.wants_write() {
            wire.conn.write_tls(&mut wire.sock).unwrap();
        }
        // Time to see the end. Without it the test would only be easier.
        std::thread::sleep(Duration::from_millis(50));
        gate.open();
        let mut answer = String::new();
        wire.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ndone"), "fast {fast}: {answer}");
        site.assert_nothing_in_flight("one");
    }
}

/// A client that trusts the site's own authority.
fn tls_wire(site: &Site) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.edge.authority_certificate()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(site.https()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
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
        site.settle(&app);
        let whole: Vec<_> = app.asks().into_iter().filter(|ask| ask.is_whole).map(|ask| ask.first).collect();
        assert_eq!(whole, ["GET / HTTP/1.1"], "fast {fast}");
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
