//! What a change waits for, in words, for whoever waits for the change.

use std::time::Duration;

use crate::journal::Stopped;
use crate::run::{InFlight, Run};
use crate::status::{ReplicaState, ReplicaStatus, ServiceStatus, View};

/// Replicas that are named; more than two are counted.
const NAMED_MAX: usize = 2;

/// What a service waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The release that a deploy is bringing up, if one is under way.
    pub release: Option<u64>,
    /// Whether a deploy is under way, or the service is leaving the file.
    pub is_changing: bool,
    /// What is waited for, and how long it may take; nothing when nothing is.
    pub message: Option<String>,
}

/// How far a service is from so many replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// So many are healthy, and no other is left.
    Reached,
    /// Not yet.
    NotYet {
        /// How many are healthy.
        healthy: u32,
        /// What is known of why the others are not.
        why: Vec<String>,
    },
    /// It is stopped, so none runs.
    Stopped,
    /// Another number is wanted, or nothing of it is left.
    Changed,
}

/// How long a service may take beyond what its settings allow: a start of a process on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);

/// How long something may take.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    start_within: Duration,
    drain: Duration,
    stop: Duration,
}

impl Run {
    /// What a service waits for now; nothing when there is no such service.
    pub fn awaited(&self, service: &str) -> Option<Awaited> {
        let view = self.view(service).ok()?;
        let now_ms = self.clock().wall().millis();
        let requests = |replica: &ReplicaStatus| self.in_flight(&replica.endpoint_id());
        Some(Awaited {
            release: view.status.deploy.as_ref().map(|deploy| deploy.release),
            is_changing: view.status.deploy.is_some() || view.stopped == Stopped::NotInFile,
            message: in_words(&view.status, &|release| bounds(&view, release), now_ms, &requests),
        })
    }

    /// How far a service is from so many replicas.
    pub fn scaled(&self, service: &str, replicas: u32) -> Scaled {
        self.view(service).map_or(Scaled::Changed, |view| scaled(&view.status, view.stopped, replicas))
    }

    /// How long a service may take until it has as many replicas as it is to have: those that come become healthy, and
    /// those that go finish their requests and stop, as its settings allow.
    pub fn scales_within(&self, service: &str) -> Duration {
        let bounds = self.view(service).ok().and_then(|view| Some(bounds(&view, view.status.release?)));
        let Bounds { start_within, drain, stop } = bounds.unwrap_or_default();
        start_within.max(drain + stop) + MARGIN
    }
}

fn scaled(status: &ServiceStatus, stopped: Stopped, replicas: u32) -> Scaled {
    match stopped {
        Stopped::ByPerson => return Scaled::Stopped,
        Stopped::NotInFile => return Scaled::Changed,
        Stopped::No => {}
    }
    if status.wanted != replicas && status.deploy.is_none() {
        return Scaled::Changed;
    }
    let is_alone = status.replicas.len() == replicas as usize && status.deploy.is_none();
    if is_alone && status.healthy == replicas {
        return Scaled::Reached;
    }
    let reason = |replica: &ReplicaStatus| Some(format!("{}: {}", replica.replica, trouble(replica)?));
    Scaled::NotYet {
        healthy: status.healthy.min(replicas),
        why: status.replicas.iter().find_map(reason).into_iter().collect(),
    }
}

fn bounds(view: &View, release: u64) -> Bounds {
    view.specs.get(&release).map_or(Bounds::default(), |spec| Bounds {
        start_within: spec.health.start_within,
        drain: spec.drain,
        stop: spec.stop.within,
    })
}

/// Pure. What has to happen first is told first: health, then the last requests, then the end of processes.
fn in_words(
    status: &ServiceStatus,
    bounds: &dyn Fn(u64) -> Bounds,
    now_ms: i64,
    requests: &dyn Fn(&ReplicaStatus) -> InFlight,
) -> Option<String> {
    use ReplicaState::{Backoff, CrashLooping, Draining, Starting, Stopping, Unhealthy};
    let of = |states: &[ReplicaState]| -> Vec<&ReplicaStatus> {
        status.replicas.iter().filter(|replica| states.contains(&replica.state)).collect()
    };
    let starting = of(&[Starting, Unhealthy, Backoff, CrashLooping]);
    let (draining, stopping) = (of(&[Draining]), of(&[Stopping]));
    if let [first, ..] = starting.as_slice() {
        let since = status.deploy.as_ref().map_or(first.since_ms, |deploy| deploy.since_ms);
        let took = took(since, now_ms, bounds(first.release).start_within);
        let why = starting.iter().find_map(|replica| trouble(replica));
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        return Some(format!("waiting for {} to become healthy{why}, {took}", named(&starting)));
    }
    if let [first, ..] = draining.as_slice() {
        let took = took(first.since_ms, now_ms, bounds(first.release).drain);
        let left = draining.iter().map(|replica| requests(replica).requests).sum();
        let what = match left {
            0 => "the last requests".to_owned(),
            1 => "one request".to_owned(),
            more => format!("{more} requests"),
        };
        return Some(format!("waiting for {what} to {}, {took}", named(&draining)));
    }
    let first = stopping.first()?;
    let took = took(first.since_ms, now_ms, bounds(first.release).stop);
    Some(format!("waiting for {} to stop, {took}", named(&stopping)))
}

/// Why a replica is not healthy. One that has ended says more by that than what its check found at its empty port.
fn trouble(replica: &ReplicaStatus) -> Option<String> {
    let (check, exit) = (replica.last_check.clone(), replica.last_exit.clone());
    if replica.restarts > 0 || replica.pid.is_none() { exit.or(check) } else { check.or(exit) }
}

fn named(replicas: &[&ReplicaStatus]) -> String {
    let names: Vec<&str> = replicas.iter().take(NAMED_MAX).map(|replica| replica.replica.as_str()).collect();
    match replicas.len() {
        ..=NAMED_MAX => names.join(" and "),
        more => format!("{} and {} more", names.join(", "), more - NAMED_MAX),
    }
}

/// "12s of at most 30s".
fn took(since_ms: i64, now_ms: i64, most: Duration) -> String {
    let seconds = now_ms.saturating_sub(since_ms).max(0) / 1000;
    match most.as_secs() {
        0 => format!("{seconds}s so far"),
        most => format!("{seconds}s of at most {most}s"),
    }
}

#[cfg(test)]
mod tests;
