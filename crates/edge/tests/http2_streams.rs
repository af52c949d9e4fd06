//! Requests over HTTP/2 on their way to apps of HTTP/1.1: each by itself, none held up by another, and the same on the
//! fast path as on the general one.
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
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Version};
use prumo_edge::{Address, Upstream};
use site::{App, Ask, Site, eventually, reply_with};
use streams::{collect, connect, converse, get, send};

/// What an app may say, and whether its connection stays open.
const ANSWERS: &[(&[u8], bool)] = &[
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", false),
    (b"HTTP/1.1 204 No Content\r\n\r\n", true),
    (b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", true),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", false),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", false),
    (b"HTTP/1.0 200 OK\r\n\r\nolder", false),
    (b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", true),
    (b"nonsense\r\n\r\n", false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", false),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", false),
    (
        b"HTTP/1.1 200 Fine Then\r\nServer: x\r\nX-Powered-By: y\r\nX-Request-Id: z\r\nDate: today\r\n\
       X-Frame-Options: DENY\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
        true,
    ),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false),
    (b"", false),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", true),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", true),
];

/// A site that takes one of the paths, with an app that gives the answer that is named by the path.
struct Bench {
    app: App,
    site: Site,
}

impl Bench {
    fn new(is_fast: bool) -> Bench {
        let app = App::start(|ask, stream| {
            let number: usize = ask.path()[1..].parse().unwrap_or_default();
            let (answer, stays) = ANSWERS[number];
            let _ = stream.write_all(answer);
            stays
        });
        let set = |settings: &mut prumo_edge::Settings| {
            settings.cores = Some(1);
            settings.fast_path = is_fast;
        };
        let site = Site::start_with(set, |route| route.body_max = 1000);
        site.serve(&[app.upstream("one")]);
        Bench { app, site }
    }

    /// What the client gets for a request, and what the app was asked, without what differs each time.
    fn ask(&self, request: Request<()>, body: Option<Vec<u8>>) -> (String, Vec<String>) {
        self.app.asks.lock().unwrap().clear();
        let got = converse(async {
            let mut client = connect(self.site.http()).await;
            let (answer, mut stream) = client.send_request(request, body.is_none()).unwrap();
            if let Some(body) = body {
                stream.send_data(Bytes::from(body), true).unwrap();
            }
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(error) => return format!("no answer: {:?}", error.reason()),
            };
            let (head, mut body) = answer.into_parts();
            let status = head.status;
            let head = fields(&head.headers);
            match collect(&mut body).await {
                Ok((bytes, trailers)) => {
                    let body = without_id(&String::from_utf8_lossy(&bytes));
                    format!("{status}\n{head}\n{body}\n{}", fields(&trailers.unwrap_or_default()))
                }
                Err(error) => format!("{status}\n{head}\ncut: {:?}", error.reason()),
            }
        });
        self.site.assert_nothing_in_flight("one");
        // One that was cut short may be seen at any time later, by whoever asks next.
        let mut asks: Vec<String> = self.app.asks().iter().filter(|ask| ask.is_whole).map(seen).collect();
        // The general path cannot tell an answer that makes no sense from none at all, and asks once more.
        asks.dedup();
        (got, asks)
    }
}

fn fields(headers: &HeaderMap) -> String {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| match name.as_str() {
        "x-request-id" | "date" => name.to_string(),
        _ => format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())),
    };
    let mut lines: Vec<String> = headers.iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

fn seen(ask: &Ask) -> String {
    let line = |(name, value): &(String, String)| match name.as_str() {
        "x-request-id" | "traceparent" | "x-forwarded-port" => name.clone(),
        name => format!("{name}: {value}"),
    };
    let mut lines: Vec<String> = ask
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .map(|one| line(&one))
        .collect();
    lines.sort();
    format!("{}\n{}\n{}", ask.first, lines.join("\n"), String::from_utf8_lossy(&ask.body))
}

