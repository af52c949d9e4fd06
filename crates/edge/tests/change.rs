//! Upstreams come and go while requests pass: none is lost, and it is known when one is free (DEP-07, EDGE-01).
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prumo_edge::{Action, Edge, EdgeError, Forward, InFlight, Port, Route, Settings, Target};
use site::{App, Gate, Raised, Site, Wire, eventually, reply_with};

/// Goal: swapping upstreams a hundred times under load loses no request, and an upstream that is settled away and has
/// nothing in flight is never asked again.
#[test]
fn swaps_lose_nothing() {
    let site = Site::start();
    let first = App::named("app");
    site.serve(&[first.upstream("replica-0")]);
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = std::sync::Mutex::new(Vec::new());
    // Returned, because an app stops serving when it is dropped.
    let _last = std::thread::scope(|scope| {
        let _over = Raised(&is_over);
        for client in 0..8 {
            let (is_over, served, failures, site) = (&is_over, &served, &failures, &site);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let mut wire = site.connect();
                    // Half keep their connection for a while, half open a new one for each request.
                    for _ in 0..if client % 2 == 0 { 50 } else { 1 } {
                        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
                        match wire.try_answer() {
                            Some(answer) if answer.status == 200 && answer.is_whole => {
                                served.fetch_add(1, Ordering::SeqCst);
                            }
                            other => failures.lock().unwrap().push(format!("{other:?}")),
                        }
                    }
                }
            });
        }
        let mut serving = (first, "replica-0".to_owned());
        for number in 1..=100 {
            let next = (App::named("app"), format!("replica-{number}"));
            site.serve(&[next.0.upstream(&next.1)]);
            eventually("the old one is drained", || site.edge.in_flight(&serving.1) == InFlight::default());
            let asked = serving.0.asks().len();
            std::thread::sleep(Duration::from_millis(3));
            assert_eq!(serving.0.asks().len(), asked, "nothing reaches a drained upstream");
            serving.0.close();
            serving = next;
        }
        eventually("there was something to lose", || served.load(Ordering::SeqCst) > 500);
        serving
    });
    assert_eq!(failures.lock().unwrap().as_slice(), &[] as &[String]);
}

/// Goal: an upstream that crashes and is replaced a moment later costs no request: clients wait a little.
#[test]
fn a_restarting_replica_costs_no_request() {
    let site = Site::start();
    let before = App::named("before");
    before.close();
    site.serve(&[before.upstream("one")]);
    let after = App::named("after");
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| site.get("/").text())).collect();
        std::thread::sleep(Duration::from_millis(300));
        site.serve(&[after.upstream("two")]);
        for answer in asked {
            assert_eq!(answer.join().unwrap(), "after GET / HTTP/1.1");
        }
    });
}

/// Goal: stopping finishes what is in flight, closes idle connections, and then nothing listens.
#[test]
fn stops_gracefully() {
    let site = Site::start();
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let app = App::start(move |ask, stream| {
        if ask.path() == "/busy" {
            held.wait();
        }
        reply_with(stream, b"finished");
        true
    });
    site.serve(&[app.upstream("one")]);
    let mut idle = site.connect();
    idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let mut busy = site.connect();
    busy.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is in flight", || site.edge.in_flight("one").requests == 1);
    let start = Instant::now();
    let stopping = site.begin_stop(Duration::from_secs(60));
    assert!(idle.is_closed(), "at once, while the other one still waits");
    assert!(!stopping.is_finished());
    gate.open();
    let answer = busy.answer();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("finished", Some("close")));
    let report = stopping.join().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert!(start.elapsed() < Duration::from_secs(50), "the stop waited for more than the request");
    assert!(site.edge.sockets().unwrap().is_empty(), "nothing listens");
}

/// Goal: told to keep idle connections, a stopping edge answers one more request on each and then closes it.
#[test]
fn an_idle_connection_gets_one_more_answer() {
    for fast_path in [true, false] {
        let site = Site::start_with(|settings| (settings.cores, settings.fast_path) = (Some(1), fast_path), |_| {});
        let app = App::named("one");
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
        site.edge.keep_idle(true);
        let stopping = site.begin_stop(Duration::from_secs(60));
        eventually("the edge has stopped accepting", || site.edge.sockets().unwrap().is_empty());
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{fast_path}");
        assert!(wire.is_closed());
        assert!(stopping.join().unwrap().is_clean());
    }
}

/// Goal: told to keep idle connections, a stopping edge does not close behind an answer that was under way, which had
/// not said that it is the last: its client gets one more.
#[test]
fn an_answer_under_way_is_not_the_last() {
    for fast_path in [true, false] {
        let site = Site::start_with(|settings| (settings.cores, settings.fast_path) = (Some(1), fast_path), |_| {});
        let gate = Gate::closed();
        let behind = Arc::clone(&gate);
        let app = App::start(move |ask, stream| {
            if ask.path() == "/next" {
                reply_with(stream, b"next");
                return true;
            }
            let _ = std::io::Write::write_all(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
            behind.wait();
            let _ = std::io::Write::write_all(stream, b"rest");
            true
        });
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.read_until("half");
        site.edge.keep_idle(true);
        let stopping = site.begin_stop(Duration::from_secs(60));
        eventually("the edge has stopped accepting", || site.edge.sockets().unwrap().is_empty());
        gate.open();
        wire.read_until("rest");
        wire.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer();
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("next", Some("close")), "{fast_path}");
        assert!(wire.is_closed());
        assert!(stopping.join().unwrap().is_clean());
    }
}

