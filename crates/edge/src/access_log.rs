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
use crate::settings::{AccessLog, LineFormat, Share};

mod date;

use date::Date;
pub(crate) use date::MONTHS;

/// Waking the writer costs about as much as a write, and the file system takes large writes for less: with this size it
/// is woken for some 600 lines.
const BATCH_BYTES: usize = 256 * 1024;

/// Batches that may wait for the writer: 8 MiB at most, a second or so of a very busy edge.
const BATCHES_MAX: usize = 32;

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
    is_losing: Cell<bool>,
    pub(crate) format: LineFormat,
    sample: Share,
}

impl Lines {
    pub(crate) fn new(mailbox: Mailbox, settings: &AccessLog) -> Lines {
        Lines {
            mailbox,
            is_losing: Cell::new(false),
            format: settings.format,
            sample: settings.sample,
            batch: RefCell::new(Vec::with_capacity(BATCH_BYTES + 4096)),
            buffers: RefCell::default(),
            date: RefCell::new(Date::new(settings.format)),
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

    /// Whether a request that went well is written. One that did not always is.
    pub(crate) fn wants(&self, draw: impl FnOnce() -> u64) -> bool {
        self.sample == Share::ALL || self.sample.has(draw())
    }

    /// Lets `fill` write a line, with the request's time as it is written, and sends the batch when it is large enough.
    pub(crate) fn write_line(&self, wall: Timestamp, fill: impl FnOnce(&mut Vec<u8>, &[u8])) {
        let mut batch = self.batch.borrow_mut();
        fill(&mut batch, self.date.borrow_mut().text_of(wall));
        batch.push(b'\n');
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

    /// Lines dropped since the last call because the writer was behind. Says so once until it has caught up.
    pub(crate) fn take_lost(&self) -> u64 {
        let lost = self.lost.take();
        if lost > 0 && !self.is_losing.get() {
            tracing::warn!(lines = lost, "access log lines are dropped, the disk is too slow for them");
        }
        self.is_losing.set(lost > 0);
        lost
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
        use std::os::unix::fs::MetadataExt as _;
        let mut known = self.file.metadata()?;
        // Somebody has moved the file away, as logrotate does: the next lines belong to the path, not to that file.
        if std::fs::metadata(&self.path).map(|at_path| at_path.ino()).ok() != Some(known.ino()) {
            self.file = append_to(&self.path)?;
            known = self.file.metadata()?;
        }
        let mut bytes = known.len();
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
