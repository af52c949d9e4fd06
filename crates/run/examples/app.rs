//! A small app for tests: answers HTTP, prints what it is told, and misbehaves on request.
//!
//! `app [port N | socket PATH] [status N] [print TEXT] [print-bytes N] [wait MILLIS] [exit CODE]`, done in this order.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an app is not a part of prumo"
)]

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        arguments.get(position + 1).cloned()
    };
    let status = value("status").unwrap_or_else(|| "200".to_owned());
    if let Some(port) = value("port") {
        let listener = TcpListener::bind(("127.0.0.1", port.parse().map_err(io::Error::other)?))?;
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &status)));
    } else if let Some(path) = value("socket") {
        let listener = UnixListener::bind(path)?;
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &status)));
    }
    if let Some(text) = value("print") {
        println!("{text}");
        eprintln!("{text} on standard error");
    }
    if let Some(bytes) = value("print-bytes") {
        print_much(bytes.parse().map_err(io::Error::other)?)?;
    }
    if let Some(millis) = value("wait") {
        std::thread::sleep(Duration::from_millis(millis.parse().map_err(io::Error::other)?));
    }
    if let Some(code) = value("exit") {
        std::process::exit(code.parse().map_err(io::Error::other)?);
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn answer(mut stream: impl Read + Write, status: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let body = format!("release {}", std::env::var("RELEASE").unwrap_or_default());
    let head = format!("HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn print_much(bytes: usize) -> io::Result<()> {
    let line = "x".repeat(99) + "\n";
    let mut out = io::stdout().lock();
    for _ in 0..bytes / line.len() {
        out.write_all(line.as_bytes())?;
    }
    writeln!(out, "printed everything")?;
    out.flush()
}
