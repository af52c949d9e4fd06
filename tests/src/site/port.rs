//! Free ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports below the range from which the kernel takes those of outgoing connections: no client can take one between
/// the moment it is found free and the moment prumo listens on it, or while prumo is down.
const LOWEST: u32 = 20_000;
const COUNT: u32 = 11_000;

/// A port on which nobody listens, each time another one.
///
/// # Panics
/// When there is none.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test programs that run at the same time start far apart.
    let start = std::process::id().wrapping_mul(379);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(LOWEST + offset).expect("the range ends below 65,536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {LOWEST} and {} is free", LOWEST + COUNT);
}
