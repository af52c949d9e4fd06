//! Reading a file of cases: see `README.md` beside it.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test reads files of its own")]

use std::path::Path;

/// What a client sends, and what must come of it.
pub struct Case {
    pub file: String,
    pub line: usize,
    pub about: String,
    pub sent: Vec<u8>,
    pub verdicts: Vec<Verdict>,
}

pub enum Verdict {
    /// Passed on, and answered by the app.
    Passed(Seen),
    /// Answered by the edge.
    Refused { status: u16, stays_open: bool },
    /// Closed without an answer.
    Closed,
    /// Not answered yet.
    Waits,
}

/// A request as the app must see it.
pub struct Seen {
    /// Method and target.
    pub first: String,
    pub body: Vec<u8>,
    /// Fields, each with its value or absent.
    pub fields: Vec<(String, Option<String>)>,
}

impl Verdict {
    pub fn seen(&self) -> Option<&Seen> {
        match self {
            Verdict::Passed(seen) => Some(seen),
            _ => None,
        }
    }
}

/// The cases of one file.
pub fn read(path: &Path) -> Vec<Case> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(about) = line.strip_prefix("# ") {
            let (line, about) = (number + 1, about.to_owned());
            cases.push(Case { file: file.clone(), line, about, sent: Vec::new(), verdicts: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{file}:{}: a case begins with `# `", number + 1));
        take_line(case, line).unwrap_or_else(|why| panic!("{file}:{}: {why}", number + 1));
    }
    for case in &cases {
        assert!(!case.verdicts.is_empty(), "{file}:{}: no verdict", case.line);
    }
    cases
}

fn take_line(case: &mut Case, line: &str) -> Result<(), String> {
    if let Some(verdict) = line.strip_prefix("=> ") {
        case.verdicts.push(verdict_of(verdict)?);
    } else if let Some(field) = line.strip_prefix("@ ") {
        let Some(Verdict::Passed(seen)) = case.verdicts.last_mut() else {
            return Err("`@` says what the app saw, so it follows `=> 200`".to_owned());
        };
        let (name, value) =
            field.split_once(": ").map_or((field, None), |(name, value)| (name, Some(value.to_owned())));
        seen.fields.push((name.to_owned(), value));
    } else if case.verdicts.is_empty() {
        let (line, ends) = line.strip_suffix('\\').map_or((line, true), |line| (line, line.ends_with('\\')));
        case.sent.extend(bytes_of(line)?);
        if ends {
            case.sent.extend(b"\r\n");
        }
    } else if !line.is_empty() {
        return Err("only an empty line may follow a verdict".to_owned());
    }
    Ok(())
}

fn verdict_of(text: &str) -> Result<Verdict, String> {
    let mut words = text.splitn(4, ' ');
    match (words.next().unwrap_or_default(), words.next(), words.next(), words.next()) {
        ("closed", None, ..) => Ok(Verdict::Closed),
        ("waits", None, ..) => Ok(Verdict::Waits),
        ("200", Some(method), Some(target), body) => {
            let target = bytes_of(target)?;
            let first = format!("{method} {}", String::from_utf8(target).map_err(|error| error.to_string())?);
            Ok(Verdict::Passed(Seen { first, body: bytes_of(body.unwrap_or_default())?, fields: Vec::new() }))
        }
        (status, open, None, None) if matches!(open, None | Some("open")) => {
            let status = status.parse().map_err(|_| format!("`{status}` is no status"))?;
            Ok(Verdict::Refused { status, stays_open: open.is_some() })
        }
        _ => Err(format!("`{text}` is no verdict")),
    }
}

/// The bytes that a text with escapes and repetitions stands for.
fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '\\' => rest = escape(rest, &mut out)?,
            '{' => rest = repeat(rest, &mut out)?,
            _ => out.extend(next.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(out)
}

fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let (byte, length) = match rest.as_bytes().first() {
        Some(b'r') => (b'\r', 1),
        Some(b'n') => (b'\n', 1),
        Some(b't') => (b'\t', 1),
        Some(b'0') => (0, 1),
        Some(b'\\') => (b'\\', 1),
        Some(b'x') => {
            let digits = rest.get(1..3).ok_or("`\\x` wants two digits")?;
            (u8::from_str_radix(digits, 16).map_err(|_| format!("`\\x{digits}` is no byte"))?, 3)
        }
        _ => return Err(format!("`\\` before {rest:?} means nothing")),
    };
    out.push(byte);
    Ok(&rest[length..])
}

/// `3*x}` after the opening brace; braces may be nested.
fn repeat<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut depth = 1;
    let end = rest.char_indices().find(|(_, character)| {
        depth += i32::from(*character == '{') - i32::from(*character == '}');
        depth == 0
    });
    let (end, _) = end.ok_or("a `{` is not closed")?;
    let (count, what) = rest[..end].split_once('*').ok_or("in braces, a count and `*` come first")?;
    let count: usize = count.parse().map_err(|_| format!("`{count}` is no count"))?;
    out.extend(bytes_of(what)?.repeat(count));
    Ok(&rest[end + 1..])
}
