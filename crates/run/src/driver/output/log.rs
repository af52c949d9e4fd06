//! The log of one service: a file that is kept within bounds, and its newest lines in memory.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::driver::output::lines::{Line, Piece, Source};

/// Newest lines kept in memory for each service: what an error message or a full disk needs.
const RECENT_LINES_MAX: usize = 500;
const RECENT_BYTES_MAX: usize = 256 * 1024;

/// The newest lines of each replica, for an error message: enough for a stack trace's end, short enough for a terminal.
const LAST_LINES_MAX: usize = 20;

/// Lines a slow follower may be behind before it loses the oldest of them. Bounds its memory at 4 MiB of longest lines.
const FOLLOWER_LINES_MAX: usize = 256;

/// The most that one question reads from files.
const TAIL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A smaller bound would rotate at almost every write.
const KEEP_BYTES_MIN: u64 = 64 * 1024;

/// Where the lines of one service go.
pub(crate) struct Log {
    path: PathBuf,
    keep: AtomicU64,
    counts: Counts,
    state: Mutex<State>,
}

/// Numbers for metrics, read without waiting for a slow disk.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) lines: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) lost: AtomicU64,
}

struct State {
    file: Option<File>,
    /// The length of the file up to its last whole line.
    written: u64,
    recent: VecDeque<Arc<Line>>,
    recent_bytes: usize,
    /// The last lines of each replica there is, however much the others print.
    last: BTreeMap<String, VecDeque<Arc<Line>>>,
    /// True from a failed write to the next good one: then only memory has the newest lines.
    failing: bool,
    followers: broadcast::Sender<Arc<Line>>,
}

