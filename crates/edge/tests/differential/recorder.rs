//! An upstream that reads requests strictly, and writes down each that it saw.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, or what could not be read as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Request { method: String, target: String, body: Vec<u8> },
    Garbled(String),
}

impl Seen {
    pub fn target(&self) -> &str {
        match self {
            Seen::Request { target, .. } => target,
            Seen::Garbled(why) => why,
        }
    }

    /// `/case-7-one` is of case 7.
    fn case(&self) -> Option<usize> {
        let Seen::Request { target, .. } = self else { return None };
        target.strip_prefix("/case-")?.split_once('-')?.0.parse().ok()
    }
}

pub struct Recorder {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Recorder { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&recorder.seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || converse(stream, &seen));
            }
        });
        recorder
    }

    /// What was seen, by case; what belongs to no case, or is no request, under none.
    pub fn by_case(&self) -> BTreeMap<Option<usize>, Vec<Seen>> {
        let mut cases: BTreeMap<Option<usize>, Vec<Seen>> = BTreeMap::new();
        for seen in self.seen.lock().unwrap().iter() {
            cases.entry(seen.case()).or_default().push(seen.clone());
        }
        cases
    }
}

fn converse(stream: TcpStream, seen: &Mutex<Vec<Seen>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        match read_request(&mut reader) {
            Ok(None) => return,
            Ok(Some(request)) => {
                seen.lock().unwrap().push(request);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen";
                if writer.write_all(answer).is_err() {
                    return;
                }
            }
            // A front that gives up in the middle of a request has done no harm.
            Err(Bad::Cut) => return,
            Err(Bad::Garbled(why)) => return seen.lock().unwrap().push(Seen::Garbled(why)),
        }
    }
}

enum Bad {
    Cut,
    Garbled(String),
}

impl From<std::io::Error> for Bad {
    fn from(_: std::io::Error) -> Bad {
        Bad::Cut
    }
}

fn garbled(why: &str, line: &[u8]) -> Bad {
    Bad::Garbled(format!("{why}: {}", line.escape_ascii()))
}

fn read_request(reader: &mut impl std::io::BufRead) -> Result<Option<Seen>, Bad> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let text = String::from_utf8(first.clone()).map_err(|_| garbled("request line", &first))?;
    let words: Vec<&str> = text.split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else { return Err(garbled("request line", &first)) };
    let (mut length, mut is_chunked) = (None, false);
    loop {
        let line = read_line(reader)?.ok_or(Bad::Cut)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = field(&line)?;
        match name.as_str() {
            "content-length" if length.is_some() => return Err(garbled("two lengths", &line)),
            "content-length" if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(garbled("length", &line));
            }
            "content-length" => length = Some(value.parse::<usize>().map_err(|_| garbled("length", &line))?),
            "transfer-encoding" if is_chunked || !value.eq_ignore_ascii_case("chunked") => {
                return Err(garbled("encoding", &line));
            }
            "transfer-encoding" => is_chunked = true,
            _ => {}
        }
    }
    if is_chunked && length.is_some() {
        return Err(garbled("length beside chunks", &first));
    }
    let body = if is_chunked { read_chunks(reader)? } else { read_exactly(reader, length.unwrap_or(0))? };
    Ok(Some(Seen::Request { method: method.to_owned(), target: target.to_owned(), body }))
}

fn field(line: &[u8]) -> Result<(String, String), Bad> {
    let text = String::from_utf8_lossy(line).into_owned();
    let (name, value) = text.split_once(':').ok_or_else(|| garbled("field", line))?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(garbled("field", line));
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn read_chunks(reader: &mut impl std::io::BufRead) -> Result<Vec<u8>, Bad> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(Bad::Cut)?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let is_size = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(&text, 16).ok().filter(|_| is_size).ok_or_else(|| garbled("chunk", &line))?;
        if size == 0 {
            return read_trailers(reader).map(|()| body);
        }
        body.extend(read_exactly(reader, size)?);
        let end = read_line(reader)?.ok_or(Bad::Cut)?;
        if !end.is_empty() {
            return Err(garbled("end of chunk", &end));
        }
    }
}

fn read_trailers(reader: &mut impl std::io::BufRead) -> Result<(), Bad> {
    loop {
        let line = read_line(reader)?.ok_or(Bad::Cut)?;
        if line.is_empty() {
            return Ok(());
        }
        field(&line)?;
    }
}

fn read_exactly(reader: &mut impl std::io::BufRead, length: usize) -> Result<Vec<u8>, Bad> {
    let mut body = Vec::new();
    let read = reader.take(length as u64).read_to_end(&mut body)?;
    if read == length { Ok(body) } else { Err(Bad::Cut) }
}

/// A line that ends in CRLF, without it; nothing at the end of the connection.
fn read_line(reader: &mut impl std::io::BufRead) -> Result<Option<Vec<u8>>, Bad> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        return Err(Bad::Cut);
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| garbled("bare LF", &line))?;
    if line.contains(&b'\r') || line.contains(&0) {
        return Err(garbled("control byte", line));
    }
    Ok(Some(line.to_vec()))
}
