//! What a service manager that watches this process hears while it runs: which sockets to keep for the process after it,
//! that it still serves, and when it reads its file again.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Stage;
use prumo_edge::{Edge, Scheme};

use crate::cli::Exit;
use crate::handover::inherit::Named;
use crate::handover::{Name, notify};

/// Sockets that systemd keeps for us have names that begin so, in every version; those that it opened itself have others.
pub(crate) const KEPT: &str = "prumo.";

/// How a socket is called while systemd keeps it. `None` for one that it opened itself, and for the command socket, whose
/// path is removed at an orderly stop. Each has a name of its own, so that one can be let go.
pub(crate) fn kept_name(named: &Named) -> Option<String> {
    let word = match named.name {
        Name::Http => "http",
        Name::Https => "https",
        Name::Admin => "admin",
        Name::Command => return None,
    };
    let inode = rustix::fs::fstat(&named.descriptor).ok().filter(|_| !named.given)?.st_ino;
    Some(format!("{KEPT}{word}.{inode}"))
}

/// Whose socket it is that systemd kept under this name.
pub(crate) fn kept_as(name: &str) -> Option<Name> {
    match name.strip_prefix(KEPT)?.split('.').next()? {
        "http" => Some(Name::Http),
        "https" => Some(Name::Https),
        "admin" => Some(Name::Admin),
        _ => None,
    }
}

/// Has exactly these sockets kept; of those that were handed to this process, the others are let go: nobody would accept
/// who connects to them.
pub(crate) fn keep_sockets(now: &[Named], handed: &BTreeSet<String>) {
    let mut kept = BTreeSet::new();
    for named in now {
        if let Some(name) = kept_name(named) {
            notify::keep(&name, named.descriptor.as_fd());
            kept.insert(name);
        }
    }
    handed.difference(&kept).for_each(|name| notify::let_go(name));
}

/// The sockets of the edge and the admin listener, as they are kept.
pub(crate) fn sockets_of(edge: &Edge, admin: &OwnedFd, admin_is_given: bool) -> std::io::Result<Vec<Named>> {
    let name = |scheme| if scheme == Scheme::Https { Name::Https } else { Name::Http };
    let edge = edge.sockets()?.into_iter();
    let mut sockets: Vec<Named> =
        edge.map(|one| Named { name: name(one.scheme), given: one.given, descriptor: one.descriptor }).collect();
    sockets.push(Named { name: Name::Admin, given: admin_is_given, descriptor: admin.try_clone()? });
    Ok(sockets)
}

/// How often a service manager wants to hear that all is well; `None` when it does not ask.
pub(crate) fn beat_every() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    // A third of what it waits, so that two may be late.
    let wanted = beat(variable("WATCHDOG_USEC")?.as_str(), variable("WATCHDOG_PID").as_deref(), std::process::id());
    wanted.filter(|_| notify::is_watched())
}

fn beat(micros: &str, pid: Option<&str>, own: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros.parse::<u64>().ok().filter(|micros| *micros > 0 && is_ours)?;
    Some(Duration::from_micros(micros) / 3)
}

/// Says again and again that all is well, as long as every core of the edge goes round: one that hangs, or has ended, is
/// what a watchdog is for.
pub(crate) fn watch(edge: &Edge, clock: &Clock, every: Duration, stage: &Stage) {
    let (edge, clock, stopping) = (edge.clone(), clock.clone(), stage.stopping());
    stage.spawn("watchdog", async move {
        let mut before = Vec::new();
        let mut is_silent = false;
        let mut stopped = std::pin::pin!(stopping.wait());
        loop {
            let now = edge.rounds();
            let goes = goes_round(&before, &now);
            if goes {
                notify::tell("WATCHDOG=1");
            } else if !is_silent {
                tracing::error!("a core of the edge hangs: the service manager is not told that all is well");
            }
            (before, is_silent) = (now, !goes);
            tokio::select! {
                () = clock.sleep(every) => {}
                () = &mut stopped => return,
            }
        }
    });
}

/// Ends this process when a core of the edge has failed: whoever starts it again is back with all cores and the same
/// replicas, while one that limps on would leave a part of the connections to nobody.
#[expect(
    clippy::disallowed_methods,
    reason = "as after a crash, what was started is left for the next process to adopt"
)]
pub(crate) fn end_without_cores(edge: &Edge, stage: &Stage) {
    let (edge, stopping) = (edge.clone(), stage.stopping());
    stage.spawn("cores", async move {
        tokio::select! {
            () = edge.core_lost() => {}
            () = stopping.wait() => return,
        }
        tracing::error!("a core of the edge has failed: prumo ends, and replicas go on until it is started again");
        std::process::exit(i32::from(Exit::Failed as u8));
    });
}

/// Whether every core has gone on since the look before.
fn goes_round(before: &[Option<u64>], now: &[Option<u64>]) -> bool {
    now.iter().enumerate().all(|(core, rounds)| rounds.is_some() && before.get(core) != Some(rounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: systemd hears three times as often as it asks, and only from the process that it asks.
    #[test]
    fn beats_are_for_whoever_is_asked() {
        let check = |micros: &str, pid: Option<&str>, expected: Option<u64>| {
            assert_eq!(beat(micros, pid, 42), expected.map(Duration::from_millis), "{micros} {pid:?}");
        };
        check("30000000", Some("42"), Some(10_000));
        check("30000000", None, Some(10_000));
        check("30000000", Some("41"), None);
        check("0", Some("42"), None);
        check("soon", Some("42"), None);
    }

    /// Goal: one core that stands still, or is gone, is enough for silence.
    #[test]
    fn a_hanging_core_is_noticed() {
        let check = |before: &[Option<u64>], now: &[Option<u64>], expected| {
            assert_eq!(goes_round(before, now), expected, "{before:?} {now:?}");
        };
        check(&[], &[Some(0), Some(0)], true);
        check(&[Some(1), Some(5)], &[Some(2), Some(6)], true);
        check(&[Some(1), Some(5)], &[Some(2), Some(5)], false);
        check(&[Some(1), Some(5)], &[Some(2), None], false);
    }

    /// Goal: a kept socket is found again by its name, one that systemd opened is not kept, and names differ.
    #[test]
    fn kept_sockets_have_names() {
        let listen = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let name = |name, given| kept_name(&Named { name, given, descriptor: listen() });
        let kept = name(Name::Https, false).unwrap();
        assert_eq!(kept_as(&kept), Some(Name::Https), "{kept}");
        assert_ne!(name(Name::Http, false), name(Name::Http, false));
        assert_eq!(name(Name::Http, true), None);
        assert_eq!(name(Name::Command, false), None);
        assert_eq!(kept_as("http"), None);
        assert_eq!(kept_as("prumo.future.7"), None);
    }
}