impl Log {
    /// The log of a service in this folder. `keep` bounds the current and the older file together.
    pub(crate) fn new(folder: &Path, service: &str, keep: u64) -> Log {
        let (followers, _) = broadcast::channel(FOLLOWER_LINES_MAX);
        let state = State {
            file: None,
            written: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            last: BTreeMap::new(),
            failing: false,
            followers,
        };
        Log {
            path: folder.join(format!("{service}.log")),
            keep: AtomicU64::new(keep),
            counts: Counts::default(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Changes how much is kept, from the next line on.
    pub(crate) fn keep(&self, bytes: u64) {
        self.keep.store(bytes, Ordering::Relaxed);
    }

    /// Appends lines that were read at once. Never fails: what the disk does not take is counted as lost and stays in
    /// memory for a while.
    pub(crate) fn append(&self, source: &Source, at_ms: i64, pieces: &[Piece<'_>]) {
        let mut stored = String::with_capacity(pieces.iter().map(|piece| piece.text.len() + 48).sum());
        for piece in pieces {
            piece.store(source, at_ms, &mut stored);
        }
        let count = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
        self.counts.lines.fetch_add(count, Ordering::Relaxed);
        self.counts.bytes.fetch_add(u64::try_from(stored.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut state = self.lock();
        if let Err(error) = self.write(&mut state, stored.as_bytes()) {
            self.counts.lost.fetch_add(count, Ordering::Relaxed);
            if !std::mem::replace(&mut state.failing, true) {
                tracing::warn!(file = %self.path.display(), %error, "output cannot be stored and is lost");
            }
        } else if std::mem::take(&mut state.failing) {
            tracing::info!(file = %self.path.display(), "output is stored again");
        }
        state.remember(source, at_ms, pieces);
    }

    fn write(&self, state: &mut State, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let half = self.keep.load(Ordering::Relaxed).max(KEEP_BYTES_MIN) / 2;
        if state.file.is_none() {
            self.open(state)?;
        }
        if state.written > 0 && state.written + length > half {
            // Closed first: whatever fails here, the next line opens what there is then.
            state.file = None;
            fs::rename(&self.path, self.older())?;
            self.open(state)?;
        }
        let written = state.written;
        let file = state.file.as_mut().expect("it was opened above");
        if let Err(error) = file.write_all(bytes) {
            // Half a batch would leave a torn line for the next writer to continue.
            let _ = file.set_len(written);
            return Err(error);
        }
        state.written += length;
        Ok(())
    }

    fn open(&self, state: &mut State) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
        state.written = file.metadata()?.len();
        state.file = Some(file);
        Ok(())
    }

    /// A replica begins to print here.
    pub(crate) fn know(&self, replica: &str) {
        self.lock().last.entry(replica.to_owned()).or_default();
    }

    /// A replica is gone for good, and what it may still print is not asked for.
    pub(crate) fn forget(&self, replica: &str) {
        self.lock().last.remove(replica);
    }

    /// The last lines of one replica, for an error message.
    pub(crate) fn last_of(&self, replica: &str) -> Vec<String> {
        let state = self.lock();
        state.last.get(replica).into_iter().flatten().map(|line| line.text.clone()).collect()
    }

    /// The last `count` lines and, from exactly there on, those to come.
    pub(crate) fn read(&self, count: usize, follow: bool) -> io::Result<Lines> {
        let mut state = self.lock();
        let following = follow.then(|| Follow { receiver: state.followers.subscribe() });
        if state.failing || state.recent.len() >= count {
            let skip = state.recent.len().saturating_sub(count);
            let past = state.recent.iter().skip(skip).map(|line| Line::clone(line)).collect();
            return Ok(Lines { past, following });
        }
        // The files are opened while nobody writes, so that no line is in both halves of the answer or in neither.
        let current = state.file.as_mut().map(|file| file.try_clone()).transpose()?;
        let current = current.map_or_else(|| open_if_there(&self.path), |file| Ok(Some(file)))?;
        let older = open_if_there(&self.older())?;
        let length = if state.file.is_some() { Some(state.written) } else { None };
        drop(state);
        let mut past = Vec::new();
        for (file, length) in [(current, length), (older, None)] {
            if let Some(file) = file.filter(|_| past.len() < count) {
                past.splice(0..0, tail(file, length, count - past.len())?);
            }
        }
        Ok(Lines { past, following })
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("log.1")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, source: &Source, at_ms: i64, pieces: &[Piece<'_>]) {
        let followed = self.followers.receiver_count() > 0;
        let forgotten = if followed { 0 } else { pieces.len().saturating_sub(RECENT_LINES_MAX) };
        for piece in &pieces[forgotten..] {
            let line = Arc::new(piece.line(source, at_ms));
            if followed {
                // Fails only when the last follower left just now.
                let _ = self.followers.send(Arc::clone(&line));
            }
            if let Some(last) = self.last.get_mut(&source.replica) {
                last.push_back(Arc::clone(&line));
                if last.len() > LAST_LINES_MAX {
                    last.pop_front();
                }
            }
            self.recent_bytes += line.text.len();
            self.recent.push_back(line);
            while self.recent.len() > RECENT_LINES_MAX || self.recent_bytes > RECENT_BYTES_MAX {
                let oldest = self.recent.pop_front();
                self.recent_bytes -= oldest.map_or(0, |line| line.text.len());
            }
        }
    }
}

/// What was printed, and what will be.
#[derive(Debug)]
pub struct Lines {
    /// The lines there were, oldest first.
    pub past: Vec<Line>,
    /// The lines to come, when they were asked for.
    pub following: Option<Follow>,
}

/// The lines to come.
#[derive(Debug)]
pub struct Follow {
    receiver: broadcast::Receiver<Arc<Line>>,
}

/// What a follower gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The next line.
    Line(Arc<Line>),
    /// So many lines came faster than they were taken.
    Missed(u64),
}

impl Follow {
    /// Waits for the next line; `None` when no more will come.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.receiver.recv().await {
            Ok(line) => Some(Followed::Line(line)),
            Err(RecvError::Lagged(missed)) => Some(Followed::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last `count` lines of a file, up to `length`, reading no more of it than needed.
fn tail(mut file: File, length: Option<u64>, count: usize) -> io::Result<Vec<Line>> {
    const CHUNK: u64 = 64 * 1024;
    let mut start = match length {
        Some(length) => length,
        None => file.metadata()?.len(),
    };
    let least = start.saturating_sub(TAIL_BYTES_MAX);
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends = 0;
    // One line end more than lines: the one before the first.
    while start > least && ends <= count {
        let step = CHUNK.min(start - least);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = vec![0; usize::try_from(step).expect("a chunk is small")];
        file.read_exact(&mut chunk)?;
        ends += chunk.iter().filter(|byte| **byte == b'\n').count();
        chunk.append(&mut bytes);
        bytes = chunk;
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let skip = lines.len().saturating_sub(count);
    Ok(lines.into_iter().skip(skip).collect())
}

#[cfg(test)]
mod tests;
