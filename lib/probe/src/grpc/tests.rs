#![allow(clippy::disallowed_methods, reason = "the pretended app is not a part of prumo")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use super::*;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A header without compression, as HPACK has it.
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// Reads the client's preface and frames up to the end of its request, and gives the body of that.
fn read_request(stream: &mut std::net::TcpStream) -> Vec<u8> {
    stream.read_exact(&mut [0; 24]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 0 && head[4] & 1 == 1 {
            return payload;
        }
    }
}

/// Asks a pretended gRPC server that gives this message and status, and says what was found.
async fn check(service: &str, message: &'static [u8], status: &'static str, expected: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()).unwrap();
        let asked = read_request(&mut stream);
        let head = [&[0x88], field("content-type", "application/grpc").as_slice()].concat();
        let answer = [frame(1, 4, 1, &head), frame(0, 0, 1, message), frame(1, 5, 1, &field("grpc-status", status))];
        stream.write_all(&answer.concat()).unwrap();
        // Held open until the client has gone.
        let _ = stream.read_to_end(&mut Vec::new());
        asked
    });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let origin = Origin { scheme: "http", host: "app" };
    let found = ask(stream, origin, service).await.err().unwrap_or_else(|| "good".to_owned());
    assert_eq!(found, expected);
    assert_eq!(server.join().unwrap(), question(service));
}

/// Goal: over real HTTP/2, a program that serves is good and every other answer says what it is.
#[tokio::test]
async fn answers() {
    check("", &[0, 0, 0, 0, 2, 8, 1], "0", "good").await;
    check("shop.Cart", &[0, 0, 0, 0, 2, 8, 1], "0", "good").await;
    check("shop.Cart", &[0, 0, 0, 0, 2, 8, 2], "0", "the gRPC health check says NOT_SERVING of `shop.Cart`").await;
    check("", &[0, 0, 0, 0, 0], "0", "the gRPC health check says UNKNOWN of itself").await;
    check("shop.Cart", &[], "5", "the gRPC health check knows no service `shop.Cart`").await;
    check("", &[], "12", "the program has no gRPC health service").await;
    check("", &[], "14", "the gRPC health check failed with status 14").await;
    check("", &[], "0", "the gRPC health check gave an answer that is none").await;
}

/// Goal: something else than HTTP/2 is a bad answer, and nobody there is nobody there.
#[tokio::test]
async fn nonsense_is_bad() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let found = ask(stream, Origin { scheme: "http", host: "app" }, "").await.unwrap_err();
    assert!(found.starts_with("the gRPC health check broke off"), "{found}");
}

/// Goal: the question is what protobuf and gRPC say it is.
#[test]
fn questions() {
    assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
    assert_eq!(question("a.B")[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
    let long = question(&"x".repeat(200));
    assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
}

/// Goal: fields that nobody knows are passed over, and broken messages are none.
#[test]
fn statuses() {
    let check = |message: &[u8], expected: Option<u64>| {
        let framed = [&[0, 0, 0, 0, message.len() as u8], message].concat();
        assert_eq!(serving_status(&framed), expected, "{message:?}");
    };
    check(&[], Some(0));
    check(&[8, 1], Some(1));
    check(&[8, 2, 8, 1], Some(1));
    check(&[0x12, 2, 8, 9, 8, 1], Some(1));
    check(&[0x11, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1], Some(1));
    check(&[0x15, 0, 0, 0, 0, 8, 1], Some(1));
    check(&[8], None);
    check(&[0x12, 9, 8], None);
    check(&[0x0b], None);
    check(&[0xff; 12], None);
    assert_eq!(serving_status(&[1, 0, 0, 0, 2, 8, 1]), None, "compressed");
    assert_eq!(serving_status(&[0, 0, 0, 0, 9, 8, 1]), None, "cut short");
}

/// Goal: what is added while the others are looked at again is begun at once: nobody would wake it later.
#[test]
fn what_is_added_late_is_begun() {
    let tasks = Tasks::default();
    let [is_due, is_begun] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (adder, due, begun) = (tasks.clone(), Arc::clone(&is_due), Arc::clone(&is_begun));
    tasks.add(std::future::poll_fn(move |_| {
        if due.swap(false, Ordering::SeqCst) {
            let begun = Arc::clone(&begun);
            adder.add(async move { begun.store(true, Ordering::SeqCst) });
        }
        Poll::Pending
    }));
    let mut beside = pin!(tasks.run_beside(std::future::pending::<()>()));
    let mut look = || assert!(beside.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    look();
    is_due.store(true, Ordering::SeqCst);
    look();
    assert!(is_begun.load(Ordering::SeqCst));
}
