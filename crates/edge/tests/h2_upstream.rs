//! HTTP/2 to the upstream: streams, trailers and resets pass in both directions, and connections are shared.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;
#[path = "site/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Response;
use prumo_edge::{Balance, Traffic};
use site::{App, Site, eventually};
use streams::{H2App, collect, connect, converse, get, next, ok, post, send, trailers};

/// Says what it was asked, sends the body back, and adds trailers.
fn echo() -> H2App {
    H2App::start(|request, mut respond| {
        Box::pin(async move {
            let (parts, mut body) = request.into_parts();
            let (bytes, received) = collect(&mut body).await.unwrap();
            let said = received.and_then(|all| all.get("x-said").cloned());
            let about = format!(
                "{} {} te={:?} for={:?} host={:?}",
                parts.method,
                parts.uri,
                parts.headers.get("te"),
                parts.headers.get("x-forwarded-for"),
                parts.headers.get("host"),
            );
            let answer = Response::builder().header("x-about", about).header("trailer", "grpc-status, x-said");
            let mut stream = respond.send_response(answer.body(()).unwrap(), false).unwrap();
            send(&mut stream, Bytes::from(bytes), false).await;
            let mut end = trailers(&[("grpc-status", "0")]);
            if let Some(said) = said {
                end.insert("x-said", said);
            }
            stream.send_trailers(end).unwrap();
        })
    })
}

