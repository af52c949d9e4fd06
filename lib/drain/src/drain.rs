//! The owner of all stages, and the order in which they stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prumo_clock::{Clock, Moment};

use crate::stopping::Flag;
use crate::{Report, Stage, StageReport};

/// Owns every stage of a process. Clones own the same stages.
#[derive(Clone)]
pub struct Drain {
    clock: Clock,
    stages: Arc<Mutex<Vec<Stage>>>,
    hurry: Arc<Flag>,
}

impl Drain {
    /// A drain without stages; `clock` counts its deadline.
    pub fn new(clock: Clock) -> Drain {
        Drain { clock, stages: Arc::default(), hurry: Arc::default() }
    }

    /// A new stage, which stops before every stage created earlier.
    pub fn stage(&self, name: &'static str) -> Stage {
        let stage = Stage::new(name);
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(stage.clone());
        stage
    }

    /// All stages in the order they were created, for a look at what runs.
    pub fn stages(&self) -> Vec<Stage> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the stages one after the other, the last created first. All share one `deadline`; what has not ended by
    /// then is dropped and named in the report. Nothing started on these stages outlives this call, except a thread
    /// that does not look at its [`Stopping`](crate::Stopping) flag: a thread cannot be dropped.
    pub async fn stop(&self, deadline: Duration) -> Report {
        let deadline = self.clock.now() + deadline;
        let mut report = Report::default();
        while let Some(stage) = self.last_stage() {
            report.stages.push(self.stop_stage(&stage, deadline).await);
        }
        report
    }

    /// Cuts the deadline: see [`Hurry`].
    pub fn now(&self) {
        self.hurry().now();
    }

    /// A way to cut the deadline from elsewhere, such as from the task that hears the second signal.
    pub fn hurry(&self) -> Hurry {
        Hurry { flag: Arc::clone(&self.hurry) }
    }

    /// Takes stages one by one instead of all at once, so that a stage created while another stops is stopped too.
    fn last_stage(&self) -> Option<Stage> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn stop_stage(&self, stage: &Stage, deadline: Moment) -> StageReport {
        let began = self.clock.now();
        let running_before = stage.raise_stopping();
        let mut abandoned = Vec::new();
        // Work in flight may start tasks while it finishes, so look again after each time the stage was empty.
        while !stage.close_if_ended() {
            if !self.ended_in_time(stage, deadline.max(began + LAST_WORDS)).await {
                abandoned = stage.abandon();
                self.wait_until_dropped(stage).await;
            }
        }
        stage.join_ended_threads();
        let report = StageReport {
            name: stage.name(),
            finished: running_before.saturating_sub(abandoned.len()),
            abandoned,
            panicked: stage.panicked(),
            took: self.clock.now() - began,
        };
        log(&report);
        report
    }

    async fn ended_in_time(&self, stage: &Stage, deadline: Moment) -> bool {
        let in_a_hurry = async {
            self.hurry.wait().await;
            self.clock.sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            () = stage.ended() => true,
            () = self.clock.sleep_until(deadline) => false,
            () = in_a_hurry => false,
        }
    }

    /// An aborted task is dropped when its executor gets to it, which is at once unless something blocks there.
    async fn wait_until_dropped(&self, stage: &Stage) {
        let _ = self.clock.timeout(LAST_WORDS, stage.ended()).await;
    }
}

/// What a stage is given even when the deadline has passed before its turn came: one that has nothing to finish needs
/// a turn of its executor to say so, and the ledger an `fsync`. Chosen by hand: not noticed by the person who waits.
const LAST_WORDS: Duration = Duration::from_millis(100);

fn log(report: &StageReport) {
    let StageReport { name, finished, abandoned, panicked, took } = report;
    let took_ms = took.as_millis();
    if abandoned.is_empty() {
        tracing::debug!(stage = name, finished, panicked, took_ms, "stage stopped");
    } else {
        let abandoned = abandoned.join(", ");
        tracing::warn!(stage = name, finished, panicked, took_ms, abandoned, "stage did not stop in time");
    }
}

/// Cuts the deadline of a [`Drain::stop`], running or yet to come: what has not ended is dropped now.
#[derive(Clone)]
pub struct Hurry {
    flag: Arc<Flag>,
}

impl Hurry {
    /// Now means now.
    pub fn now(&self) {
        self.flag.raise();
    }
}

#[cfg(test)]
mod tests;
