//! The little of JSON that an access line needs, without allocation.

/// Appends `bytes` as the inside of a JSON string, at most `max` bytes of them. What is not UTF-8 is replaced.
pub(crate) fn escape(out: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let bytes = &bytes[..bytes.len().min(max)];
    // Without an early end, so that it becomes a few wide compares: nearly always all are plain.
    if bytes.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for letter in String::from_utf8_lossy(bytes).chars() {
        escape_letter(out, letter);
    }
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    // 20 digits hold every u64.
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

fn escape_letter(out: &mut Vec<u8>, letter: char) {
    match letter {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        control if control < ' ' || control == '\u{7f}' => {
            out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests;