/// Goal: a request of HTTP/2 reaches an upstream of HTTP/2 with its head, body and trailers, and so does the answer.
#[test]
fn passes_trailers_both_ways() {
    let app = echo();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        let (answer, mut stream) = client.send_request(post("/a%2Fb?x=1"), false).unwrap();
        send(&mut stream, Bytes::from(vec![7; 300_000]), false).await;
        stream.send_trailers(trailers(&[("x-said", "farewell"), ("x-forwarded-for", "6.6.6.6")])).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(
            answer.headers()["x-about"],
            "POST http://a.test/a%2Fb?x=1 te=Some(\"trailers\") for=Some(\"127.0.0.1\") host=None"
        );
        let (bytes, end) = collect(&mut answer.into_body()).await.unwrap();
        assert_eq!(bytes, vec![7; 300_000]);
        assert_eq!(end, Some(trailers(&[("grpc-status", "0"), ("x-said", "farewell")])));
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: a client of HTTP/1.1 that takes trailers gets those of an upstream of HTTP/2.
#[test]
fn gives_trailers_to_http1() {
    let app = echo();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\nContent-Length: 5\r\n\r\nhello");
    let text = wire.read_until("grpc-status: 0\r\n\r\n");
    assert!(text.contains("5\r\nhello\r\n0\r\ngrpc-status: 0\r\n"), "{text}");
}

/// Goal: the trailers of an upstream of HTTP/1.1 reach only a client that takes them, and the connection is used again.
#[test]
fn passes_trailers_of_http1() {
    let app = App::start(|ask, stream| {
        assert_eq!(ask.header("te"), (ask.path() == "/yes").then_some("trailers"));
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 9\r\n\r\n",
        );
        true
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    for _ in 0..3 {
        let mut wire = site.connect();
        wire.send(b"GET /yes HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        assert!(wire.read_until("x-sum: 9\r\n\r\n").contains("2\r\nhi\r\n0\r\n"));
        wire.send(b"GET /no HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let answer = wire.answer();
        assert_eq!((answer.text().as_str(), answer.header("x-sum"), answer.is_whole), ("hi", None, true));
    }
    converse(async {
        let mut client = connect(site.http()).await;
        let (answer, _) = client.send_request(post("/yes"), true).unwrap();
        let (bytes, end) = collect(&mut answer.await.unwrap().into_body()).await.unwrap();
        assert_eq!((bytes.as_slice(), end), (&b"hi"[..], Some(trailers(&[("x-sum", "9")]))));
    });
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

/// Goal: both sides of a stream may speak in turns: nothing waits for an end.
#[test]
fn speaks_in_turns() {
    let app = H2App::start(|request, mut respond| {
        Box::pin(async move {
            let mut stream = respond.send_response(ok(), false).unwrap();
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                body.flow_control().release_capacity(data.len()).unwrap();
                send(&mut stream, data, false).await;
            }
            stream.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        })
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        let (answer, mut stream) = client.send_request(post("/"), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        for turn in 0..20 {
            send(&mut stream, Bytes::from(format!("turn {turn}")), false).await;
            assert_eq!(next(&mut body).await, format!("turn {turn}"));
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(collect(&mut body).await.unwrap().1, Some(trailers(&[("grpc-status", "0")])));
    });
}

/// Goal: many requests at once share connections, also when an upstream allows few streams on each.
#[test]
fn shares_connections() {
    let check = |streams_max: u32, requests: usize, connections_max: usize| {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(streams_max);
        let app = H2App::with(builder, |mut server| {
            Box::pin(async move {
                while let Some(Ok((_, mut respond))) = server.accept().await {
                    tokio::task::spawn_local(async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        respond.send_response(ok(), true).unwrap();
                    });
                }
            })
        });
        let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
        site.serve(&[app.upstream("one")]);
        converse(async {
            let client = connect(site.http()).await;
            let asked = (0..requests).map(|_| {
                let mut client = client.clone();
                tokio::task::spawn_local(async move {
                    client = client.ready().await.unwrap();
                    client.send_request(get("/"), true).unwrap().0.await.unwrap().status()
                })
            });
            for answered in asked.collect::<Vec<_>>() {
                assert_eq!(answered.await.unwrap(), 200);
            }
        });
        let connections = app.connections();
        assert!((1..=connections_max).contains(&connections), "{connections} connections");
        site.assert_nothing_in_flight("one");
    };
    check(100, 90, 1);
    check(1, 40, 8);
}

/// Goal: a request that the upstream refuses to look at is asked again when it has no body; one with a body is not.
#[test]
fn asks_again_what_was_declined() {
    static REFUSALS: AtomicUsize = AtomicUsize::new(0);
    let app = H2App::start(|_, mut respond| {
        Box::pin(async move {
            if REFUSALS.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                respond.send_response(ok(), true).unwrap();
            }
        })
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        for request in [get("/"), post("/")] {
            assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
        }
        let (answer, mut stream) = client.send_request(post("/"), false).unwrap();
        stream.send_data(Bytes::from_static(b"once"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 502);
    });
    assert_eq!(REFUSALS.load(Ordering::SeqCst), 5);
    site.assert_nothing_in_flight("one");
}

/// Goal: an upstream all of whose streams are taken is passed by for the moment, and not taken for one that is gone.
#[test]
fn full_is_not_gone() {
    static HELD: AtomicUsize = AtomicUsize::new(0);
    static MAY_GO: AtomicBool = AtomicBool::new(false);
    // One stream on each of the connections that a core makes.
    const PLACES: usize = 8;
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let full = H2App::with(builder, |mut server| {
        Box::pin(async move {
            while let Some(Ok((_, mut respond))) = server.accept().await {
                tokio::task::spawn_local(async move {
                    HELD.fetch_add(1, Ordering::SeqCst);
                    while !MAY_GO.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    let mut stream = respond.send_response(ok(), false).unwrap();
                    send(&mut stream, Bytes::from_static(b"full"), true).await;
                });
            }
        })
    });
    let quick = App::named("b");
    let site = Site::start_with(
        |settings| settings.cores = Some(1),
        |route| {
            site::forward(route).balance = Balance::RoundRobin;
            site::forward(route).timeout = Duration::from_secs(60);
        },
    );
    // Nobody warms up, so that turns alternate.
    let traffic = Traffic { slow_start: Duration::ZERO, ..Traffic::default() };
    site.edge.traffic(BTreeMap::from([("app".to_owned(), traffic)]));
    site.serve(&[full.upstream("full")]);
    std::thread::scope(|scope| {
        let mut held = Vec::new();
        let mut hold = || {
            held.push(scope.spawn(|| site.get("/").status));
            let count = held.len() as u64;
            eventually("it has its seat", || site.edge.in_flight("full").requests >= count);
        };
        // A core hears how few streams a connection bears when it uses it: some requests queue behind others.
        while HELD.load(Ordering::SeqCst) < PLACES {
            hold();
            std::thread::sleep(Duration::from_millis(20));
        }
        hold();
        site.serve(&[full.upstream("full"), quick.upstream("b")]);
        for _ in 0..4 {
            assert_eq!(site.get("/").text(), "b GET / HTTP/1.1");
        }
        MAY_GO.store(true, Ordering::SeqCst);
        assert!(held.into_iter().all(|held| held.join().unwrap() == 200));
    });
    site.assert_nothing_in_flight("full");
    let mut answers = [site.get("/").text(), site.get("/").text()];
    answers.sort_unstable();
    assert_eq!(answers, ["b GET / HTTP/1.1", "full"], "it has its turn at once");
}

/// Goal: an upstream that declines everything is not asked on and on.
#[test]
fn does_not_insist() {
    static ASKS: AtomicUsize = AtomicUsize::new(0);
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    let app = H2App::start(|_, mut respond| {
        Box::pin(async move {
            ASKS.fetch_add(1, Ordering::SeqCst);
            respond.send_reset(Reason::REFUSED_STREAM);
        })
    });
    site.serve(&[app.upstream("a")]);
    const REQUESTS: usize = 5;
    for _ in 0..REQUESTS {
        assert_eq!(site.get("/").status, 502);
    }
    // Each three times more, and what the budget always allows.
    let asks = ASKS.load(Ordering::SeqCst);
    assert!(asks <= 4 * REQUESTS + 21, "{asks} for {REQUESTS}");
}

/// Goal: after GOAWAY the streams that the upstream took end well, and new ones go over a new connection.
#[test]
fn moves_on_after_goaway() {
    let app = H2App::with(h2::server::Builder::new(), |mut server| {
        Box::pin(async move {
            let mut is_going = false;
            while let Some(Ok((_, mut respond))) = server.accept().await {
                if !is_going {
                    is_going = true;
                    server.graceful_shutdown();
                }
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    respond.send_response(ok(), true).unwrap();
                });
            }
        })
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        for _ in 0..4 {
            let first = client.send_request(get("/"), true).unwrap().0;
            let second = client.send_request(post("/"), true).unwrap().0;
            assert_eq!(
                (first.await.unwrap().status(), second.await.unwrap().status()),
                (200.try_into().unwrap(), 200.try_into().unwrap())
            );
        }
    });
    assert!(app.connections() >= 2);
}

/// Goal: a client that gives up cancels the stream at the upstream, before the answer as well as within it.
#[test]
fn cancels_at_the_upstream() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    static CANCELLED: AtomicUsize = AtomicUsize::new(0);
    let app = H2App::start(|request, mut respond| {
        Box::pin(async move {
            SEEN.fetch_add(1, Ordering::SeqCst);
            let mut stream = match request.uri().path() {
                "/early" => None,
                _ => Some(respond.send_response(ok(), false).unwrap()),
            };
            let reset = match &mut stream {
                None => std::future::poll_fn(|cx| respond.poll_reset(cx)).await,
                Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
            };
            assert_eq!(reset.unwrap(), Reason::CANCEL);
            CANCELLED.fetch_add(1, Ordering::SeqCst);
        })
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        for (path, has_body) in [("/early", false), ("/early", true), ("/late", false), ("/late", true)] {
            let before = CANCELLED.load(Ordering::SeqCst);
            let (answer, mut stream) = client.send_request(post(path), !has_body).unwrap();
            if has_body {
                stream.send_data(Bytes::from_static(b"some"), false).unwrap();
            }
            if path == "/late" {
                let mut body = answer.await.unwrap().into_body();
                stream.send_reset(Reason::CANCEL);
                assert!(body.data().await.unwrap().is_err());
            } else {
                // A seat is counted before the app has heard of the request; one that is given up then, it never sees.
                while SEEN.load(Ordering::SeqCst) == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                stream.send_reset(Reason::CANCEL);
            }
            while CANCELLED.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: an upstream that leaves the table keeps its connection until the last stream has ended, and no longer.
#[test]
fn ends_with_the_last_stream() {
    static MAY_END: AtomicBool = AtomicBool::new(false);
    let app = H2App::start(|_, mut respond| {
        Box::pin(async move {
            let mut stream = respond.send_response(ok(), false).unwrap();
            while !MAY_END.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            send(&mut stream, Bytes::from_static(b"end"), true).await;
        })
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        let answer = client.send_request(get("/"), true).unwrap().0.await.unwrap();
        let after = echo();
        site.serve(&[after.upstream("two")]);
        assert_eq!(app.open.load(Ordering::SeqCst), 1);
        MAY_END.store(true, Ordering::SeqCst);
        assert_eq!(collect(&mut answer.into_body()).await.unwrap().0, b"end");
        eventually("the connection ends", || app.open.load(Ordering::SeqCst) == 0);
    });
}