/// Goal: who has connected and said nothing does not hold up a stop, neither in clear text nor before the handshake.
#[test]
fn silent_clients_do_not_hold_up_a_stop() {
    let site = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    site.serve(&[]);
    let mut silent = [site.connect(), Wire::connect(site.https())];
    eventually("both are accepted", || site.edge.report().connections == 2);
    let start = Instant::now();
    let report = site.stop(Duration::from_secs(30));
    // Their header timeout is ten seconds: a stop that waited for it would take as long.
    assert!(report.is_clean() && start.elapsed() < Duration::from_secs(8), "{report:?}");
    assert!(silent.iter_mut().all(Wire::is_closed));
    assert_eq!(site.edge.report().cores_living, 0);
}

/// Goal: a stopping edge is quiet when requests have ended, whatever tunnels remain; then replicas may be stopped.
#[test]
fn it_is_quiet_when_only_tunnels_are_left() {
    let site = Site::start();
    let (gate, tunnels) = (Gate::closed(), Gate::closed());
    let (held, open) = (Arc::clone(&gate), Arc::clone(&tunnels));
    let app = App::start(move |ask, stream| {
        if ask.path() == "/tunnel" {
            let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
            let _ = std::io::Write::write_all(stream, switch);
            open.wait();
            return false;
        }
        held.wait();
        reply_with(stream, b"done");
        true
    });
    site.serve(&[app.upstream("one")]);
    let mut tunnel = site.connect();
    tunnel.send(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    eventually("the tunnel is open", || site.edge.in_flight("one").tunnels == 1);
    let mut busy = site.connect();
    busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is in flight", || site.edge.in_flight("one").requests == 1);
    let edge = site.edge.clone();
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| site.stop(Duration::from_secs(60)));
        gate.open();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let quiet: Box<dyn Future<Output = ()> + Send> = Box::new(edge.quiet());
        runtime.block_on(Box::into_pin(quiet));
        assert_eq!(edge.in_flight("one"), InFlight { requests: 0, tunnels: 1 });
        assert!(!stopped.is_finished(), "the tunnel still lives");
        tunnels.open();
        drop(tunnel);
        assert!(stopped.join().unwrap().is_clean());
    });
    assert_eq!(busy.answer().text(), "done");
}

/// Goal: an upstream that has gone leaves the metrics once it is idle, without another change.
#[test]
fn gone_upstreams_leave_the_metrics() {
    let (site, app) = (Site::start(), App::named("one"));
    site.serve(&[app.upstream("one")]);
    assert_eq!(site.get("/").status, 200);
    assert!(site.metrics().contains("replica=\"one\""));
    let generation = site.serve(&[app.upstream("two")]);
    assert_eq!(site.edge.drained("one", generation), (true, InFlight::default()));
    assert!(!site.edge.drained("one", generation + 1).0);
    eventually("it is forgotten", || !site.metrics().contains("replica=\"one\""));
    assert!(site.metrics().contains("replica=\"two\""));
}

/// Goal: a deadline cuts what does not end.
#[test]
fn stops_at_the_deadline() {
    let site = Site::start();
    let gate = Gate::closed();
    let app = App::behind(&gate, b"too late");
    site.serve(&[app.upstream("one")]);
    let mut busy = site.connect();
    busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is in flight", || site.edge.in_flight("one").requests == 1);
    let start = Instant::now();
    let report = site.stop(Duration::from_millis(300));
    assert!(!report.is_clean());
    assert!(start.elapsed() < Duration::from_secs(20), "the stop waited for the answer");
    assert!(busy.try_answer().is_none());
    gate.open();
}

/// Goal: a taken port is an error of the start that names the process, also when that process shares its port.
#[test]
fn a_taken_port_names_its_owner() {
    let site = Site::start();
    let clock = prumo_clock::Clock::system();
    let drain = prumo_drain::Drain::new(clock.clone());
    let mut settings = Settings::new(site.folder.path().join("other"));
    settings.addresses = vec![site.http().ip()];
    settings.http = Port::Number(site.http().port());
    settings.https = Port::Off;
    match Edge::start(settings, clock, &drain.stage("edge")) {
        Err(error @ EdgeError::AddressTaken { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
            assert!(!error.hint().is_empty(), "{text}");
        }
        other => panic!("{:?}", other.map(|edge| edge.addresses())),
    }
}

/// Goal: the report says which services cannot be served, of those that are asked.
#[test]
fn reports_services_without_upstream() {
    let (site, app) = (Site::start(), App::named("one"));
    assert_eq!(site.edge.report().services_without_upstream, ["app"]);
    let generation = site.serve(&[app.upstream("one")]);
    let report = site.edge.report();
    assert_eq!((report.generation, report.settled), (generation, generation));
    assert_eq!((report.cores, report.cores_living), (2, 2));
    assert!(report.services_without_upstream.is_empty());
    let share = |service: &str, weight| Target { service: service.to_owned(), weight };
    let shared = |canary| Forward { to: vec![share("app", 1), share("canary", canary)], ..Forward::to("app") };
    for (weight, expected) in [(0, &[][..]), (1, &["canary"])] {
        site.edge.routes(vec![Route::new("all", Action::Forward(shared(weight)))]).unwrap();
        assert_eq!(site.edge.report().services_without_upstream, expected, "{weight}");
    }
    assert!(Wire::connect(site.http()).stream().peer_addr().is_ok());
}
