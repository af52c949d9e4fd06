//! What we read in a certificate beside what rustls checks: how long it is valid, and whose it is.
//!
//! A few fields of one structure (RFC 5280, 4.1), so a reader of DER with a cursor is enough. It never fails loudly: what
//! cannot be read is `None`.

use std::fmt::Write as _;

use prumo_clock::{Civil, Timestamp};

/// The fields that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) valid_from: Timestamp,
    pub(crate) expires: Timestamp,
    /// The subject as RFC 4514 writes it, in printable ASCII, so that it can stand in a header or a log line as it is.
    pub(crate) subject: String,
}

/// Reads a certificate.
pub(crate) fn read(certificate: &[u8]) -> Option<Facts> {
    let mut to_be_signed = Der(Der(certificate).take(SEQUENCE)?).next_of(SEQUENCE)?;
    to_be_signed.skip_if(VERSION);
    to_be_signed.take(INTEGER)?;
    to_be_signed.take(SEQUENCE)?; // The algorithm of the signature.
    to_be_signed.take(SEQUENCE)?; // The issuer.
    let mut validity = to_be_signed.next_of(SEQUENCE)?;
    let (valid_from, expires) = (validity.time()?, validity.time()?);
    Some(Facts { valid_from, expires, subject: name(to_be_signed.take(SEQUENCE)?)? })
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// DER that is yet to be read.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element, whatever it is.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // One to three bytes of length: no certificate has 16 MB.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.any().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    fn next_of(&mut self, wanted: u8) -> Option<Der<'a>> {
        self.take(wanted).map(Der)
    }

    fn skip_if(&mut self, tag: u8) {
        let mut ahead = *self;
        if ahead.take(tag).is_some() {
            *self = ahead;
        }
    }

    /// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, the two forms that RFC 5280 allows.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, text) = self.any()?;
        let digits = text.strip_suffix(b"Z")?;
        let two = |at: usize| -> Option<u8> {
            let pair = digits.get(at..at + 2)?;
            pair.iter().all(u8::is_ascii_digit).then(|| (pair[0] - b'0') * 10 + (pair[1] - b'0'))
        };
        let (year, rest) = match (tag, digits.len()) {
            // RFC 5280, 4.1.2.5.1: from 1950 to 2049.
            (UTC_TIME, 12) => (i64::from(two(0)?) + if two(0)? < 50 { 2000 } else { 1900 }, 2),
            (GENERALIZED_TIME, 14) => (i64::from(two(0)?) * 100 + i64::from(two(2)?), 4),
            _ => return None,
        };
        let [month, day, hour, minute, second] =
            [two(rest)?, two(rest + 2)?, two(rest + 4)?, two(rest + 6)?, two(rest + 8)?];
        let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
        let civil = Civil { year, month, day, hour, minute, second, millis: 0, weekday: 0 };
        is_date.then(|| civil.timestamp())
    }
}

/// A distinguished name as RFC 4514 writes it: the last part first.
fn name(content: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sequence = Der(content);
    while !sequence.0.is_empty() {
        let mut set = sequence.next_of(SET)?;
        let mut values = Vec::new();
        while !set.0.is_empty() {
            values.push(attribute(set.next_of(SEQUENCE)?)?);
        }
        parts.push(values.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(mut pair: Der<'_>) -> Option<String> {
    let kind = pair.take(OBJECT_IDENTIFIER)?;
    let whole = pair.0;
    let (tag, value) = pair.any()?;
    let text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING).then(|| str::from_utf8(value).ok()).flatten();
    match (short_name(kind), text) {
        (Some(short), Some(text)) => Some(format!("{short}={}", escaped(text))),
        // RFC 4514, 2.4: what has no well-known name or form is written in hexadecimal, tag and length included.
        (short, _) => {
            let kind = short.map_or_else(|| dotted(kind), str::to_owned);
            Some(format!("{kind}=#{}", hexadecimal(whole)))
        }
    }
}

/// The names of RFC 4514, and the two others that OpenSSL writes and that client certificates have.
fn short_name(kind: &[u8]) -> Option<&'static str> {
    Some(match kind {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "street",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return None,
    })
}

/// `1.2.840.113549`: base 128, the first number holding two.
fn dotted(kind: &[u8]) -> String {
    let mut out = String::new();
    let mut number: u128 = 0;
    for &byte in kind {
        number = (number << 7) | u128::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match out.is_empty() {
            true => write!(out, "{}.{}", (number / 40).min(2), number - (number / 40).min(2) * 40),
            false => write!(out, ".{number}"),
        };
        number = 0;
    }
    out
}

/// RFC 4514, 2.4. Beyond what it asks for, everything outside printable ASCII is escaped byte by byte, as it allows.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let _ = match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => write!(out, "\\{}", char::from(byte)),
            b'#' if at == 0 => out.write_str("\\#"),
            b' ' if at == 0 || at == last => out.write_str("\\ "),
            b' '..=b'~' => out.write_char(char::from(byte)),
            _ => write!(out, "\\{byte:02X}"),
        };
    }
    out
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