/// Pages name the request.
fn without_id(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_hexdigit());
    words.filter(|word| word.len() == 32).fold(text.to_owned(), |text, id| text.replace(id, "ID"))
}

fn ask_for(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).version(Version::HTTP_2).uri(format!("http://a.test{path}"))
}

/// Goal: each answer of the list reaches the client in the same way on both paths, for each plain method.
#[test]
fn every_answer_is_the_same() {
    let (fast, general) = (Bench::new(true), Bench::new(false));
    for (number, (answer, _)) in ANSWERS.iter().enumerate() {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let body = (method == Method::POST).then(|| b"posted".to_vec());
            let request = || ask_for(method.clone(), &format!("/{number}")).body(()).unwrap();
            let (one, other) = (fast.ask(request(), body.clone()), general.ask(request(), body));
            assert_eq!(one, other, "{method} {}", answer.escape_ascii());
        }
    }
}

/// Goal: each request of the list reaches the app in the same way on both paths.
#[test]
fn every_request_is_the_same() {
    let (fast, general) = (Bench::new(true), Bench::new(false));
    type Shape = fn(http::request::Builder) -> http::request::Builder;
    let shapes: &[(&str, Shape)] = &[
        ("plain", |request| request),
        ("crumbs", |request| request.header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3")),
        ("claims", |request| request.header("x-forwarded-for", "6.6.6.6").header("x_real_ip", "6.6.6.6")),
        ("agent", |request| request.header("user-agent", "me").header("referer", "http://b.test/")),
        ("many", |request| request.header("x-a", "1").header("x-a", "2").header("accept", "*/*")),
        ("host", |request| request.header("host", "a.test")),
        ("another host", |request| request.header("host", "b.test")),
        ("trailers", |request| request.header("te", "trailers")),
        ("waits", |request| request.header("expect", "100-continue")),
        ("proxy", |request| request.header("proxy", "evil").header("tracestate", "x=1")),
        ("traced", |request| request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        ("strange target", |request| request.uri("http://a.test/0?a=b%20c&d")),
        ("odd target", |request| request.uri("http://a.test/0/../x")),
        ("with port", |request| request.uri("http://a.test:8080/0")),
        ("method", |request| request.method("PURGE")),
        ("trace", |request| request.method("TRACE")),
    ];
    let bodies = [None, Some(Vec::new()), Some(b"posted".to_vec()), Some(vec![b'x'; 1001])];
    for (name, shape) in shapes {
        for body in &bodies {
            for has_length in [false, true] {
                let request = || {
                    let request = shape(ask_for(if body.is_some() { Method::POST } else { Method::GET }, "/0"));
                    let length = body.as_ref().filter(|_| has_length).map(Vec::len);
                    length.into_iter().fold(request, |request, length| request.header("content-length", length))
                };
                let ask = |bench: &Bench| bench.ask(request().body(()).unwrap(), body.clone());
                let length = body.as_ref().map(Vec::len);
                let ((mut one, seen), (mut other, seen_too)) = (ask(&fast), ask(&general));
                if length == Some(1001) {
                    // How much the app has seen when the limit is met is a matter of moments.
                    for got in [&mut one, &mut other] {
                        assert!(got.starts_with("413 ") || name.contains("host") || *name == "trace", "{name}: {got}");
                    }
                } else {
                    assert_eq!(seen, seen_too, "{name}, body {length:?}, with its length: {has_length}");
                }
                assert_eq!(one, other, "{name}, body {length:?}, with its length: {has_length}");
            }
        }
    }
}

/// Goal: early hints reach a client of HTTP/2 before the answer does, whichever way its request goes.
#[test]
fn passes_early_hints() {
    for fast in [true, false] {
        let is_hinted = Arc::new(AtomicBool::new(false));
        let app = App::start({
            let is_hinted = Arc::clone(&is_hinted);
            move |_, stream| {
                let hints =
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nServer: x\r\n\r\n";
                let _ = stream.write_all(hints.as_bytes());
                eventually("the client has them", || is_hinted.load(Ordering::SeqCst));
                reply_with(stream, b"page");
                true
            }
        });
        let site = Site::start_with(|settings| settings.fast_path = fast, |_| {});
        site.serve(&[app.upstream("one")]);
        converse(async {
            let mut client = connect(site.http()).await;
            let (mut answer, _) = client.send_request(get("/"), true).unwrap();
            let hints = std::future::poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
            assert_eq!((hints.status().as_u16(), hints.headers().len()), (103, 1), "fast {fast}");
            assert_eq!(hints.headers()["link"], "</a.css>");
            is_hinted.store(true, Ordering::SeqCst);
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(collect(&mut answer.into_body()).await.unwrap().0, b"page");
        });
        site.assert_nothing_in_flight("one");
    }
}

/// Goal: a stream that its client resets frees its upstream at once, before the answer and within it, and the others go on.
#[test]
fn a_reset_frees_the_upstream() {
    let app = App::start(|ask, stream| {
        match ask.path() {
            "/silent" => {}
            "/half" => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
            _ => {
                reply_with(stream, b"well");
                return true;
            }
        }
        // Ends when the edge closes the connection.
        let _ = stream.read(&mut [0]);
        false
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = connect(site.http()).await;
        let (silent, stream) = client.send_request(get("/silent"), true).unwrap();
        let (half, _) = client.send_request(get("/half"), true).unwrap();
        let half = half.await.unwrap();
        while site.edge.in_flight("one").requests < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop((silent, stream, half));
        while site.edge.in_flight("one").requests > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(well(&mut client).await, b"well");
    });
    eventually("the app is let go", || app.open.load(Ordering::SeqCst) <= 1);
}

async fn well(client: &mut SendRequest<Bytes>) -> Vec<u8> {
    let (answer, _) = client.send_request(get("/"), true).unwrap();
    collect(&mut answer.await.unwrap().into_body()).await.unwrap().0
}

/// Goal: a stream that nobody reads, and one that nobody answers, hold up no other stream of their connection.
#[test]
fn a_slow_stream_holds_up_no_other() {
    const LARGE: usize = 4 << 20;
    let is_over = Arc::new(AtomicBool::new(false));
    let app = App::start({
        let is_over = Arc::clone(&is_over);
        move |ask, stream| {
            if ask.path() == "/late" {
                eventually("the others are served", || is_over.load(Ordering::SeqCst));
            }
            let body = if ask.path() == "/large" { vec![b'x'; LARGE] } else { b"well".to_vec() };
            reply_with(stream, &body);
            true
        }
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let stream = tokio::net::TcpStream::connect(site.http()).await.unwrap();
        let mut builder = h2::client::Builder::new();
        // Room for one stream that is not read, and for others beside it.
        builder.initial_window_size(64 * 1024).initial_connection_window_size(1024 * 1024);
        let (mut client, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
        tokio::task::spawn_local(async move { drop(connection.await) });
        let (late, _) = client.send_request(get("/late"), true).unwrap();
        let (large, _) = client.send_request(get("/large"), true).unwrap();
        let large = large.await.unwrap();
        for _ in 0..50 {
            assert_eq!(well(&mut client).await, b"well");
        }
        assert_eq!(site.edge.in_flight("one").requests, 2, "the slow ones are still there");
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(collect(&mut late.await.unwrap().into_body()).await.unwrap().0, b"well");
        assert_eq!(collect(&mut large.into_body()).await.unwrap().0.len(), LARGE);
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: a hundred requests of one connection are with the app at the same time.
#[test]
fn a_hundred_streams_at_once() {
    let all = Arc::new(Barrier::new(100));
    let app = App::start({
        let all = Arc::clone(&all);
        move |ask, stream| {
            all.wait();
            reply_with(stream, ask.path().as_bytes());
            true
        }
    });
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let client = connect(site.http()).await;
        for _ in 0..2 {
            let mut answers = Vec::new();
            for number in 0..100 {
                let mut client = client.clone().ready().await.unwrap();
                answers.push(client.send_request(get(&format!("/{number}")), true).unwrap().0);
            }
            for (number, answer) in answers.into_iter().enumerate() {
                let body = collect(&mut answer.await.unwrap().into_body()).await.unwrap().0;
                assert_eq!(body, format!("/{number}").as_bytes());
            }
        }
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: what a client sends and an app does not take stays with the client, and all of it arrives in the end.
#[test]
fn an_upload_waits_for_its_app() {
    const ALL: usize = 32 << 20;
    /// The kernel holds some MiB on the way; of a body that nobody takes the edge holds one window.
    const HELD_MAX: usize = 20 << 20;
    /// Is in no head, and ends the body.
    const END: u8 = 0xff;
    let (received, may_read) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = std::thread::spawn({
        let (received, may_read) = (Arc::clone(&received), Arc::clone(&may_read));
        move || {
            let (mut stream, _) = listener.accept().unwrap();
            eventually("the client is held up", || may_read.load(Ordering::SeqCst));
            let mut bytes = vec![0; 1 << 20];
            let mut last = 0;
            while last != END {
                let read = stream.read(&mut bytes).unwrap();
                assert!(read > 0, "the edge has closed");
                received.fetch_add(read, Ordering::SeqCst);
                last = bytes[read - 1];
            }
            reply_with(&mut stream, b"thanks");
        }
    });
    let site = Site::start_with(|_| {}, |route| route.body_max = 1 << 30);
    site.serve(&[Upstream::new("one", Address::Tcp(address))]);
    converse(async {
        let socket = tokio::net::TcpStream::connect(site.http()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (mut client, connection) = h2::client::handshake::<_>(socket).await.unwrap();
        tokio::task::spawn_local(async move { drop(connection.await) });
        let request = ask_for(Method::POST, "/").header("content-length", ALL + 1).body(()).unwrap();
        let (answer, mut stream) = client.send_request(request, false).unwrap();
        let (piece, mut sent) = (Bytes::from(vec![b'x'; 64 * 1024]), 0);
        while sent < ALL {
            let sending = send(&mut stream, piece.clone(), false);
            let mut sending = std::pin::pin!(sending);
            if tokio::time::timeout(Duration::from_millis(200), sending.as_mut()).await.is_err() {
                may_read.store(true, Ordering::SeqCst);
                sending.await;
            }
            sent += piece.len();
            let held = sent.saturating_sub(received.load(Ordering::SeqCst));
            assert!(held <= HELD_MAX, "{held} bytes are somewhere");
        }
        may_read.store(true, Ordering::SeqCst);
        stream.send_data(Bytes::from_static(&[END]), true).unwrap();
        assert_eq!(collect(&mut answer.await.unwrap().into_body()).await.unwrap().0, b"thanks");
    });
    app.join().unwrap();
}

/// Goal: who sends more headers than the site accepts gets the site's own refusal, and the app hears nothing of it.
#[test]
fn too_many_headers_are_refused_readably() {
    for is_fast in [true, false] {
        let bench = Bench::new(is_fast);
        for (large, expected) in
            [(15_000, "200 OK"), (17_000, "431 Request Header Fields Too Large"), (30_000, "431 Request")]
        {
            let request = Request::get("http://a.test/0").header("x-large", "x".repeat(large)).body(()).unwrap();
            let (got, asks) = bench.ask(request, None);
            assert!(got.starts_with(expected), "{large}: {got}");
            assert!(got.contains("x-content-type-options: nosniff"), "{large}: {got}");
            assert_eq!(asks.len(), usize::from(expected == "200 OK"), "{large}");
        }
    }
}
