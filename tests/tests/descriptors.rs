//! The file descriptors of prumo run out, because somebody opens more connections than it may have.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "a test drives real processes in real time")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use prumo_tests::process::{cpu_time, descriptors, eventually, limit_descriptors};
use prumo_tests::site::{Site, checked_often, file};
use prumo_tests::tool::Tool;

/// Descriptors that are left when the rush begins: some connections get in, and most do not.
const LEFT: u64 = 32;

fn ask(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: a.test\r\n\r\n").ok()?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Longer than a kept connection to an upstream may be idle, so that the next request needs a new one.
const LINKS_ARE_OLD: Duration = Duration::from_secs(5);

/// Goal: when descriptors run out prumo goes on with the connections it has, which find descriptors for their upstreams;
/// it does not spin, says so once, and takes new connections again when others have gone.
#[test]
fn descriptors_run_out() {
    let site = Site::serving("[ZOO] well", "");
    let mut first = TcpStream::connect(site.edge()).unwrap();
    first.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(ask(&mut first).unwrap().starts_with("HTTP/1.1 200"));
    limit_descriptors(site.pid(), descriptors(site.pid()) + LEFT);
    let began = Instant::now();
    let rush: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(site.edge()).unwrap()).collect();
    assert!(
        eventually(Duration::from_secs(60), || site.log().contains("no more connections are accepted")),
        "{}",
        site.story()
    );
    let before = cpu_time(site.pid());
    std::thread::sleep(LINKS_ARE_OLD);
    let spent = cpu_time(site.pid()) - before;
    assert!(spent < LINKS_ARE_OLD / 4, "it spins: {spent:?} of processor time in {LINKS_ARE_OLD:?}");
    let answer = ask(&mut first).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "who is in is served, and not:\n{answer}\n{}", site.story());
    let told = site.log().matches("no more connections are accepted").count();
    // One listener for each core, and each says it once in ten seconds.
    let listeners = std::thread::available_parallelism().unwrap().get();
    let most = listeners * (began.elapsed().as_secs() as usize / 10 + 1);
    assert!((1..=most).contains(&told), "each listener says it once in a while: {told} and not {most} at most");
    drop(rush);
    let answers = || site.get("/whoami").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(Duration::from_secs(60), answers), "{}", site.story());
}

/// Goal: where prumo may open fewer files than its connections need, the log and `prumo status` say how many there can be.
#[test]
fn fewer_connections_than_wanted_are_told() {
    let mut site = Site::new(&file("[ZOO] well", 1, ""));
    site.start_under(Tool::find("prlimit").path(), &["--nofile=2048:2048"]);
    site.await_healthy("web");
    let status = site.must(&["status"]).out;
    assert!(status.contains("at most 1792 connections instead of 10000"), "{status}");
    assert!(site.log().contains("fewer connections than the file allows"), "{}", site.story());
}

/// Goal: a replica that prumo has no descriptor to check is not taken for a bad one.
#[test]
fn unchecked_replicas_serve_on() {
    let mut site = Site::new(&checked_often(&file("[ZOO] well", 3, "")));
    site.up();
    site.await_healthy("web");
    limit_descriptors(site.pid(), 3);
    let unchecked = || site.log().matches("replica cannot be checked for now").count() == 3;
    assert!(eventually(Duration::from_secs(60), unchecked), "{}", site.story());
    let before = site.log().len();
    // As many rounds of checks as would have condemned them.
    std::thread::sleep(LINKS_ARE_OLD);
    assert!(!site.log()[before..].contains("replica is unhealthy"), "{}", site.story());
    limit_descriptors(site.pid(), 4096);
    let answers = || site.get("/whoami").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(Duration::from_secs(60), answers), "{}", site.story());
}
