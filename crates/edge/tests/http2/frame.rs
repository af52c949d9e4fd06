//! Frames as bytes and as text.

pub const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

const FLAGS: [(&str, u8); 5] = [("end", 0x1), ("ack", 0x1), ("done", 0x4), ("padded", 0x8), ("priority", 0x20)];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub fn is(&self, kind: &str) -> bool {
        KINDS.iter().position(|known| *known == kind) == Some(usize::from(self.kind))
    }

    /// Whether it acknowledges, or ends a stream.
    pub fn has_first_flag(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The 32 bits at an offset of the payload.
    pub fn number_at(&self, offset: usize) -> Option<u32> {
        let bytes = self.payload.get(offset..offset + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().unwrap()))
    }

    /// The status that a field block begins with; the only thing that these tests need to decode.
    pub fn status(&self) -> Option<u16> {
        const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match *self.payload.first()? {
            index @ 0x88..=0x8e => Some(STATIC[usize::from(index - 0x88)]),
            // A literal whose name is that of an entry of the static table, with or without indexing.
            0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => literal_status(&self.payload[1..]),
            _ => None,
        }
    }
}

fn literal_status(bytes: &[u8]) -> Option<u16> {
    let (length, rest) = bytes.split_first()?;
    let value = rest.get(..usize::from(length & 0x7f))?;
    let text = if length & 0x80 == 0 { String::from_utf8(value.to_vec()).ok()? } else { huffman_digits(value)? };
    text.parse().ok()
}

/// Three digits in the Huffman code of HPACK: 0 to 2 have five bits, 3 to 9 have six.
fn huffman_digits(bytes: &[u8]) -> Option<String> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut digit = || {
        let five = (0..5).try_fold(0_u8, |code, _| Some(code << 1 | bits.next()?))?;
        match five {
            0..=2 => Some(five),
            _ => (five << 1 | bits.next()?).checked_sub(0x19 - 3),
        }
    };
    let digits: Option<Vec<u8>> = (0..3).map(|_| digit()).collect();
    Some(digits?.iter().map(|digit| char::from(b'0' + digit)).collect())
}

pub fn kind(name: &str) -> Result<u8, String> {
    match KINDS.iter().position(|known| *known == name) {
        Some(kind) => Ok(kind as u8),
        None => name.parse().map_err(|_| format!("`{name}` is no type of frame")),
    }
}

pub fn flags(text: &str) -> Result<u8, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u8::from_str_radix(digits, 16).map_err(|_| format!("`{text}` are no flags"));
    }
    text.split(',').filter(|name| *name != "-").try_fold(0, |flags, name| {
        let known = FLAGS.iter().find(|(known, _)| *known == name);
        known.map(|(_, bit)| flags | bit).ok_or_else(|| format!("`{name}` is no flag"))
    })
}

/// Puts `aaa` in place of `{3*a}`.
pub fn expand(line: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or("a `{` is not closed")?;
        let (count, what) = inside.split_once('*').ok_or("in braces, a count and `*` come first")?;
        let count: usize = count.parse().map_err(|_| format!("`{count}` is no count"))?;
        out.push_str(before);
        out.push_str(&what.repeat(count));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The bytes of a payload whose parts are joined by ` + `.
pub fn payload(text: &str) -> Result<Vec<u8>, String> {
    let parts: Vec<Vec<u8>> = text.split(" + ").map(part).collect::<Result<_, _>>()?;
    Ok(parts.concat())
}

fn part(text: &str) -> Result<Vec<u8>, String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let inside = quoted.strip_suffix('"').ok_or("a quotation is not closed")?;
        return Ok(inside.replace("\\r", "\r").replace("\\n", "\n").into_bytes());
    }
    if let Some(number) = text.strip_prefix("u32:") {
        let number: u32 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        return Ok(number.to_be_bytes().to_vec());
    }
    if let Some(list) = text.strip_prefix("set:") {
        return list.split(',').map(setting).collect::<Result<Vec<_>, _>>().map(|all| all.concat());
    }
    if text.contains(": ") {
        return text.split(" | ").map(field).collect::<Result<Vec<_>, _>>().map(|all| all.concat());
    }
    let digits = text.strip_prefix('x').ok_or_else(|| format!("`{text}` is no payload"))?;
    let byte = |place: usize| u8::from_str_radix(digits.get(place..place + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| "hexadecimal digits come in pairs".to_owned())
}

fn setting(text: &str) -> Result<Vec<u8>, String> {
    let parsed =
        text.split_once('=').and_then(|(id, value)| Some((id.parse::<u16>().ok()?, value.parse::<u32>().ok()?)));
    let (id, value) = parsed.ok_or_else(|| format!("`{text}` is no setting"))?;
    Ok([&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A field as a literal that is never indexed nor compressed.
fn field(text: &str) -> Result<Vec<u8>, String> {
    let (name, value) = text.split_once(": ").ok_or_else(|| format!("`{text}` is no field"))?;
    let mut bytes = vec![0];
    for string in [name, value] {
        length(string.len(), &mut bytes);
        bytes.extend(string.as_bytes());
    }
    Ok(bytes)
}

/// An integer with a prefix of seven bits (RFC 7541 5.1).
fn length(mut length: usize, out: &mut Vec<u8>) {
    if length < 127 {
        return out.push(length as u8);
    }
    out.push(127);
    length -= 127;
    while length >= 128 {
        out.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    out.push(length as u8);
}
