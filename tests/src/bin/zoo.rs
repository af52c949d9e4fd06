//! An app that misbehaves in the way its arguments say: `zoo MISBEHAVIOUR [NUMBER]`. Standard library only.
//!
//! Whatever the misbehaviour, what is left of it is the same plain HTTP/1.1 app on `127.0.0.1:$PORT`: `GET /health`,
//! `GET /` and `GET /whoami` say which replica answers, `GET /bytes?n=N`, `POST /echo`, and `POST /leave` ends it with exit code 0.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an app of a user knows nothing of prumo's rooms, and a zoo animal may die of a surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// What is wrong with each answer.
#[derive(Clone, Copy, Default)]
struct Manners {
    /// Every answer is an error.
    error: bool,
    /// Takes connections and never answers.
    silent: bool,
    /// `/health` is bad while this file is there.
    sick_while: Option<&'static Path>,
    /// Each answer but `/health` waits until this file is there.
    waits_for: Option<&'static Path>,
    /// Hangs up this long after each answer without having said so.
    hangs_up_after: Option<Duration>,
    /// Each answer but `/health` takes this long.
    slowness: Duration,
}

const MISBEHAVIOURS: &str = "\
well               behaves
exit CODE          leaves at once
crash SECONDS      leaves with code 1 after a while
slow-start SECONDS listens only after a while
wrong-port         listens on some port that nobody told it to
500                answers every request with an error
hang               takes connections and never answers
slow MS            answers late
unhealthy FILE     is unhealthy while this file is there
wait-for FILE      answers when this file is there; FILE.asked is there once somebody waits
hang-up MS         closes kept connections without a word
print BYTES        prints so many bytes while it serves
eat-memory MB      takes so much memory
ignore-term        ignores SIGTERM
fork               leaves children that ignore SIGTERM and have a session of their own
say VARIABLE       prints a variable of its environment
child              sleeps; what fork leaves behind";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let detail = arguments.next().unwrap_or_default();
    let number = detail.parse::<u64>().unwrap_or(0);
    let manners = Manners::default();
    match what.as_str() {
        "well" => serve(own_port(), manners),
        "exit" => return ExitCode::from(number as u8),
        "crash" => serve_and(manners, move || {
            std::thread::sleep(Duration::from_secs(number));
            println!("zoo: crashing as I was told to");
            std::process::exit(1);
        }),
        "slow-start" => {
            std::thread::sleep(Duration::from_secs(number));
            serve(own_port(), manners);
        }
        "wrong-port" => serve(0, manners),
        "500" => serve(own_port(), Manners { error: true, ..manners }),
        "hang" => serve(own_port(), Manners { silent: true, ..manners }),
        "slow" => serve(own_port(), Manners { slowness: Duration::from_millis(number), ..manners }),
        "unhealthy" => serve(own_port(), Manners { sick_while: Some(lasting(&detail)), ..manners }),
        "wait-for" => serve(own_port(), Manners { waits_for: Some(lasting(&detail)), ..manners }),
        "hang-up" => serve(own_port(), Manners { hangs_up_after: Some(Duration::from_millis(number)), ..manners }),
        "print" => serve_and(manners, move || print(number)),
        "eat-memory" => serve_and(manners, move || eat(number)),
        "ignore-term" => ignoring_term(&["well"]),
        "fork" => {
            let me = std::env::current_exe().unwrap();
            for _ in 0..2 {
                // A child that nobody waits for is the point.
                drop(
                    Command::new("sh").args(["-c", "trap '' TERM; exec setsid \"$0\" child"]).arg(&me).spawn().unwrap(),
                );
            }
            serve(own_port(), manners);
        }
        "child" => std::thread::sleep(Duration::from_secs(3600)),
        "say" => {
            println!("zoo: {detail} is {}", std::env::var(&detail).unwrap_or_else(|_| "not set".to_owned()));
            serve(own_port(), manners);
        }
        _ => {
            eprintln!("usage: zoo MISBEHAVIOUR [NUMBER]\n\n{MISBEHAVIOURS}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A path that lives as long as this program.
fn lasting(path: &str) -> &'static Path {
    Path::new(Box::leak(path.to_owned().into_boxed_str()))
}

/// An ignored signal stays ignored across exec, which spares this program the unsafe call.
fn ignoring_term(arguments: &[&str]) {
    let me = std::env::current_exe().unwrap();
    let error = Command::new("sh").args(["-c", "trap '' TERM; exec \"$0\" \"$@\""]).arg(me).args(arguments).exec();
    panic!("sh did not start: {error}");
}

fn serve_and(manners: Manners, mischief: impl FnOnce() + Send + 'static) {
    std::thread::spawn(mischief);
    serve(own_port(), manners);
}

fn print(bytes: u64) {
    let line = [b'z'; 1023];
    let mut out = std::io::stdout().lock();
    for _ in 0..bytes / 1024 {
        out.write_all(&line).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.flush().unwrap();
    drop(out);
    println!("zoo: printed {bytes} bytes");
}

fn eat(megabytes: u64) {
    let mut eaten = Vec::new();
    for _ in 0..megabytes {
        // Written to, so that the kernel really has to find it.
        eaten.push(vec![1_u8; 1024 * 1024]);
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("zoo: ate {} MB", eaten.len());
    std::thread::sleep(Duration::from_secs(3600));
}

fn own_port() -> u16 {
    std::env::var("PORT").ok().and_then(|port| port.parse().ok()).expect("zoo serves on $PORT")
}

fn serve(port: u16, manners: Manners) {
    let listener =
        TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("cannot listen on port {port}: {error}"));
    println!("zoo: listening on {}", listener.local_addr().unwrap());
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || converse(stream, manners));
    }
}

/// Answers the requests of one connection; what the peer does wrong ends it.
fn converse(stream: TcpStream, manners: Manners) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    while let Some(request) = Request::read(&mut reader) {
        if manners.silent {
            std::thread::sleep(Duration::MAX);
        }
        let (status, body) = request.answer(manners);
        let close = if request.close { "connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{close}\r\n",
            body.len()
        );
        writer.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        if request.target == "/leave" {
            std::process::exit(0);
        }
        if request.close {
            return None;
        }
        if let Some(after) = manners.hangs_up_after {
            std::thread::sleep(after);
            return None;
        }
    }
    None
}

