//! Clients that cost a server much and themselves little: memory stays bounded, and others are served (SEC-16).
//!
//! One test, so that the memory of this process is that of one attack at a time.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "http2/frame.rs"]
mod frame;
mod site;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use frame::Frame;
use site::{App, Raised, Site, reply_with, resident_bytes};

/// What one attacking connection may add to the memory of the process, which also holds the attacker and the app.
const GROWTH_MAX: u64 = 32 << 20;

/// An attack is over after this long, whatever it has reached.
const ATTACK_MAX: Duration = Duration::from_secs(8);

/// A connection that must be closed is closed within this time, however busy the machine is.
const CLOSES_WITHIN: Duration = Duration::from_secs(40);

/// One for all answers, so that the memory of the app is not taken for that of the edge.
static LARGE: [u8; 1 << 20] = [b'x'; 1 << 20];

/// How an attack must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The edge closes the connection.
    Closed,
    /// The edge closes it, or does not take more than it can answer.
    ClosedOrHeld,
}

struct Attack {
    name: &'static str,
    /// Sent first.
    opening: Vec<u8>,
    /// Sent again and again; the argument is how often it was sent before.
    wave: fn(u32) -> Vec<u8>,
    waves: u32,
    /// Whether the attacker reads what comes back.
    reads: bool,
    end: End,
}

fn attacks() -> Vec<Attack> {
    use End::{Closed, ClosedOrHeld};
    let nothing = Vec::new;
    vec![
        Attack { name: "rapid reset", opening: nothing(), wave: rapid_reset, waves: 20_000, reads: true, end: Closed },
        Attack {
            name: "rapid reset, answers unread",
            opening: nothing(),
            wave: rapid_reset,
            waves: 20_000,
            reads: false,
            end: ClosedOrHeld,
        },
        Attack {
            name: "made you reset, by a window update of zero",
            opening: nothing(),
            wave: made_you_reset,
            waves: 20_000,
            reads: true,
            end: Closed,
        },
        Attack {
            name: "continuation without end",
            opening: frame("HEADERS", "-", 1, ":method: GET | :scheme: http | :path: / | :authority: a.test"),
            wave: |_| frame("CONTINUATION", "-", 1, "x: {1000*a}"),
            waves: 20_000,
            reads: true,
            end: Closed,
        },
        Attack {
            name: "empty continuation without end",
            opening: frame("HEADERS", "-", 1, ":method: GET | :scheme: http | :path: / | :authority: a.test"),
            wave: |_| frame("CONTINUATION", "-", 1, "x").repeat(100),
            waves: 5_000,
            reads: true,
            end: Closed,
        },
        Attack {
            name: "settings, acknowledgements unread",
            opening: nothing(),
            wave: |_| frame("SETTINGS", "-", 0, "set:4=65535").repeat(100),
            waves: 10_000,
            reads: false,
            end: ClosedOrHeld,
        },
        Attack {
            name: "pings, answers unread",
            opening: nothing(),
            wave: |_| frame("PING", "-", 0, "x0000000000000000").repeat(100),
            waves: 10_000,
            reads: false,
            end: ClosedOrHeld,
        },
        Attack {
            name: "field blocks at the limit, answers unread",
            opening: frame("SETTINGS", "-", 0, "set:4=0"),
            wave: |number| get(2 * number + 1, "/large | x: {15000*a}"),
            waves: 2_000,
            reads: false,
            end: ClosedOrHeld,
        },
        Attack {
            name: "a field of four kilobytes, named by one byte again and again",
            opening: frame("HEADERS", "end,done", 1, "x8286844106612e74657374 + x40 + x0178 + x7fa11e + x{4000*61}"),
            wave: |number| frame("HEADERS", "end,done", 2 * number + 3, "x8286840106612e74657374 + x{2000*be}"),
            waves: 5_000,
            reads: false,
            end: ClosedOrHeld,
        },
        Attack {
            name: "large answers into a window of zero",
            opening: frame("SETTINGS", "-", 0, "set:4=0"),
            wave: |number| get(2 * number + 1, "/large"),
            waves: 100,
            reads: true,
            end: ClosedOrHeld,
        },
        Attack {
            name: "uploads that the app does not read",
            opening: nothing(),
            wave: |number| {
                let stream = 2 * number + 1;
                let mut wave = post(stream, "/deaf");
                wave.extend(frame("DATA", "-", stream, "x{8192*61}"));
                wave
            },
            waves: 100,
            reads: true,
            end: ClosedOrHeld,
        },
        Attack {
            name: "empty data",
            opening: post(1, "/"),
            wave: |_| frame("DATA", "-", 1, "x").repeat(100),
            waves: 5_000,
            reads: true,
            end: ClosedOrHeld,
        },
    ]
}

fn rapid_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    [get(stream, "/"), frame("RST_STREAM", "-", stream, "u32:8")].concat()
}

