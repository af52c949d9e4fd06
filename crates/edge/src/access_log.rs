//! The access log: lines gathered by each core, written by one thread.
//!
//! A core never waits for the disk. When the writer is behind, or the disk is full, lines are dropped and counted.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use prumo_clock::Timestamp;
use prumo_drain::Stage;

use crate::error::EdgeError;
use crate::settings::AccessLog;

/// Waking the writer costs more than writing: with this size it is woken for some 200 lines.
const BATCH_BYTES: usize = 64 * 1024;

/// Batches that may wait for the writer: 8 MiB at most, a second or so of a very busy edge.
const BATCHES_MAX: usize = 128;

/// Small buffers kept by a core for requests in flight.
const BUFFERS_MAX: usize = 256;

/// Where cores send their batches.
pub(crate) type Mailbox = SyncSender<Vec<u8>>;

/// Lines the writer could not write.
pub(crate) type LostLines = Arc<AtomicU64>;

/// Opens the log and starts its writer, which ends when every core has let go of its mailbox.
pub(crate) fn open(log: &AccessLog, stage: &Stage) -> Result<(Mailbox, LostLines), EdgeError> {
    let failed = |source| EdgeError::AccessLog { file: log.path.clone(), source };
    let mut file = LogFile::open(log).map_err(failed)?;
    let (mailbox, inbox) = sync_channel(BATCHES_MAX);
    let lost = LostLines::default();
    let counter = Arc::clone(&lost);
    stage.thread("access log", move || write_all(&inbox, &mut file, &counter)).map_err(failed)?;
    Ok((mailbox, lost))
}

fn write_all(inbox: &Receiver<Vec<u8>>, file: &mut LogFile, lost: &AtomicU64) {
    let mut is_failing = false;
    for batch in inbox {
        match file.append(&batch) {
            Ok(()) if is_failing => {
                is_failing = false;
                tracing::info!(file = %file.path.display(), "access log written again");
            }
            Ok(()) => {}
            Err(error) => {
                lost.fetch_add(count_lines(&batch), Ordering::Relaxed);
                if !is_failing {
                    tracing::warn!(file = %file.path.display(), %error, "access log not written, lines are dropped");
                }
                is_failing = true;
            }
        }
    }
}

fn count_lines(batch: &[u8]) -> u64 {
    batch.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// One core's side of the log.
pub(crate) struct Lines {
    mailbox: Mailbox,
    batch: RefCell<Vec<u8>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    date: RefCell<Date>,
    lost: Cell<u64>,
}

impl Lines {
    pub(crate) fn new(mailbox: Mailbox) -> Lines {
        Lines {
            mailbox,
            batch: RefCell::new(Vec::with_capacity(BATCH_BYTES + 4096)),
            buffers: RefCell::default(),
            date: RefCell::default(),
            lost: Cell::new(0),
        }
    }

    /// An empty buffer for the first half of a line.
    pub(crate) fn borrow_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(512))
    }

    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() > 0 && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Begins a line with its time, lets `fill` write the rest, and sends the batch when it is large enough.
    pub(crate) fn write_line(&self, wall: Timestamp, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut batch = self.batch.borrow_mut();
        batch.extend_from_slice(b"{\"time\":\"");
        self.date.borrow_mut().write(&mut batch, wall);
        batch.push(b'"');
        fill(&mut batch);
        batch.extend_from_slice(b"}\n");
        if batch.len() >= BATCH_BYTES {
            self.send(&mut batch);
        }
    }

    /// Sends what has gathered.
    pub(crate) fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        if !batch.is_empty() {
            self.send(&mut batch);
        }
    }

    /// Lines dropped since the last call because the writer was behind.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.take()
    }

    fn send(&self, batch: &mut Vec<u8>) {
        let full = std::mem::replace(batch, Vec::with_capacity(BATCH_BYTES + 4096));
        if let Err(refused) = self.mailbox.try_send(full) {
            let (std::sync::mpsc::TrySendError::Full(mut refused)
            | std::sync::mpsc::TrySendError::Disconnected(mut refused)) = refused;
            self.lost.set(self.lost.get() + count_lines(&refused));
            refused.clear();
            *batch = refused;
        }
    }
}

/// RFC 3339 with milliseconds, the second's text kept for the lines of the same second.
#[derive(Default)]
struct Date {
    second: Option<i64>,
    text: String,
}

impl Date {
    fn write(&mut self, out: &mut Vec<u8>, wall: Timestamp) {
        let second = wall.millis().div_euclid(1000);
        if self.second != Some(second) {
            self.text = Timestamp::from_millis(second * 1000).rfc3339();
            // `2026-11-21T03:02:29.` of `2026-11-21T03:02:29.000Z`.
            self.text.truncate(self.text.len() - 4);
            self.second = Some(second);
        }
        let millis = wall.millis().rem_euclid(1000) as u16;
        out.extend_from_slice(self.text.as_bytes());
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8));
        out.push(b'Z');
    }
}

/// The file, turned over when it is half of what may be kept.
struct LogFile {
    path: PathBuf,
    file: File,
    bytes_max: u64,
}

impl LogFile {
    fn open(log: &AccessLog) -> io::Result<LogFile> {
        let file = append_to(&log.path)?;
        Ok(LogFile { path: log.path.clone(), file, bytes_max: (log.keep_bytes / 2).max(64 * 1024) })
    }

    fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        let mut bytes = self.file.metadata()?.len();
        if bytes > 0 && bytes + batch.len() as u64 > self.bytes_max {
            self.turn_over()?;
            bytes = 0;
        }
        self.file.write_all(batch).inspect_err(|_| {
            // A disk that fills up takes a part of the batch: a torn line would spoil the first one written after it.
            let _ = self.file.set_len(bytes);
        })
    }

    fn turn_over(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, previous(&self.path))?;
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Addresses of people are in it: not for everybody on the machine.
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
