//! An upstream that takes any body, however large, and says how many bytes it was.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Serves until it is ended.
///
/// # Errors
/// When the port is taken.
pub fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // A client that leaves is no trouble of ours.
            let _ = take(&stream);
        });
    }
    Ok(())
}

fn take(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    loop {
        let (mut length, mut expects, mut lines) = (0, false, 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() && lines > 0 {
                break;
            }
            lines += 1;
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            expects |= line.starts_with("expect:");
        }
        let mut stream = stream;
        if expects {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let taken = io::copy(&mut reader.by_ref().take(length), &mut io::sink())?.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{taken}", taken.len());
        stream.write_all(answer.as_bytes())?;
    }
}