fn made_you_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    [get(stream, "/"), frame("WINDOW_UPDATE", "-", stream, "u32:0")].concat()
}

/// Goal: no single connection costs more than a bounded amount of memory, and while it tries, others are served.
#[test]
fn floods_are_bounded_and_harm_nobody_else() {
    for attack in attacks() {
        let app = App::start(|ask, stream| match ask.path() {
            "/large" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
                stream.write_all(&LARGE).is_ok()
            }
            "/deaf" => {
                std::thread::sleep(ATTACK_MAX);
                false
            }
            _ => {
                reply_with(stream, b"answer");
                true
            }
        });
        let site = Site::start();
        site.serve(&[app.upstream("one")]);
        assert_eq!(site.get("/").status, 200);
        let before = resident_bytes();
        let over = AtomicBool::new(false);
        let (end, honest, peak) = std::thread::scope(|scope| {
            let _over = Raised(&over);
            let honest = scope.spawn(|| ask_until(&site, &over));
            let peak = scope.spawn(|| watch_memory(&over));
            let end = run(&attack, &site);
            over.store(true, Ordering::SeqCst);
            (end, honest.join().unwrap(), peak.join().unwrap())
        });
        let name = attack.name;
        assert!(honest > 0, "{name}: an honest client was not served");
        let growth = peak.saturating_sub(before);
        println!("{name}: {end:?}, {} KiB, {honest} honest requests", growth >> 10);
        assert!(growth <= GROWTH_MAX, "{name}: memory grew by {growth} bytes");
        let is_right = end == Ended::Closed || attack.end == End::ClosedOrHeld;
        assert!(is_right, "{name}: the edge should have closed the connection, and it is {end:?}");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The edge closed the connection.
    Closed,
    /// The edge did not take any more.
    Held,
    /// Everything was sent.
    Sent,
}

fn run(attack: &Attack, site: &Site) -> Ended {
    let mut stream = TcpStream::connect(site.http()).unwrap();
    // What must be closed is not held because a busy machine is slow to read it.
    let patience = if attack.end == End::Closed { CLOSES_WITHIN } else { Duration::from_secs(1) };
    stream.set_write_timeout(Some(patience)).unwrap();
    let reader = attack.reads.then(|| {
        let mut stream = stream.try_clone().unwrap();
        std::thread::spawn(move || while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {})
    });
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame("SETTINGS", "-", 0, "x"), &attack.opening].concat();
    stream.write_all(&hello).unwrap();
    let ended = send_waves(attack, &mut stream);
    let _ = stream.shutdown(std::net::Shutdown::Both);
    if let Some(reader) = reader {
        reader.join().unwrap();
    }
    ended
}

fn send_waves(attack: &Attack, stream: &mut TcpStream) -> Ended {
    let began = Instant::now();
    let limit = if attack.end == End::Closed { CLOSES_WITHIN } else { ATTACK_MAX };
    for number in 0..attack.waves {
        match stream.write_all(&(attack.wave)(number)) {
            Ok(()) if began.elapsed() < limit => {}
            Ok(()) => return Ended::Sent,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ended::Held,
            Err(_) => return Ended::Closed,
        }
    }
    // What was sent has its effect, sooner or later.
    let ping = frame("PING", "-", 0, "x0000000000000000");
    while attack.end == End::Closed && began.elapsed() < limit && stream.write_all(&ping).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    if stream.write_all(&ping).is_err() { Ended::Closed } else { Ended::Sent }
}

/// Asks again and again, each time on a new connection, and says how often.
fn ask_until(site: &Site, over: &AtomicBool) -> u32 {
    let mut served = 0;
    loop {
        assert_eq!(site.get("/honest").status, 200);
        served += 1;
        if over.load(Ordering::SeqCst) {
            return served;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn watch_memory(over: &AtomicBool) -> u64 {
    let mut peak = resident_bytes();
    while !over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
        peak = peak.max(resident_bytes());
    }
    peak
}

fn get(stream: u32, path_and_fields: &str) -> Vec<u8> {
    request("GET", "end,done", stream, path_and_fields)
}

fn post(stream: u32, path: &str) -> Vec<u8> {
    request("POST", "done", stream, path)
}

fn request(method: &str, flags: &str, stream: u32, path: &str) -> Vec<u8> {
    let fields = format!(":method: {method} | :scheme: http | :authority: a.test | :path: {path}");
    frame("HEADERS", flags, stream, &fields)
}

fn frame(kind: &str, flags: &str, stream: u32, payload: &str) -> Vec<u8> {
    let payload = frame::payload(&frame::expand(payload).unwrap()).unwrap();
    Frame { kind: frame::kind(kind).unwrap(), flags: frame::flags(flags).unwrap(), stream, payload }.bytes()
}
