//! What the fast path of one core shares between its connections: room to write in, spare buffers, and the date.

use std::cell::{Cell, RefCell};

use prumo_clock::{Civil, Timestamp};

use crate::access_log::MONTHS;

/// Spare buffers kept by a core for requests in flight.
const BUFFERS_MAX: usize = 256;

/// Nearly always one is enough: it is given back as soon as the socket has taken what is in it.
const SHEETS_MAX: usize = 4;

/// A buffer that grew for an unusual request is not kept.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// What the fast path of one core shares between its connections.
pub(crate) struct Desk {
    /// Heads are written here and sent at once; never held over a wait.
    pub(crate) page: RefCell<Vec<u8>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    /// Large buffers in which what many streams write is gathered; the busiest connection has one at a time.
    sheets: RefCell<Vec<Vec<u8>>>,
    date: Cell<(i64, [u8; 29])>,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let page = RefCell::new(Vec::with_capacity(BUFFER_BYTES_MAX));
        let (buffers, sheets) = (RefCell::default(), RefCell::default());
        Desk { page, buffers, sheets, date: Cell::new((i64::MIN, [0; 29])) }
    }

    pub(crate) fn borrow_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if (1..=BUFFER_BYTES_MAX).contains(&buffer.capacity()) && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    pub(crate) fn borrow_sheet(&self, bytes: usize) -> Vec<u8> {
        self.sheets.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    pub(crate) fn return_sheet(&self, mut sheet: Vec<u8>) {
        let mut sheets = self.sheets.borrow_mut();
        if sheets.len() < SHEETS_MAX {
            sheet.clear();
            sheets.push(sheet);
        }
    }

    /// `Sat, 21 Nov 2026 03:02:29 GMT`, written once for each second.
    pub(crate) fn date(&self, now: Timestamp) -> [u8; 29] {
        let second = now.millis().div_euclid(1000);
        let (written, text) = self.date.get();
        if written == second {
            return text;
        }
        let text = write_date(second);
        self.date.set((second, text));
        text
    }
}

fn write_date(second: i64) -> [u8; 29] {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let Civil { year, month, day, hour, minute, second, weekday, .. } =
        Timestamp::from_millis(second.saturating_mul(1000)).civil();
    let (weekday, month) = (DAYS[usize::from(weekday)], MONTHS[usize::from(month) - 1]);
    let text = format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
    // Only a year of five digits has another length.
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: dates are those of RFC 9110.
    #[test]
    fn dates() {
        assert_eq!(&write_date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&write_date(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(write_date(i64::MAX).len(), 29);
    }
}