struct Request {
    method: String,
    target: String,
    body: Vec<u8>,
    close: bool,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
        let first = line(reader)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut chunked, mut close) = (0, false, false);
        loop {
            let header = line(reader)?.to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().ok()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(("connection", value)) => close = value.trim() == "close",
                Some(_) => {}
            }
        }
        let body = if chunked { chunks(reader)? } else { exactly(reader, length)? };
        Some(Request { method, target, body, close })
    }

    fn answer(&self, manners: Manners) -> (&'static str, Vec<u8>) {
        if manners.error || self.target == "/health" && manners.sick_while.is_some_and(Path::exists) {
            return ("500 Internal Server Error", b"{\"error\":\"zoo is unwell, as it was told to be\"}".to_vec());
        }
        if self.target != "/health" {
            std::thread::sleep(manners.slowness);
            if let Some(file) = manners.waits_for {
                wait_for(file);
            }
        }
        match (self.method.as_str(), self.target.split_once("?n=")) {
            ("POST", _) => ("200 OK", self.body.clone()),
            (_, Some(("/bytes", count))) => ("200 OK", vec![b'.'; count.parse().unwrap_or(0)]),
            _ if self.target == "/health" => ("200 OK", b"{\"status\":\"healthy\"}".to_vec()),
            _ if matches!(self.target.as_str(), "/" | "/whoami") => ("200 OK", whoami().into_bytes()),
            _ => ("404 Not Found", b"{\"error\":\"there is no such animal\"}".to_vec()),
        }
    }
}

fn wait_for(file: &Path) {
    std::fs::write(file.with_extension("asked"), "").unwrap();
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn whoami() -> String {
    let read = |name: &str| std::env::var(name).unwrap_or_default();
    format!(
        "{{\"replica\":\"{}\",\"release\":\"{}\",\"pid\":{}}}",
        read("REPLICA"),
        read("RELEASE"),
        std::process::id()
    )
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

fn exactly(reader: &mut BufReader<TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(line(reader)?.split(';').next()?, 16).ok()?;
        body.extend(exactly(reader, length)?);
        line(reader)?;
        if length == 0 {
            return Some(body);
        }
    }
}
