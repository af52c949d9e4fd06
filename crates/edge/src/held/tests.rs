use std::io::{Read as _, Write as _};
use std::time::Duration;

use prumo_clock::Clock;

use super::*;

/// Waits until the kernel says that it holds as much as is wanted.
async fn holds(ends: &Ends, is_wanted: impl Fn(u64) -> bool) -> u64 {
    let clock = Clock::system();
    let asks = async {
        loop {
            let held = bytes(ends).expect("this kernel tells");
            if is_wanted(held) {
                return held;
            }
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    clock.timeout(Duration::from_secs(60), asks).await.expect("within a minute")
}

/// Goal: the kernel's figure is what the client has not taken, over IPv4, IPv6, and IPv4 on a socket of IPv6.
#[tokio::test]
async fn the_kernel_tells_what_was_not_taken() {
    for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
        let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
        let address = SocketAddr::new(connect.parse().unwrap(), listener.local_addr().unwrap().port());
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let ends = Ends::of(&stream).unwrap();
        assert_eq!(bytes(&ends), Some(0), "{listen}");
        let mut written = 0;
        while let Ok(count) = stream.try_write(&[b'x'; 64 * 1024]) {
            written += count as u64;
        }
        let held = holds(&ends, |held| held > 0).await;
        assert!(held <= written, "{listen}: {held} of {written}");
        let mut all = vec![0; usize::try_from(written).unwrap()];
        client.read_exact(&mut all).unwrap();
        holds(&ends, |held| held == 0).await;
    }
}

/// Goal: of a connection that is not there, nothing is told.
#[test]
fn nothing_is_told_of_strangers() {
    let ends = Ends { ours: "127.0.0.1:1".parse().unwrap(), theirs: "127.0.0.1:2".parse().unwrap() };
    assert_eq!(bytes(&ends), None);
    assert_eq!(held(&[]), None);
    let mut refusal = [0; 36];
    let _ = (&mut refusal[4..]).write(&2_u16.to_ne_bytes());
    assert_eq!(held(&refusal), None);
}
