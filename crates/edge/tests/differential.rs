//! The same nearly right requests through prumo, nginx and HAProxy (SEC-16).
//!
//! Behind each stands an upstream that reads strictly and writes down what it saw. Whatever a client sends, what is
//! behind prumo must see whole requests, each once and never a smuggled one, and where another front passes a request on
//! too, must see the same.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "differential/mutant.rs"]
mod mutant;
#[path = "differential/recorder.rs"]
mod recorder;
mod site;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mutant::Chance;
use prumo_edge::{Address, Upstream};
use recorder::{Recorder, Seen};
use site::Site;

/// Enough to meet each kind of mistake, and most pairs of two, within seconds. `PRUMO_TEST_CASES` asks for more.
const CASES: usize = 1_000;

/// The requests of a usual run are the same each time.
const SEED: u64 = 20_261_121;

/// Cases sent side by side.
const WORKERS: usize = 16;

/// How long an answer may take before it counts as none.
const SILENCE: Duration = Duration::from_millis(80);

/// Goal: prumo never lets a request become two, and never means another request than nginx or HAProxy do.
#[test]
fn one_request_is_one_request() {
    let seed = number_from("PRUMO_TEST_SEED").unwrap_or(SEED);
    println!("seed {seed}: another PRUMO_TEST_SEED makes other requests");
    let cases = number_from("PRUMO_TEST_CASES").map_or(CASES, |cases| cases as usize);
    let requests: Vec<Vec<u8>> =
        (0..cases).map(|number| mutant::request(number, &mut Chance::of(seed.wrapping_add(number as u64)))).collect();

    let recorders = [(); 3].map(|()| Recorder::start());
    let site = Site::start();
    site.serve(&[Upstream { address: Address::Tcp(recorders[0].address), ..any_upstream() }]);
    let nginx = Peer::nginx(recorders[1].address);
    let haproxy = Peer::haproxy(recorders[2].address);
    let fronts = [site.http(), nginx.address, haproxy.address];

    let answered = send_all(&requests, fronts);
    let seen = recorders.each_ref().map(Recorder::by_case);
    let wrong: Vec<String> = (0..cases)
        .filter_map(|number| {
            let seen = seen.each_ref().map(|cases| cases.get(&Some(number)).cloned().unwrap_or_default());
            let why = judge(answered[number], &seen)?;
            Some(format!("case {number}: {why}\n    sent {}\n    seen {seen:?}", requests[number].escape_ascii()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {cases}, seed {seed}:\n{}", wrong.len(), wrong.join("\n"));
    let strays = seen[0].get(&None);
    assert!(strays.is_none(), "seed {seed}: behind prumo arrived what nobody sent: {strays:?}");
    let passed = seen[0].len();
    println!("{cases} requests, of which prumo passed {passed} on");
    assert!(passed * 10 > cases, "too few requests are right enough to tell anything: {passed} of {cases}");
}

/// What is wrong with what was seen of a case.
fn judge(answered: usize, [prumo, nginx, haproxy]: &[Vec<Seen>; 3]) -> Option<String> {
    let targets: Vec<&str> = prumo.iter().map(Seen::target).collect();
    let is_once = targets.iter().enumerate().all(|(place, target)| !targets[..place].contains(target));
    if !is_once || answered > prumo.len() {
        return Some(format!("prumo gave {answered} answers of its upstream, which saw {targets:?}"));
    }
    let other = [("nginx", nginx), ("haproxy", haproxy)].into_iter().find(|(_, other)| differs(prumo, other));
    other.map(|(name, _)| format!("{name} passes something else on"))
}

/// Whether two fronts that both pass a first request on mean another request by it.
fn differs(ours: &[Seen], theirs: &[Seen]) -> bool {
    match (ours.first(), theirs.first()) {
        (Some(ours), Some(theirs)) => ours != theirs,
        _ => false,
    }
}

/// Sends each request to each front; says how many answers of the upstream came through prumo.
fn send_all(requests: &[Vec<u8>], fronts: [SocketAddr; 3]) -> Vec<usize> {
    std::thread::scope(|scope| {
        let send = move |request: &Vec<u8>| {
            let [prumo, ..] = fronts.map(|front| answers(front, request));
            prumo
        };
        let share = requests.len().div_ceil(WORKERS);
        let workers: Vec<_> = requests
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(send).collect::<Vec<usize>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// How many answers of the upstream come back for these bytes.
fn answers(front: SocketAddr, bytes: &[u8]) -> usize {
    let mut stream = TcpStream::connect(front).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut all: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all.extend(&buffer[..read]);
    }
    all.windows(8).filter(|window| window == b"\r\n\r\nseen").count()
}

fn any_upstream() -> Upstream {
    site::App::named("unused").upstream("one")
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Another front, ended with the test.
struct Peer {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    fn nginx(upstream: SocketAddr) -> Peer {
        let config = |folder: &str, port: u16| {
            format!(
                "daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n\
                 fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
                 server {{ listen 127.0.0.1:{port};\n\
                 location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
            )
        };
        Peer::start("/usr/sbin/nginx", config, |file| vec!["-c".into(), file])
    }

    fn haproxy(upstream: SocketAddr) -> Peer {
        let config = |_: &str, port: u16| {
            format!(
                "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n\
                 frontend f\n bind 127.0.0.1:{port}\n default_backend b\nbackend b\n server s {upstream}\n"
            )
        };
        Peer::start("/usr/sbin/haproxy", config, |file| vec!["-db".into(), "-f".into(), file])
    }

    fn start(program: &str, config: impl Fn(&str, u16) -> String, arguments: impl Fn(String) -> Vec<String>) -> Peer {
        // A port that is free now may be somebody's when the peer binds it. Then the peer ends, and gets another.
        let mut attempts = (0..10).filter_map(|_| Peer::try_start(program, &config, &arguments));
        attempts.next().unwrap_or_else(|| panic!("{program} does not listen"))
    }

    fn try_start(
        program: &str,
        config: impl Fn(&str, u16) -> String,
        arguments: impl Fn(String) -> Vec<String>,
    ) -> Option<Peer> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = folder.path().join("config").display().to_string();
        fs::write(&file, config(&folder.path().display().to_string(), port)).unwrap();
        let log = fs::File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new(program);
        command.args(arguments(file)).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{program} does not start: {error}\nhint: `cargo xtask deps` installs what tests need")
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut peer = Peer { address, child, _folder: folder };
        let start = Instant::now();
        loop {
            let listens = TcpStream::connect(address).is_ok();
            if peer.child.try_wait().unwrap().is_some() {
                return None;
            }
            if listens {
                return Some(peer);
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{program} neither listens nor ends");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        // Both leave at once, with their children, when they are asked so.
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
