//! `prumo up --keep`: starts prumo, holds its listening sockets, and starts it again when it ends unasked.
//!
//! The process that is kept may change: a successor says that it is the one to watch now. All of them hold the other
//! end of one line, so that its end means that the last of them has gone. Whatever they leave becomes this process's
//! child, and is collected here.

use std::os::fd::OwnedFd;
use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::{Clock, Moment};
use prumo_drain::{Signal, Signals};
use prumo_run::driver::own;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::cli::{Exit, Outcome};
use crate::daemon::Options;
use crate::handover::inherit::{Named, given_sockets};
use crate::handover::{Line, Message, Origin, notify};
use crate::{log, watched};

/// How often ended processes are collected.
const COLLECT_EVERY: Duration = Duration::from_millis(100);

/// How long a process that has closed its line may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Ends within this time count together.
const WINDOW: Duration = Duration::from_secs(60);

/// So many ends within the window are called a crash loop.
const CRASH_LOOP: usize = 5;

/// The longest wait before a start.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What became of a process that was kept.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It stopped in order or could not start: so does the keeper, with this code.
    Over(u8),
    /// It is to be started again.
    Again,
}

/// Keeps prumo running until it is asked to stop.
pub(crate) async fn keep(options: &Options, clock: Clock) -> Outcome {
    log::start(clock.clone(), options.quiet);
    let mut signals = prumo_drain::signals();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| failed("the keeper cannot collect ended processes", &error.into()))?;
    let mut keeper =
        Keeper { held: given_sockets()?, ended: None, beat_every: watched::beat_every(), last_beat: None, clock };
    let mut ends: Vec<Moment> = Vec::new();
    loop {
        let (mut child, line) = keeper.start(options).await?;
        let pause = match keeper.watch(&mut child, &line, &mut signals).await {
            End::Over(code) => return Ok(exit_of(code)),
            End::Again => {
                let now = keeper.clock.now();
                ends.retain(|end| now.since(*end) < WINDOW);
                ends.push(now);
                pause_after(ends.len())
            }
        };
        if ends.len() >= CRASH_LOOP {
            tracing::error!(ends = ends.len(), within_s = WINDOW.as_secs(), "crash loop: prumo ends again and again");
        }
        tracing::warn!(pause_ms = pause.as_millis(), "prumo is started again; connections wait meanwhile");
        tokio::select! {
            () = keeper.clock.sleep(pause) => {}
            () = async { while signals.next().await != Signal::Stop {} } => return Ok(exit_of(0)),
        }
    }
}

/// The wait before the start after so many ends within the window.
fn pause_after(ends: usize) -> Duration {
    match u32::try_from(ends).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        more => Duration::from_millis(250).saturating_mul(2_u32.saturating_pow((more - 2).min(16))).min(PAUSE_MAX),
    }
}

struct Keeper {
    /// The sockets that connections wait at while there is no prumo.
    held: Vec<Named>,
    /// How the process that is watched ended, once it is collected.
    ended: Option<WaitStatus>,
    /// How often a service manager wants to hear of us, and when it last has.
    beat_every: Option<Duration>,
    last_beat: Option<Moment>,
    clock: Clock,
}

/// The process to watch.
struct Kept {
    pid: u32,
    /// Whether it ever said that it serves.
    has_served: bool,
    is_asked_to_stop: bool,
    /// What it said that it ends with, after it has stopped in order.
    over: Option<u8>,
}

impl Keeper {
    async fn start(&mut self, options: &Options) -> Result<(Kept, Line), Refusal> {
        let start = || {
            let (line, theirs) = Line::pair()?;
            let mut arguments = vec!["up".into(), "--inherit".into()];
            arguments.extend(options.arguments.iter().cloned());
            let child = own::start(&own::program()?, &arguments, theirs, None, false)?;
            Ok::<_, std::io::Error>((line, child.id()))
        };
        let (line, pid) = start().map_err(|error| failed("prumo cannot be started", &error))?;
        for Named { name, given, descriptor } in &self.held {
            // A child that is gone already is noticed by its line.
            drop(line.send_with(&Message::Socket { name: *name, given: *given }, descriptor).await);
        }
        drop(line.send(&Message::Begin { origin: Origin::Keeper }).await);
        self.ended = None;
        Ok((Kept { pid, has_served: false, is_asked_to_stop: false, over: None }, line))
    }

    /// Watches until the line ends, then says what that means.
    async fn watch(&mut self, kept: &mut Kept, line: &Line, signals: &mut Signals) -> End {
        let mut fresh = Vec::new();
        loop {
            tokio::select! {
                heard = line.next() => match heard {
                    Ok(Some((message, descriptor))) => self.note(kept, &mut fresh, message, descriptor),
                    Ok(None) => break,
                    Err(error) => tracing::warn!(%error, "prumo said something that its keeper does not understand"),
                },
                signal = signals.next() => {
                    kept.is_asked_to_stop |= signal == Signal::Stop;
                    send(kept.pid, signal);
                }
                () = self.clock.sleep(COLLECT_EVERY) => {
                    self.collect(kept.pid);
                    self.beat();
                }
            }
        }
        let status = self.await_end(kept.pid).await;
        let end = judge(status.and_then(|status| status.exit_status()), kept);
        if end == End::Again {
            let how = status.map_or_else(|| "it vanished".to_owned(), describe);
            tracing::error!(pid = kept.pid, how, "prumo ended unasked");
        }
        end
    }

