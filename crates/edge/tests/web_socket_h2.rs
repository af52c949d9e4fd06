//! Web sockets over HTTP/2 (RFC 8441): an extended CONNECT becomes an upgrade at the upstream (WS-01).
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
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use prumo_edge::InFlight;
use site::{App, Ask, Site, eventually};
use streams::{collect, connect, converse, get, next, send};

/// An app that accepts an upgrade, says hello in the same packet, echoes, and says goodbye after the end.
fn echo_app() -> App {
    App::start(|ask, stream| {
        if ask.header("upgrade").is_none() {
            site::reply_with(stream, b"plain");
            return true;
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: any\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello";
        let _ = stream.write_all(head.as_bytes());
        echo(stream);
        false
    })
}

fn echo(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        let _ = stream.write_all(&bytes[..read]);
    }
    let _ = stream.write_all(b"goodbye");
    let _ = stream.shutdown(Shutdown::Write);
}

fn ask_for(path: &str, protocol: &'static str) -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("http://a.test{path}"));
    request.extensions_mut().unwrap().insert(Protocol::from_static(protocol));
    request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat").body(()).unwrap()
}

async fn ready(site: &Site) -> SendRequest<Bytes> {
    let client = connect(site.http()).await;
    while !client.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client
}

async fn open(client: &mut SendRequest<Bytes>) -> (Response<()>, SendStream<Bytes>, RecvStream) {
    let (answer, stream) = client.send_request(ask_for("/ws?room=1", "websocket"), false).unwrap();
    let (head, body) = answer.await.unwrap().into_parts();
    (Response::from_parts(head, ()), stream, body)
}

/// Goal: the app sees an upgrade of HTTP/1.1 with a key, the client a success without what only HTTP/1.1 has.
#[test]
fn becomes_an_upgrade() {
    let app = echo_app();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let (head, _stream, mut body) = open(&mut ready(&site).await).await;
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["sec-websocket-protocol"], "chat");
        for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
            assert!(!head.headers().contains_key(name), "{name}");
        }
        assert_eq!(next(&mut body).await, "hello");
    });
    let ask: &Ask = &app.asks()[0];
    assert_eq!(ask.first, "GET /ws?room=1 HTTP/1.1");
    let key = ask.header("sec-websocket-key").unwrap();
    assert!(key.len() == 24 && key.ends_with("A=="), "{key}");
    for (name, expected) in [
        ("host", "a.test"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(ask.header(name), Some(expected), "{name}");
    }
}

/// Goal: a tunnel on a stream outlives idle time, shares its connection with requests and other tunnels, is counted as a
/// tunnel, and passes the end of each side on.
#[test]
fn carries_tunnels_beside_requests() {
    let app = echo_app();
    let short = |settings: &mut prumo_edge::Settings| {
        settings.idle_timeout = Duration::from_secs(1);
        settings.body_timeout = Duration::from_secs(1);
        settings.header_timeout = Duration::from_secs(1);
    };
    let site = Site::start_with(short, |_| {});
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = ready(&site).await;
        let (_, mut first, mut from_first) = open(&mut client).await;
        let (_, mut second, mut from_second) = open(&mut client).await;
        assert_eq!((next(&mut from_first).await, next(&mut from_second).await), ("hello".into(), "hello".into()));
        assert_eq!(site.edge.in_flight("one"), InFlight { requests: 0, tunnels: 2 });
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let answer = client.send_request(get("/"), true).unwrap().0.await.unwrap();
        assert_eq!(collect(&mut answer.into_body()).await.unwrap().0, b"plain");
        for turn in 0..50 {
            send(&mut first, Bytes::from(format!("first {turn:04}")), false).await;
            assert_eq!(next(&mut from_first).await, format!("first {turn:04}"));
        }
        send(&mut second, Bytes::new(), true).await;
        assert_eq!(collect(&mut from_second).await.unwrap().0, b"goodbye");
        eventually("one tunnel has ended", || site.metrics().contains("prumo_edge_tunnels_open 1"));
        first.send_reset(Reason::CANCEL);
        while site.edge.in_flight("one") != InFlight::default() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    eventually("the app sees the end", || app.open.load(Ordering::SeqCst) <= 1);
}

/// Goal: a side that does not read stops the other after a bounded amount, and nothing is lost when it reads again.
#[test]
fn keeps_buffers_bounded() {
    static HAS_STOPPED: AtomicBool = AtomicBool::new(false);
    let app = App::start(|_, stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
        let chunk = vec![b'x'; 64 * 1024];
        let mut sent = 0_usize;
        while let Ok(written) = stream.write(&chunk) {
            sent += written;
        }
        HAS_STOPPED.store(true, Ordering::SeqCst);
        let _ = stream.set_write_timeout(None);
        let _ = stream.write_all(format!("sent {sent}").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        false
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let (_, _stream, mut body) = open(&mut ready(&site).await).await;
        while !HAS_STOPPED.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let all = collect(&mut body).await.unwrap().0;
        let sent: usize = all.iter().filter(|byte| **byte == b'x').count();
        assert!(all.ends_with(format!("sent {sent}").as_bytes()), "{} bytes", all.len());
        assert!(sent < 16 << 20, "{sent} bytes were taken from the app");
    });
}

/// Goal: what is no web socket, or not accepted by the app, gives no tunnel.
#[test]
fn refuses_what_is_no_socket() {
    let app = App::start(|ask, stream| {
        let _ = match ask.path() {
            "/forbidden" => stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
            _ => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        };
        true
    });
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = ready(&site).await;
        let mut check = async |path: &str, protocol: &'static str, status: u16| {
            let (answer, _stream) = client.send_request(ask_for(path, protocol), false).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), status, "{path} {protocol}");
            collect(&mut answer.into_body()).await.unwrap().0
        };
        assert_eq!(check("/forbidden", "websocket", 403).await, b"no");
        check("/ok", "websocket", 502).await;
        check("/", "connect-udp", 405).await;
    });
    site.assert_nothing_in_flight("one");
}

/// Goal: a stop of the edge leaves tunnels to their replica: only requests beside them hold it up.
#[test]
fn a_stop_waits_for_no_tunnel() {
    let app = echo_app();
    let site = Site::start();
    site.serve(&[app.upstream("one")]);
    converse(async {
        let mut client = ready(&site).await;
        let (_, mut stream, mut body) = open(&mut client).await;
        assert_eq!(next(&mut body).await, "hello");
        let stopping = site.begin_stop(Duration::from_secs(60));
        tokio::time::timeout(Duration::from_secs(60), site.edge.quiet()).await.expect("quiet with a tunnel open");
        send(&mut stream, Bytes::from_static(b"still here"), false).await;
        assert_eq!(next(&mut body).await, "still here");
        send(&mut stream, Bytes::new(), true).await;
        assert_eq!(collect(&mut body).await.unwrap().0, b"goodbye");
        drop(client);
        let report = tokio::task::spawn_blocking(move || stopping.join().unwrap()).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    });
}
