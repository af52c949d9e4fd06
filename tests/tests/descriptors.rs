//! The file descriptors of prumo run out, because somebody opens more connections than it may have.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "a test drives real processes in real time")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use prumo_tests::process::{cpu_time, descriptors, eventually, limit_descriptors};
use prumo_tests::site::Site;

/// Descriptors that are left when the rush begins: some connections get in, and most do not.
const LEFT: u64 = 12;

fn ask(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: a.test\r\n\r\n").ok()?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Goal: without descriptors prumo goes on with the connections it has, does not spin, says so once, and takes new ones
/// again when others have gone.
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
        eventually(Duration::from_secs(60), || site.log().contains("no more connections can be accepted")),
        "{}",
        site.story()
    );
    let before = cpu_time(site.pid());
    std::thread::sleep(Duration::from_secs(2));
    let spent = cpu_time(site.pid()) - before;
    assert!(spent < Duration::from_millis(500), "it spins: {spent:?} of processor time in two seconds");
    assert!(ask(&mut first).unwrap().starts_with("HTTP/1.1 200"), "who is in is served\n{}", site.story());
    let told = site.log().matches("no more connections can be accepted").count();
    // One listener for each core, and each says it once in ten seconds.
    let listeners = std::thread::available_parallelism().unwrap().get();
    let most = listeners * (began.elapsed().as_secs() as usize / 10 + 1);
    assert!((1..=most).contains(&told), "each listener says it once in a while: {told} and not {most} at most");
    drop(rush);
    let answers = || site.get("/whoami").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(Duration::from_secs(60), answers), "{}", site.story());
}
