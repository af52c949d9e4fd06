// The peers of these tests are tasks of the test itself.
#![allow(clippy::disallowed_methods, reason = "a test owns its tasks for as long as it runs")]

use http::HeaderValue;
use prumo_drain::Drain;
use tokio::io::{DuplexStream, duplex};

use super::*;

fn wish(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

/// Goal: the handshake answers with the digest of the standard's own example, and says what an incomplete wish lacks.
#[test]
fn handshakes_are_judged() {
    let check = |pairs: &[(&'static str, &'static str)], expected: Result<&str, &str>| {
        let accepted = accept(&wish(pairs));
        match expected {
            Ok(value) => assert_eq!(accepted.as_deref(), Ok(value)),
            Err(part) => {
                assert!(accepted.is_err_and(|why| why.contains(part)), "should mention {part}");
            }
        }
    };
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let version = ("sec-websocket-version", "13");
    let upgrade = ("upgrade", "WebSocket");
    check(&[("connection", "keep-alive, Upgrade"), upgrade, version, key], Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    check(&[("connection", "keep-alive"), upgrade, version, key], Err("Connection: Upgrade"));
    check(&[("connection", "upgrade"), ("upgrade", "h2c"), version, key], Err("Upgrade: websocket"));
    check(&[("connection", "upgrade"), upgrade, ("sec-websocket-version", "8"), key], Err("version 13"));
    check(&[("connection", "upgrade"), upgrade, version], Err("Sec-WebSocket-Key"));
}

/// Goal: base64 pads as RFC 4648, section 10, shows.
#[test]
fn base64_pads() {
    for (plain, expected) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
    {
        assert_eq!(base64(plain.as_bytes()), expected);
    }
}

/// A masked frame with a key of zeros, which leaves the payload readable in the test.
fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    out.extend_from_slice(payload);
    out
}

async fn expect(peer: &mut DuplexStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// Runs a conversation against a peer that is written as a closure.
async fn converse<Peer, Script>(script: Script) -> Ending
where
    Script: FnOnce(DuplexStream, Drain) -> Peer,
    Peer: Future<Output = ()>,
{
    let clock = Clock::system();
    let drain = Drain::new(clock.clone());
    let stopping = drain.stage("requests").stopping();
    let (ours, theirs) = duplex(64 * 1024);
    let (ending, ()) = tokio::join!(echo(ours, &clock, &stopping), script(theirs, drain));
    ending
}

/// Goal: text, binary and pings are answered, and a close is answered with its own code.
#[tokio::test]
async fn messages_are_echoed_until_the_peer_leaves() {
    let ending = converse(|mut peer, _drain| async move {
        peer.write_all(&from_client(0x1, b"hello")).await.unwrap();
        expect(&mut peer, b"\x81\x05hello").await;
        peer.write_all(&from_client(0x2, &[1, 2])).await.unwrap();
        expect(&mut peer, &[0x82, 2, 1, 2]).await;
        peer.write_all(&from_client(0x9, b"?")).await.unwrap();
        expect(&mut peer, b"\x8A\x01?").await;
        peer.write_all(&from_client(0x8, &[3, 0xE8])).await.unwrap();
        expect(&mut peer, &[0x88, 2, 3, 0xE8]).await;
    });
    assert_eq!(ending.await, Ending::PeerClosed);
}

/// Goal: a stop closes with 1001 and waits for the peer's goodbye (DEP-07).
#[tokio::test]
async fn a_stop_sends_the_peer_on() {
    let ending = converse(|mut peer, drain| async move {
        let (_, ()) = tokio::join!(drain.stop(Duration::from_secs(60)), async {
            expect(&mut peer, &[0x88, 2, 3, 0xE9]).await;
            peer.write_all(&from_client(0x8, &[3, 0xE9])).await.unwrap();
        });
    });
    assert_eq!(ending.await, Ending::MovedOn);
}

/// Goal: a peer that breaks the protocol hears the code, and one that vanishes ends the conversation.
#[tokio::test]
async fn broken_peers_end_the_conversation() {
    let unmasked = converse(|mut peer, _drain| async move {
        peer.write_all(&[0x81, 1, b'x']).await.unwrap();
        expect(&mut peer, &[0x88, 2, 3, 0xEA]).await;
    });
    assert_eq!(unmasked.await, Ending::Fault(Fault::Unmasked));
    let vanished = converse(|peer, _drain| async move { drop(peer) });
    assert_eq!(vanished.await, Ending::Lost);
}
