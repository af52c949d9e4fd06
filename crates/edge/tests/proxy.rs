//! The edge as a client and an app see it: bodies, limits, failures.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use prumo_edge::{AccessLog, Address, Balance, LineFormat, Network, Share, Upstream};
use site::{App, Gate, Site, eventually, forward, reply_with};

/// Goal: one client connection carries many requests, over one upstream connection.
#[test]
fn keeps_connections_alive() {
    let (site, app) = (Site::start(), App::named("one"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for number in 0..20 {
        wire.send(format!("GET /{number}?q=1 HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
        assert_eq!(wire.answer().text(), format!("one GET /{number}?q=1 HTTP/1.1"));
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1, "all over one connection");
    site.assert_nothing_in_flight("one");
}

/// Goal: chunked bodies pass both ways, and their connections are used again.
#[test]
fn passes_chunked_bodies() {
    let app = App::start(|ask, stream| {
        let chunk = format!("{:x}\r\n{}\r\n", ask.body.len(), String::from_utf8_lossy(&ask.body));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{chunk}5\r\n-more\r\n0\r\n\r\n").as_bytes()).is_ok()
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for _ in 0..3 {
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        std::thread::sleep(Duration::from_millis(20));
        wire.send(b"6\r\n world\r\n0\r\n\r\n");
        let answer = wire.answer();
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.text(), "hello world-more");
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

/// Goal: large bodies pass both ways unchanged.
#[test]
fn passes_large_bodies() {
    let app = App::start(|ask, stream| {
        reply_with(stream, &ask.body);
        true
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let body: Vec<u8> = (0..10_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut wire = site.connect();
    wire.send(format!("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    wire.send(&body);
    let answer = wire.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "the body is the same, byte for byte");
    site.assert_nothing_in_flight("one");
}

/// Goal: HEAD, 204 and 304 have no body, and the connection goes on.
#[test]
fn passes_answers_without_body() {
    let app = App::start(|ask, stream| {
        let answer: &[u8] = match ask.path() {
            "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            _ => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        };
        stream.write_all(answer).is_ok()
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"HEAD /head HTTP/1.1\r\nHost: a.test\r\n\r\nGET /204 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut head = [0; 1];
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        wire.reader.read_exact(&mut head).unwrap();
        text.push(head[0]);
    }
    assert!(String::from_utf8_lossy(&text).contains("content-length: 1000"));
    assert_eq!(wire.answer().status, 204);
    wire.send(b"GET /304 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.answer().status, 304);
}

/// Goal: the app learns who the client is from us, and a stranger cannot lie about it.
#[test]
fn tells_the_app_about_the_client() {
    let (site, app) = (Site::start(), App::named("one"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"GET / HTTP/1.1\r\nHost: Shop.Test:81\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
          X-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\nProxy: evil\r\n\
          Keep-Alive: 5\r\nX-Secret-Hop: 1\r\nConnection: keep-alive, X-Secret-Hop\r\nTE: trailers\r\n\r\n",
    );
    let answer = wire.answer();
    let ask = &app.asks()[0];
    for (name, expected) in [
        ("host", Some("Shop.Test:81")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("Shop.Test:81")),
        ("forwarded", None),
        ("proxy", None),
        ("keep-alive", None),
        ("connection", None),
        ("te", None),
        ("x-secret-hop", None),
    ] {
        assert_eq!(ask.header(name), expected, "{name}");
    }
    assert_eq!(ask.headers.iter().filter(|(name, _)| name == "x-forwarded-for").count(), 1);
    assert_eq!(ask.header("x-request-id"), answer.header("x-request-id"));
    assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
}

/// Goal: a trusted proxy's headers are kept and appended to.
#[test]
fn believes_a_trusted_proxy() {
    let loopback = Network { address: [127, 0, 0, 0].into(), prefix: 8 };
    let site = Site::start_with(|settings| settings.trusted_proxies.push(loopback), |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
          Forwarded: for=192.0.2.1\r\nX-Request-Id: mine-1\r\n\r\n",
    );
    assert_eq!(wire.answer().header("x-request-id"), Some("mine-1"));
    let ask = &app.asks()[0];
    assert_eq!(ask.header("x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!(ask.header("x-forwarded-proto"), Some("https"));
    assert_eq!(ask.header("forwarded"), Some("for=192.0.2.1, for=127.0.0.1"));
}

/// Goal: an upstream that dies within its answer cuts the client's connection instead of looking complete.
#[test]
fn cuts_when_the_upstream_dies_mid_body() {
    let app = App::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        false
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let answer = site.get("/");
    assert_eq!((answer.status, answer.is_whole, answer.text().as_str()), (200, false, "half"));
    site.assert_nothing_in_flight("one");
}

/// Goal: an upstream that refuses connections costs no request while another serves (LB-01).
#[test]
fn asks_another_upstream_when_one_refuses() {
    let (site, gone, well) = (Site::start(), App::named("gone"), App::named("well"));
    gone.close();
    site.serve(&[gone.upstream("gone"), well.upstream("well")]);
    for number in 0..20 {
        let mut wire = site.connect();
        let body = "x".repeat(number);
        wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {number}\r\n\r\n{body}").as_bytes());
        let answer = wire.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "well POST / HTTP/1.1"));
    }
    assert_eq!(well.asks().iter().map(|ask| ask.body.len()).sum::<usize>(), (0..20).sum::<usize>());
    site.assert_nothing_in_flight("gone");
}

/// Goal: a GET whose reused connection dies before an answer is asked once more; a POST never is.
#[test]
fn retries_only_what_may_be_asked_twice() {
    let app = App::start(|ask, stream| {
        if ask.number > 0 {
            return false;
        }
        reply_with(stream, b"first of its connection");
        true
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for _ in 0..2 {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    assert_eq!(app.asks().len(), 3, "the second was asked twice");
    let asked = app.asks().len();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.answer().status, 502);
    assert_eq!(app.asks().len(), asked + 1, "the POST was asked once");
    assert!(site.metrics().contains("prumo_edge_retries_total{service=\"app\",route=\"all\"} 1"));
}

/// Goal: idle connections that the upstream has closed are noticed before they are used, also for POST.
#[test]
fn notices_closed_idle_connections() {
    let app = App::start(|_, stream| {
        reply_with(stream, b"once");
        false
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    for _ in 0..10 {
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(wire.answer().status, 200);
        eventually("the app has closed", || app.open.load(Ordering::SeqCst) == 0);
    }
}

/// Goal: a service without upstreams answers 503 with Retry-After after a short wait, and nothing of the inside.
#[test]
fn refuses_when_there_is_no_upstream() {
    let site = Site::start_with(|_| {}, |route| forward(route).timeout = Duration::from_millis(200));
    let start = Instant::now();
    let answer = site.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(start.elapsed() < Duration::from_secs(8), "it waits no longer than the route's timeout");
    assert!(!answer.text().contains("app"), "{}", answer.text());
    assert!(answer.text().contains(answer.header("x-request-id").unwrap()));
}

/// Goal: a request that finds no upstream waits and is served by the one that appears.
#[test]
fn waits_for_an_upstream_to_appear() {
    let (site, app) = (Site::start(), App::named("late"));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| site.get("/"));
        std::thread::sleep(Duration::from_millis(300));
        site.serve(&[app.upstream("late")]);
        assert_eq!(asked.join().unwrap().text(), "late GET / HTTP/1.1");
    });
}

/// Goal: a body above the route's limit is refused by its declared length, and while it streams.
#[test]
fn refuses_large_bodies() {
    let site = Site::start_with(|_| {}, |route| route.body_max = 1000);
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.answer().status, 413);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..11 {
        wire.try_send(format!("64\r\n{}\r\n", "x".repeat(100)).as_bytes());
    }
    assert_eq!(wire.answer().status, 413);
    site.assert_nothing_in_flight("one");
    let mut wire = site.connect();
    wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000)).as_bytes());
    assert_eq!(wire.answer().status, 200, "the limit itself passes");
}

/// Goal: the app never gets the whole of a body that its client is told was too large, also when all of it came at once.
#[test]
fn a_refused_body_is_never_whole() {
    let site = Site::start_with(|_| {}, |route| route.body_max = 1000);
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    for _ in 0..10 {
        let mut wire = site.connect();
        let chunks = format!("3e8\r\n{0}\r\n3e8\r\n{0}\r\n0\r\n\r\n", "x".repeat(1000));
        wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes());
        assert_eq!(wire.answer().status, 413);
    }
    site.assert_nothing_in_flight("one");
    // What is asked last is asked of the same app, whose asks are then all there.
    assert_eq!(site.get("/").status, 200);
    eventually("the app has seen the end of each", || app.open.load(Ordering::SeqCst) <= 1);
    assert_eq!(app.asks().iter().filter(|ask| ask.is_whole).count(), 1, "the last one");
}

/// Goal: an upload that the app does not take is the app's fault, not the client's.
#[test]
fn an_app_that_takes_nothing_is_blamed() {
    // Connections are made by the kernel, and nobody reads from them.
    let app = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::start_with(
        |settings| settings.body_timeout = Duration::from_millis(500),
        |route| route.body_max = u64::MAX,
    );
    site.serve(&[Upstream::new("deaf", Address::Tcp(app.local_addr().unwrap()))]);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000000\r\n\r\n");
    wire.stream().set_nonblocking(true).unwrap();
    let start = Instant::now();
    while !matches!(wire.stream().peek(&mut [0]), Ok(1..)) {
        assert!(start.elapsed() < Duration::from_secs(60), "the client is kept waiting");
        if wire.stream().write(&[b'x'; 65536]).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    wire.stream().set_nonblocking(false).unwrap();
    assert_eq!(wire.answer().status, 504);
    site.assert_nothing_in_flight("deaf");
}

/// Goal: heads above the limit are refused.
#[test]
fn refuses_large_heads() {
    let site = Site::start_with(|settings| settings.headers_max = 8 * 1024, |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000)).as_bytes());
    assert_eq!(wire.answer().status, 431);
    let mut wire = site.connect();
    wire.try_send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    for number in 0..200 {
        wire.try_send(format!("X-{number}: 1\r\n").as_bytes());
    }
    wire.try_send(b"\r\n");
    assert_eq!(wire.answer().status, 431);
    assert!(app.asks().is_empty());
}

/// Goal: a client that sends its head too slowly is told so and cut.
#[test]
fn cuts_slow_heads() {
    let site = Site::start_with(|settings| settings.header_timeout = Duration::from_millis(300), |_| {});
    let mut wire = site.connect();
    let start = Instant::now();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n");
    // A drip until the answer is there; if it extended the time, it would never be.
    while !wire.has_something_to_read() {
        assert!(start.elapsed() < Duration::from_secs(60), "the drip extended its time");
        wire.try_send(b"X-Slow: 1\r\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(wire.answer().status, 408);
    let mut silent = site.connect();
    assert!(silent.is_closed(), "a connection that says nothing is closed too");
}

/// Goal: an idle keep-alive connection is closed after its time.
#[test]
fn closes_idle_connections() {
    let site = Site::start_with(|settings| settings.idle_timeout = Duration::from_millis(300), |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    assert!(wire.is_closed());
}

/// Goal: an upstream that does not begin its answer in time gives 504, and its connection is not used again.
#[test]
fn gives_up_on_a_silent_upstream() {
    let gate = Gate::closed();
    let app = App::behind(&gate, b"too late");
    let site = Site::start_with(|_| {}, |route| forward(route).timeout = Duration::from_millis(300));
    site.serve(&[app.upstream("one")]);
    let start = Instant::now();
    assert_eq!(site.get("/").status, 504);
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the upstream");
    site.assert_nothing_in_flight("one");
    gate.open();
}

/// Goal: bodies that stop moving are cut, in either direction; slow ones that move are not.
#[test]
fn cuts_stalled_bodies() {
    let gate = Gate::closed();
    let stalls = Arc::clone(&gate);
    let app = App::start(move |ask, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx");
        for _ in 0..4 {
            match ask.path() {
                "/slow" => std::thread::sleep(Duration::from_millis(500)),
                _ => stalls.wait(),
            }
            let _ = stream.write_all(b"x");
        }
        true
    });
    let site = Site::start_with(|settings| settings.body_timeout = Duration::from_millis(1800), |_| {});
    site.serve(&[app.upstream("one")]);
    // Both at once, because both take their time.
    let mut slow = site.connect();
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(!site.get("/stall").is_whole);
    assert!(slow.answer().is_whole, "two seconds in all, never nearly 1.8 without a byte");
    gate.open();
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nxx");
    assert_eq!(wire.answer().status, 408);
    site.assert_nothing_in_flight("one");
}

/// Goal: a client that leaves frees the upstream at once.
#[test]
fn a_client_that_leaves_frees_the_upstream() {
    let app = App::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
        false
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    for _ in 0..5 {
        let mut wire = site.connect();
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        wire.reader.read_exact(&mut [0; 1000]).unwrap();
        wire.stream().shutdown(Shutdown::Both).unwrap();
    }
    site.assert_nothing_in_flight("one");
    eventually("the app's connections are closed", || app.open.load(Ordering::SeqCst) == 0);
}

/// Goal: a client that hangs up before its answer is counted as gone, not as an error of ours.
#[test]
fn a_client_that_hangs_up_is_no_server_error() {
    let gate = Gate::closed();
    let app = App::behind(&gate, b"too late");
    let site = Site::start_with(|settings| settings.half_closed_timeout = Duration::ZERO, |_| {});
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("it is in flight", || site.edge.in_flight("one").requests == 1);
    drop(wire);
    eventually("it is counted", || site.metrics().contains("prumo_edge_refused_total{reason=\"client_gone\"} 1"));
    assert!(site.metrics().contains("{service=\"app\",route=\"all\",status=\"4xx\"} 1"), "{}", site.metrics());
    assert!(site.metrics().contains("{service=\"app\",route=\"all\",status=\"5xx\"} 0"), "{}", site.metrics());
    gate.open();
}

/// Goal: a client cannot take the request id from the app by naming it in `Connection`.
#[test]
fn the_request_id_reaches_the_app() {
    let (site, app) = (Site::start(), App::named("one"));
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: X-Request-Id, X-Forwarded-For\r\n\r\n");
    let answer = wire.answer();
    let asks = app.asks();
    assert_eq!(asks[0].header("x-request-id"), answer.header("x-request-id"));
    assert_eq!(asks[0].header("x-forwarded-for"), Some("127.0.0.1"));
}

/// Goal: requests are counted in flight from the choice of an upstream until the answer has ended.
#[test]
fn counts_what_is_in_flight() {
    let gate = Gate::closed();
    let app = App::behind(&gate, b"done");
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wires: Vec<_> = (0..7).map(|_| site.connect()).collect();
    for wire in &mut wires {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    eventually("seven are in flight", || site.edge.in_flight("one").requests == 7);
    assert!(site.metrics().contains("{service=\"app\",replica=\"one\",kind=\"request\"} 7"));
    gate.open();
    for wire in &mut wires {
        assert_eq!(wire.answer().text(), "done");
    }
    site.assert_nothing_in_flight("one");
}

/// Goal: round robin shares evenly, least connections avoids the busy one (LB-01).
#[test]
fn balances() {
    let apps = [App::named("a"), App::named("b"), App::named("c")];
    let upstreams = [apps[0].upstream("a"), apps[1].upstream("b"), apps[2].upstream("c")];
    let site =
        Site::start_with(|settings| settings.cores = Some(1), |route| forward(route).balance = Balance::RoundRobin);
    site.serve(&upstreams);
    for _ in 0..30 {
        site.get("/");
    }
    assert_eq!(apps.each_ref().map(|app| app.asks().len()), [10, 10, 10]);

    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = App::start(move |_, stream| {
        let _ = released.lock().unwrap().recv();
        reply_with(stream, b"slow");
        true
    });
    let quick = App::named("quick");
    let site = Site::start_with(|_| {}, |route| forward(route).balance = Balance::LeastConnections);
    site.serve(&[slow.upstream("slow"), quick.upstream("quick")]);
    std::thread::scope(|scope| {
        // Idle upstreams share, so one of these soon lands on the slow one and stays there.
        eventually("one is busy", || {
            if site.edge.in_flight("slow").requests == 0 {
                scope.spawn(|| site.get("/"));
                std::thread::sleep(Duration::from_millis(20));
            }
            site.edge.in_flight("slow").requests > 0
        });
        for _ in 0..10 {
            eventually("the quick one has nothing to do", || site.edge.in_flight("quick").requests == 0);
            assert!(site.get("/").text().starts_with("quick"));
        }
        drop(release);
    });
}

/// Goal: an app behind a Unix socket is served like any other.
#[test]
fn serves_unix_sockets() {
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    let path = site.folder.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        while stream.read(&mut head).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix");
        }
    });
    site.serve(&[Upstream::new("one", Address::Unix(path))]);
    assert_eq!(site.get("/").text(), "unix");
    assert_eq!(site.get("/").text(), "unix");
}

/// Goal: hosts and paths reach their own services, whatever the form of the request line.
#[test]
fn routes_by_host_and_path() {
    let site = Site::start();
    let (shop, api) = (App::named("shop"), App::named("api"));
    let route = |name: &str, host: Option<&str>, path: &str, service: &str| prumo_edge::Route {
        name: name.into(),
        host: host.map(str::to_owned),
        path: prumo_edge::PathMatch::Prefix(path.into()),
        ..prumo_edge::Route::to(service)
    };
    site.edge
        .routes(vec![route("shop", Some("shop.test"), "/", "shop"), route("api", Some("shop.test"), "/api", "api")])
        .unwrap();
    let generation = site
        .edge
        .upstreams([("shop".to_owned(), vec![shop.upstream("s")]), ("api".to_owned(), vec![api.upstream("a")])].into());
    eventually("settled", || site.edge.settled(generation));
    let ask = |line: &str, host: &str| {
        let mut wire = site.connect();
        wire.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let answer = wire.answer();
        (answer.status, answer.text())
    };
    assert_eq!(ask("GET /apix", "SHOP.test.:80"), (200, "shop GET /apix HTTP/1.1".into()));
    assert_eq!(ask("GET /api/x?y", "shop.test"), (200, "api GET /api/x?y HTTP/1.1".into()));
    assert_eq!(ask("GET http://shop.test/api", "shop.test"), (200, "api GET /api HTTP/1.1".into()));
    assert_eq!(ask("GET /", "other.test").0, 404);
}

/// Goal: a line is logged for each request, as JSON, without the query.
#[test]
fn writes_access_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog { path: path.clone(), keep_bytes: 1 << 20, format: LineFormat::Json, sample: Share::ALL };
    let site = Site::start_with(|settings| settings.access_log = Some(log), |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"POST /a\"b?token=secret HTTP/1.1\r\nHost: a.test\r\nUser-Agent: q\"\xc3\xa4\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(wire.answer().status, 200);
    eventually("a line is written", || std::fs::read_to_string(&path).is_ok_and(|text| text.contains('\n')));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"));
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    for (key, value) in [
        ("method", "POST"),
        ("host", "a.test"),
        ("path", "/a\"b"),
        ("user_agent", "q\"ä"),
        ("service", "app"),
        ("route", "all"),
        ("replica", "one"),
        ("protocol", "HTTP/1.1"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!((&line["status"], &line["bytes_in"], &line["bytes_out"]), (&200.into(), &3.into(), &35.into()));
    assert!(line["duration_us"].as_u64().unwrap() >= line["upstream_us"].as_u64().unwrap());
}

/// Goal: connections above the limit are turned away and counted, and serving goes on.
#[test]
fn bounds_connections() {
    let site = Site::start_with(|settings| settings.connections_max = 4, |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut kept: Vec<_> = (0..4).map(|_| site.connect()).collect();
    for wire in &mut kept {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    let mut extra = site.connect();
    assert!(extra.try_answer().is_none_or(|answer| answer.status == 503));
    assert!(site.metrics().contains("prumo_edge_refused_total{reason=\"connections_max\"} 1"));
    drop(kept);
    eventually("there is room again", || site.get("/").status == 200);
}

/// Goal: an answer that comes before the upload has ended reaches the client.
#[test]
fn passes_early_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).unwrap() > 0);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut head);
        }
    });
    let site = Site::start();
    site.serve(&[Upstream::new("one", Address::Tcp(address))]);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nbegin");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    site.assert_nothing_in_flight("one");
}