    fn note(&mut self, kept: &mut Kept, fresh: &mut Vec<Named>, message: Message, descriptor: Option<OwnedFd>) {
        match (message, descriptor) {
            (Message::Socket { name, given }, Some(descriptor)) => fresh.push(Named { name, given, descriptor }),
            (Message::Hold, _) => self.held = std::mem::take(fresh),
            (Message::Main { pid }, _) => {
                if !kept.has_served {
                    notify::tell("READY=1");
                }
                if kept.pid != pid {
                    (kept.pid, self.ended) = (pid, None);
                }
                kept.has_served = true;
                if kept.is_asked_to_stop {
                    // Asked before it was the one to ask.
                    send(pid, Signal::Stop);
                }
            }
            (Message::Over { code }, _) => kept.over = Some(code),
            _ => {}
        }
    }

    /// Collects processes that have ended: the one that is kept, and orphans.
    fn collect(&mut self, watched: u32) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get().unsigned_abs() == watched {
                self.ended = Some(status);
            }
        }
    }

    /// Says to a service manager, when it asks, that the keeper is well. How prumo is, the keeper judges.
    fn beat(&mut self) {
        let Some(every) = self.beat_every else { return };
        let now = self.clock.now();
        if self.last_beat.is_none_or(|last| now.since(last) >= every) {
            notify::tell("WATCHDOG=1");
            self.last_beat = Some(now);
        }
    }

    /// How the process ended; nothing when somebody else has collected it, or it does not end.
    async fn await_end(&mut self, pid: u32) -> Option<WaitStatus> {
        let deadline = self.clock.now() + ENDS_WITHIN;
        loop {
            // Looked at first: one that ends in between is collected, or looked at again.
            let has_ended = !lives(pid);
            self.collect(pid);
            if self.ended.is_some() {
                return self.ended;
            }
            if has_ended || self.clock.now() >= deadline {
                return None;
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A process that stopped in order, as it was asked or by a signal of its own, is over; so is one that never served,
/// whose error a person has to read. Anything else is an accident.
fn judge(code: Option<i32>, kept: &Kept) -> End {
    if let Some(code) = kept.over {
        return End::Over(code);
    }
    match code.and_then(|code| u8::try_from(code).ok()) {
        Some(0) => End::Over(0),
        Some(code) if !kept.has_served || kept.is_asked_to_stop => End::Over(code),
        None if kept.is_asked_to_stop => End::Over(1),
        _ => End::Again,
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Whether it runs. One that its parent, a predecessor, has not collected yet does not.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may contain anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Passes a signal on to a prumo.
pub(crate) fn send(pid: u32, signal: Signal) {
    let signal = match signal {
        Signal::Stop => rustix::process::Signal::TERM,
        Signal::Reload => rustix::process::Signal::HUP,
    };
    if let Some(pid) = id(pid) {
        // One that has just ended needs no signal.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn id(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn failed(what: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("{what}: {error}"))
}

/// A code that no prumo ends with, such as that of a panic, is a failure.
fn exit_of(code: u8) -> Exit {
    Exit::ALL.iter().map(|(exit, _)| *exit).find(|exit| *exit as u8 == code).unwrap_or(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: one that said that it has stopped in order is not started again, whatever its parent learns; one that was not
    /// asked is.
    #[test]
    fn ends_are_judged() {
        let check = |(has_served, is_asked_to_stop, over), code: Option<i32>, expected: End| {
            let kept = Kept { pid: 1, has_served, is_asked_to_stop, over };
            assert_eq!(judge(code, &kept), expected, "{has_served} {is_asked_to_stop} {over:?} {code:?}");
        };
        check((true, false, None), Some(0), End::Over(0));
        check((true, false, None), Some(101), End::Again);
        check((true, false, None), None, End::Again);
        check((true, true, None), None, End::Over(1));
        check((true, true, Some(0)), None, End::Over(0));
        check((true, false, Some(0)), None, End::Over(0));
        check((false, false, None), Some(3), End::Over(3));
    }

    /// Goal: the first start again is at once, further ones wait longer, up to a bound.
    #[test]
    fn pauses_grow() {
        let check = |ends, millis| assert_eq!(pause_after(ends), Duration::from_millis(millis), "{ends}");
        check(1, 0);
        check(2, 250);
        check(3, 500);
        check(5, 2000);
        check(7, 8000);
        check(8, 10_000);
        check(100_000, 10_000);
    }
}
