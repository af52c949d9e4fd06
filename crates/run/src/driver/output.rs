//! What replicas print, read line by line without ever blocking them for long and without losing it when prumo is
//! replaced.
//!
//! Each replica has two named pipes in the state folder. The replica holds both ends of its own, so that it neither
//! gets a SIGPIPE nor loses what is in the pipe while there is no prumo; the next prumo opens them and reads on. One
//! thread reads all of them.

pub(crate) mod lines;
pub(crate) mod log;

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use prumo_clock::Clock;
use prumo_drain::Stage;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchown, mkfifoat};
use rustix::pipe::fcntl_setpipe_size;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use crate::driver::output::lines::{Source, Splitter};
use crate::driver::output::log::Log;
use crate::driver::user::User;

/// What a pipe holds while prumo is away or busy: the most an ordinary user may ask for.
const PIPE_BYTES: usize = 1 << 20;

/// Bytes taken from a pipe at a time.
const READ_BYTES: usize = 64 * 1024;

/// Orders to the reading thread that may wait. Each start of a replica sends two.
const ORDERS_MAX: usize = 256;

/// The two pipes of a replica, by the names of its streams.
#[derive(Clone, Debug)]
pub(crate) struct Pipes {
    out: PathBuf,
    err: PathBuf,
}

/// The ends that a new replica gets, and the ends that prumo reads.
pub(crate) struct Opened {
    pub(crate) child: (OwnedFd, OwnedFd),
    pub(crate) read: (OwnedFd, OwnedFd),
}

impl Pipes {
    /// The pipes of a replica, whether they exist or not.
    pub(crate) fn of(folder: &Path, replica: &str) -> Pipes {
        Pipes { out: folder.join(format!("{replica}.out")), err: folder.join(format!("{replica}.err")) }
    }

    /// Makes new pipes for a replica that is about to start.
    pub(crate) fn make(&self, user: Option<&User>) -> io::Result<Opened> {
        let (out, err) = (make_pipe(&self.out, user)?, make_pipe(&self.err, user)?);
        Ok(Opened { child: (out.0, err.0), read: (out.1, err.1) })
    }

    /// Opens the pipes of a replica that already runs, to read on.
    pub(crate) fn reopen(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        Ok((open_to_read(&self.out)?, open_to_read(&self.err)?))
    }

    /// Removes them. Whoever has them open keeps them.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.out);
        let _ = fs::remove_file(&self.err);
    }
}

fn make_pipe(path: &Path, user: Option<&User>) -> io::Result<(OwnedFd, OwnedFd)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?,
    }
    let read = open_to_read(path)?;
    let child: OwnedFd = fs::OpenOptions::new().read(true).write(true).open(path)?.into();
    if let Some(user) = user {
        // A program that opens /dev/stdout by name needs the right to.
        fchown(&child, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
    }
    // A smaller pipe works too; the limit of the user may be used up.
    let _ = fcntl_setpipe_size(&child, PIPE_BYTES);
    Ok((child, read))
}

fn open_to_read(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).expect("open flags fit the type that open takes");
    Ok(fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
}

/// The thread that reads every pipe.
#[derive(Clone)]
pub(crate) struct Capture {
    orders: mpsc::Sender<Order>,
}

struct Order {
    descriptor: OwnedFd,
    source: Source,
    log: Arc<Log>,
    ended: oneshot::Sender<()>,
}

/// Tells when a replica's output has been read to its end.
pub(crate) struct Reading {
    streams: Vec<oneshot::Receiver<()>>,
}

impl Reading {
    /// Completes when everything the replica printed is in the log.
    pub(crate) async fn ended(self) {
        for stream in self.streams {
            // An error means the same: the reader is gone.
            let _ = stream.await;
        }
    }
}

impl Capture {
    /// Starts the thread.
    pub(crate) fn start(stage: &Stage, clock: &Clock) -> io::Result<Capture> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (on_stage, clock) = (stage.clone(), clock.clone());
        stage.thread("capture", move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, read_all(on_stage, clock, received));
        })?;
        Ok(Capture { orders })
    }

    /// Reads both streams of a replica into its service's log until they end.
    pub(crate) async fn read(&self, read: (OwnedFd, OwnedFd), replica: &str, release: u64, log: &Arc<Log>) -> Reading {
        log.know(replica);
        let mut streams = Vec::new();
        for (descriptor, error) in [(read.0, false), (read.1, true)] {
            let (ended, ending) = oneshot::channel();
            let source = Source { replica: replica.to_owned(), release, error };
            let order = Order { descriptor, source, log: Arc::clone(log), ended };
            if self.orders.send(order).await.is_ok() {
                streams.push(ending);
            }
        }
        Reading { streams }
    }
}

async fn read_all(stage: Stage, clock: Clock, mut orders: mpsc::Receiver<Order>) {
    // One buffer for all: a stream holds it only between two waits.
    let buffer = Rc::new(RefCell::new(vec![0; READ_BYTES]));
    let stopping = stage.stopping();
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = stopping.wait() => None,
        };
        let Some(order) = order else { return };
        let (clock, buffer) = (clock.clone(), Rc::clone(&buffer));
        let stopping = stopping.clone();
        stage.spawn_local("capture-stream", async move {
            tokio::select! {
                read = read_stream(order, &clock, &buffer) => {
                    if let Err(error) = read {
                        tracing::warn!(%error, "output of a replica cannot be read any more");
                    }
                }
                () = stopping.wait() => {}
            }
        });
    }
}

async fn read_stream(order: Order, clock: &Clock, buffer: &RefCell<Vec<u8>>) -> io::Result<()> {
    let Order { descriptor, source, log, ended } = order;
    let receiver = pipe::Receiver::from_owned_fd(descriptor)?;
    let mut splitter = Splitter::default();
    loop {
        receiver.readable().await?;
        let mut buffer = buffer.borrow_mut();
        let read = match receiver.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let pieces = splitter.push(&buffer[..read]);
        if !pieces.is_empty() {
            log.append(&source, clock.wall().millis(), &pieces);
        }
    }
    if let Some(last) = splitter.finish() {
        log.append(&source, clock.wall().millis(), &[last]);
    }
    drop(ended);
    Ok(())
}

#[cfg(test)]
mod tests;
