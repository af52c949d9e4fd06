//! Threads that wait for the disk, so that no core does.
//!
//! A core first asks for what is in memory only; what is not there is asked for again here. How much one core may ask for
//! at a time is bounded, so the queue is; who finds no place waits at its core.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use prumo_drain::Stage;
use tokio::sync::{Semaphore, oneshot};

/// Reads at once. A disk of today answers several as fast as one, and one that hangs should not hold up the rest; past
/// that more threads only wait in another place.
const THREADS: usize = 8;

/// Reads that one core may have on the way.
const ASKED_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A core's end of the queue.
#[derive(Clone)]
pub(crate) struct Readers {
    queue: SyncSender<Job>,
    places: Arc<Semaphore>,
}

/// Nobody reads: the edge stops, or the system gave no thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NobodyReads;

/// The threads' end of the queue, until they are started.
pub(crate) struct Waiting {
    jobs: Arc<Mutex<Receiver<Job>>>,
}

/// A queue for this many cores. The threads end when the last core has let go of its end.
pub(crate) fn queue(cores: usize) -> (Vec<Readers>, Waiting) {
    let (sender, receiver) = sync_channel(cores * ASKED_MAX);
    let readers = (0..cores).map(|_| Readers { queue: sender.clone(), places: Arc::new(Semaphore::new(ASKED_MAX)) });
    (readers.collect(), Waiting { jobs: Arc::new(Mutex::new(receiver)) })
}

impl Waiting {
    /// Starts the threads.
    pub(crate) fn start(self, stage: &Stage) -> std::io::Result<()> {
        for _ in 0..THREADS {
            let jobs = Arc::clone(&self.jobs);
            stage.thread("file reader", move || work(&jobs))?;
        }
        Ok(())
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // One waits for the next job, the others for that one.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        job();
    }
}

impl Readers {
    /// Does `work` on a thread that may wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NobodyReads> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| NobodyReads)?;
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            // Who asked may be gone; the place is taken until the work is done all the same.
            let _ = done.send(work());
            drop(place);
        });
        self.queue.try_send(job).map_err(|_| NobodyReads)?;
        result.await.map_err(|_| NobodyReads)
    }
}

#[cfg(test)]
mod tests;
