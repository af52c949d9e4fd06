//! When a request came, as a line says it. The text of a second is kept for the lines of the same second.

use prumo_clock::Timestamp;

use crate::settings::LineFormat;

pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) struct Date {
    format: LineFormat,
    second: Option<i64>,
    text: Vec<u8>,
}

impl Date {
    pub(super) fn new(format: LineFormat) -> Date {
        Date { format, second: None, text: Vec::new() }
    }

    /// RFC 3339 with milliseconds for JSON, `21/Nov/2026:03:00:00 +0000` for combined; always UTC.
    pub(super) fn text_of(&mut self, wall: Timestamp) -> &[u8] {
        let second = wall.millis().div_euclid(1000);
        if self.second != Some(second) {
            self.second = Some(second);
            let whole = Timestamp::from_millis(second * 1000);
            self.text = match self.format {
                LineFormat::Json => whole.rfc3339().into_bytes(),
                LineFormat::Combined => combined(whole).into_bytes(),
            };
        }
        if self.format == LineFormat::Json {
            let millis = wall.millis().rem_euclid(1000) as u16;
            // `000Z` at the end of `2026-11-21T03:02:29.000Z`.
            let end = self.text.len();
            let digits = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
            self.text[end - 4..end - 1].copy_from_slice(&digits);
        }
        &self.text
    }
}

fn combined(second: Timestamp) -> String {
    // `2026-11-21T03:02:29…`, whose fields stand where they always do.
    let text = second.rfc3339();
    let month = text[5..7].parse().ok().and_then(|month: usize| MONTHS.get(month - 1)).unwrap_or(&"Jan");
    format!("{}/{month}/{}:{} +0000", &text[8..10], &text[..4], &text[11..19])
}
