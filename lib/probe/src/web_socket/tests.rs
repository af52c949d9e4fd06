#![allow(clippy::disallowed_methods, reason = "the pretended app is not a part of prumo")]

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// Asks a pretended server that sends `head` after the request and `frames` after the ping.
async fn check(head: &'static [u8], frames: &'static [u8], expected: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let _ = stream.write_all(head);
        let mut ping = [0; 11];
        if stream.read_exact(&mut ping).is_ok() {
            assert_eq!(ping[..2], [0x89, 0x85], "a masked ping of five bytes");
            let _ = stream.write_all(frames);
        }
    });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let found = ask(stream, "app", "/ws").await.err().unwrap_or_else(|| "good".to_owned());
    assert_eq!(found, expected);
}

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// Goal: WS-03, only a server that answers the ping is good, whatever else it has to say first.
#[tokio::test]
async fn answers() {
    check(UPGRADED, b"\x8a\x05prumo", "good").await;
    check(UPGRADED, b"\x81\x05hello\x8a\x00\x8a\x05prumo", "good").await;
    check(UPGRADED, b"\x81\x7e\x00\x03abc\x8a\x05prumo", "good").await;
    check(UPGRADED, b"\x88\x02\x03\xe8", "the web socket at /ws was closed before its pong").await;
    check(UPGRADED, b"", "the web socket at /ws was closed before its pong").await;
    check(UPGRADED, b"\x8a\x85prumo", "the web socket at /ws broke off: what came is no frame of a server").await;
    check(
        UPGRADED,
        b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        "the web socket at /ws broke off: what came is no frame of a server",
    )
    .await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", "the web socket at /ws answered 200 to the upgrade")
        .await;
    check(b"HTTP/1.1 404 Not Found\r\n\r\n", b"", "the web socket at /ws answered 404 to the upgrade").await;
}
