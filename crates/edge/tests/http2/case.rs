//! Reading a file of cases: see `README.md` beside it.

use std::path::Path;

use super::frame::{self, Frame};

/// What a client sends, and what must come of it.
pub struct Case {
    pub file: String,
    pub line: usize,
    pub about: String,
    /// Whether the preface and SETTINGS are sent before the first step.
    pub with_preface: bool,
    pub steps: Vec<Step>,
}

pub enum Step {
    Send(Vec<u8>),
    /// Any of these must come.
    Await(Vec<Verdict>),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An answer with this status, on this stream or on any.
    Status(u16, Option<u32>),
    /// An answer in the words of HTTP/1.
    Http1(u16),
    /// The connection ends, with one of these codes where one is said.
    Connection(Vec<u32>),
    /// This stream, or any, is reset with one of these codes, or the connection ends with one.
    Stream(Option<u32>, Vec<u32>),
    SettingsAck,
    Ping(Vec<u8>),
    /// The connection still answers.
    Open,
    Closed,
    /// So many whole requests have reached the app.
    App(usize),
}

/// The cases of one file.
pub fn read(path: &Path) -> Vec<Case> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Some(about) = line.strip_prefix("# ") {
            let (line, about) = (number + 1, about.to_owned());
            cases.push(Case { file: file.clone(), line, about, with_preface: true, steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{file}:{}: a case begins with `# `", number + 1));
        take_line(case, line).unwrap_or_else(|why| panic!("{file}:{}: {why}", number + 1));
    }
    for case in &cases {
        let is_judged = case.steps.iter().any(|step| matches!(step, Step::Await(_)));
        assert!(is_judged, "{file}:{}: nothing is expected", case.line);
    }
    cases
}

fn take_line(case: &mut Case, line: &str) -> Result<(), String> {
    if line == "without preface" {
        case.with_preface = false;
    } else if let Some(verdicts) = line.strip_prefix("=> ") {
        case.steps.push(Step::Await(verdicts.split(" or ").map(verdict_of).collect::<Result<_, _>>()?));
    } else if let Some(repeated) = line.strip_prefix("times ") {
        let (count, line) = repeated.split_once(": ").ok_or("`times` wants a count and `: `")?;
        let count: u32 = count.parse().map_err(|_| format!("`{count}` is no count"))?;
        for number in 0..count {
            case.steps.push(Step::Send(bytes_of(line, 2 * number + 1)?));
        }
    } else {
        case.steps.push(Step::Send(bytes_of(line, 1)?));
    }
    Ok(())
}

fn verdict_of(text: &str) -> Result<Verdict, String> {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["open"] => Ok(Verdict::Open),
        ["closed"] => Ok(Verdict::Closed),
        ["settings", "ack"] => Ok(Verdict::SettingsAck),
        ["ping", payload] => Ok(Verdict::Ping(frame::payload(payload)?)),
        ["app", count] => Ok(Verdict::App(number(count)? as usize)),
        ["connection", codes] => Ok(Verdict::Connection(codes_of(codes)?)),
        ["stream", "@", codes] => Ok(Verdict::Stream(None, codes_of(codes)?)),
        ["stream", stream, codes] => Ok(Verdict::Stream(Some(number(stream)?), codes_of(codes)?)),
        [status, "http1"] => Ok(Verdict::Http1(number(status)? as u16)),
        [status] => Ok(Verdict::Status(number(status)? as u16, None)),
        [status, stream] => Ok(Verdict::Status(number(status)? as u16, Some(number(stream)?))),
        _ => Err(format!("`{text}` is no verdict")),
    }
}

fn codes_of(text: &str) -> Result<Vec<u32>, String> {
    let code = |name: &str| {
        let known = frame::CODES.iter().position(|known| *known == name);
        known.map(|code| code as u32).ok_or_else(|| format!("`{name}` is no error code"))
    };
    text.split('/').map(code).collect()
}

fn bytes_of(line: &str, next_stream: u32) -> Result<Vec<u8>, String> {
    let line = frame::expand(line)?;
    if let Some(payload) = line.strip_prefix("bytes ") {
        return frame::payload(payload);
    }
    let mut words = line.splitn(4, ' ');
    let (kind, stream) = (words.next().unwrap_or_default(), words.next().ok_or("a stream is missing")?);
    let reserved = stream.starts_with('r');
    let stream = if stream == "@" { next_stream } else { number(stream.trim_start_matches('r'))? };
    let rest = [words.next(), words.next()];
    let frame = match (kind, rest) {
        ("GET" | "POST", [Some(path), fields]) => request(kind, stream, path, fields)?,
        (_, [Some(flags), payload]) => Frame {
            kind: frame::kind(kind)?,
            flags: frame::flags(flags)?,
            stream,
            payload: payload.map_or(Ok(Vec::new()), frame::payload)?,
        },
        _ => return Err("flags are missing".to_owned()),
    };
    let mut bytes = frame.bytes();
    if reserved {
        bytes[5] |= 0x80;
    }
    Ok(bytes)
}

fn request(method: &str, stream: u32, path: &str, more: Option<&str>) -> Result<Frame, String> {
    let mut fields = format!(":method: {method} | :scheme: http | :path: {path} | :authority: a.test");
    if let Some(more) = more {
        fields = format!("{fields} {more}");
    }
    let flags = if method == "GET" { "end,done" } else { "done" };
    let (kind, flags) = (frame::kind("HEADERS")?, frame::flags(flags)?);
    Ok(Frame { kind, flags, stream, payload: frame::payload(&fields)? })
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
