//! A file on its way to the client, chunk by chunk, however large it is.
//!
//! There is one chunk for each download: the next is read when the client's socket has taken the one before. It is
//! smaller the more downloads there are, so that ten thousand slow clients hold no more memory than a few fast ones.

mod send;

use std::cell::Cell;
use std::future::Future;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;

use super::found::{Source, Stamp, Variant};
use super::look::{Patience, Trouble, read_at};
use super::readers::Readers;
use crate::body::BodyCut;
use crate::client::{Pace, Phase};
use crate::record::Record;

pub(crate) use self::send::Sent;

/// Chunks of all downloads of a core together, and the bounds of one. 64 KiB is as much as hyper takes at a time.
const CHUNKS_BYTES: usize = 32 << 20;
const CHUNK_BYTES_MAX: usize = 64 << 10;
const CHUNK_BYTES_MIN: usize = 4 << 10;

/// A file's answer on its way to the client. As for an upstream's, dropping it writes the record.
pub(crate) struct Download {
    rest: Rest,
    cut: Option<BodyCut>,
    record: Record,
    pace: Rc<Pace>,
}

enum Rest {
    /// At once, without a copy: the bytes are shared with whoever else downloads the file.
    Memory(Bytes),
    Disk(Box<Reading>),
}

impl Download {
    /// The bytes of `range`, which lies within the file.
    pub(crate) fn begin(
        variant: &Variant,
        range: Range<u64>,
        share: &Rc<Downloads>,
        record: Record,
        pace: Rc<Pace>,
    ) -> Download {
        pace.enter(Phase::Download);
        let rest = match &variant.source {
            Source::Memory(bytes) => Rest::Memory(bytes.slice(range.start as usize..range.end as usize)),
            Source::Disk(file) => {
                Rest::Disk(Box::new(Reading::new(Arc::clone(file), variant.stamp, range, Rc::clone(share))))
            }
        };
        Download { rest, cut: None, record, pace }
    }

    pub(crate) fn left(&self) -> u64 {
        match &self.rest {
            Rest::Memory(bytes) => bytes.len() as u64,
            Rest::Disk(reading) => reading.range.end - reading.range.start,
        }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        if let Some(cut) = self.cut {
            return Poll::Ready(Some(Err(cut)));
        }
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let read = match &mut self.rest {
            Rest::Memory(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            Rest::Disk(reading) => reading.poll_read(cx),
        };
        match read {
            Poll::Ready(Ok(bytes)) => {
                self.pace.deadline.progress();
                self.record.send(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Err(cut)) => self.cut(cut, cx),
            Poll::Pending if self.pace.is_expired() => self.cut(BodyCut::Stalled, cx),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Told to hyper at the next poll, after it has sent what it holds.
    fn cut(&mut self, why: BodyCut, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        self.cut = Some(why);
        self.record.cut(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.left() > 0 && !self.record.is_cut() {
            self.record.cut(if self.pace.is_expired() { BodyCut::Stalled } else { BodyCut::Client });
        }
        self.pace.enter(Phase::Waiting);
    }
}

/// What the downloads of a core share.
pub(crate) struct Downloads {
    readers: Readers,
    count: Cell<usize>,
}

impl Downloads {
    pub(crate) fn new(readers: Readers) -> Rc<Downloads> {
        Rc::new(Downloads { readers, count: Cell::new(0) })
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }
}

/// How much a download reads at a time when there are this many.
fn chunk_bytes(downloads: usize) -> usize {
    (CHUNKS_BYTES / downloads.max(1)).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

type Waited = Result<(Vec<u8>, Result<usize, Trouble>), super::readers::NobodyReads>;

/// A file that is read while it is sent.
struct Reading {
    file: Arc<OwnedFd>,
    stamp: Stamp,
    /// What is still to be sent.
    range: Range<u64>,
    home: Arc<Home>,
    chunk_bytes: usize,
    waits: Option<Pin<Box<dyn Future<Output = Waited>>>>,
    /// Up to here it was in memory when it was last asked about.
    asked_until: u64,
    share: Rc<Downloads>,
}

impl Reading {
    fn new(file: Arc<OwnedFd>, stamp: Stamp, range: Range<u64>, share: Rc<Downloads>) -> Reading {
        share.count.set(share.count.get() + 1);
        let chunk_bytes =
            chunk_bytes(share.count.get()).min(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        let home = Arc::new(Home::default());
        home.lock().chunk = Some(Vec::new());
        let asked_until = range.start;
        Reading { file, stamp, range, home, chunk_bytes, waits: None, asked_until, share }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyCut>> {
        let (chunk, read) = match &mut self.waits {
            Some(waits) => {
                let waited = std::task::ready!(waits.as_mut().poll(cx));
                self.waits = None;
                let Ok(waited) = waited else { return Poll::Ready(Err(BodyCut::File)) };
                waited
            }
            None => {
                let Some(mut chunk) = self.home.take(cx.waker()) else { return Poll::Pending };
                // Made at the first read: what is sent without a copy needs none.
                chunk.resize(self.chunk_bytes, 0);
                match read_at(&self.file, &mut chunk, self.range.start, Patience::None) {
                    Err(Trouble::WouldWait) => {
                        self.waits = Some(self.wait_for(chunk));
                        return self.poll_read(cx);
                    }
                    read => (chunk, read),
                }
            }
        };
        Poll::Ready(self.lend(chunk, read))
    }

    /// Reads on a thread that may wait for the disk.
    fn wait_for(&self, mut chunk: Vec<u8>) -> Pin<Box<dyn Future<Output = Waited>>> {
        let (file, offset, readers) = (Arc::clone(&self.file), self.range.start, self.share.readers.clone());
        Box::pin(async move {
            let read = move || {
                let read = read_at(&file, &mut chunk, offset, Patience::Endless);
                (chunk, read)
            };
            readers.run(read).await
        })
    }

    /// A file that became shorter, or was written to, is not the one that was promised: what is sent of it would be no
    /// state that it ever had.
    fn lend(&mut self, chunk: Vec<u8>, read: Result<usize, Trouble>) -> Result<Bytes, BodyCut> {
        let left = self.range.end - self.range.start;
        let length = match read {
            Ok(read @ 1..) => usize::try_from(left).map_or(read, |left| read.min(left)),
            Ok(0) => return Err(BodyCut::File),
            Err(trouble) => {
                tracing::warn!(?trouble, "a file could not be read to its end");
                return Err(BodyCut::File);
            }
        };
        if !self.is_same() {
            return Err(BodyCut::File);
        }
        self.range.start += length as u64;
        let loan = Loan { chunk, home: Arc::clone(&self.home) };
        Ok(Bytes::from_owner(loan).slice(..length))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.share.count.set(self.share.count.get() - 1);
    }
}

/// Where a download's one chunk comes back to.
#[derive(Default)]
struct Home {
    state: Mutex<HomeState>,
}

#[derive(Default)]
struct HomeState {
    chunk: Option<Vec<u8>>,
    waker: Option<Waker>,
}

impl Home {
    /// The chunk, or a wake when it is back.
    fn take(&self, waker: &Waker) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let chunk = state.chunk.take();
        if chunk.is_none() {
            state.waker = Some(waker.clone());
        }
        chunk
    }

    fn lock(&self) -> MutexGuard<'_, HomeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chunk, while hyper holds it.
struct Loan {
    chunk: Vec<u8>,
    home: Arc<Home>,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut state = self.home.lock();
        state.chunk = Some(std::mem::take(&mut self.chunk));
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
