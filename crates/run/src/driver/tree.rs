//! The tree of processes of one replica: who belongs to it, and how to end all of it.

use std::collections::BTreeMap;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::driver::limits::Groups;
use crate::driver::proc;

/// The variable that every process of a replica inherits.
pub(crate) const MARKER: &str = "PRUMO_REPLICA";

/// What the variable says: which state folder, which replica, which start of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Marker {
    pub(crate) site: String,
    pub(crate) replica: String,
    pub(crate) nonce: String,
}

impl Marker {
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}", self.site, self.replica, self.nonce)
    }

    fn parse(text: &str) -> Option<Marker> {
        let mut parts = text.split('/').map(str::to_owned);
        let marker = Marker { site: parts.next()?, replica: parts.next()?, nonce: parts.next()? };
        parts.next().is_none().then_some(marker)
    }
}

/// One process, named so that its number cannot be mistaken for a later one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

/// Every living process that carries a marker of this site, by marker. The leader of a tree comes first.
pub(crate) fn marked(site: &str) -> BTreeMap<Marker, Vec<Member>> {
    let mut found: BTreeMap<Marker, Vec<Member>> = BTreeMap::new();
    for pid in proc::pids() {
        let Some(marker) = proc::variable(pid, MARKER).and_then(|text| Marker::parse(&text)) else { continue };
        let Some(stat) = proc::stat(pid).filter(|stat| !stat.zombie) else { continue };
        if marker.site == site {
            let members = found.entry(marker).or_default();
            let position = if stat.session == pid { 0 } else { members.len() };
            members.insert(position, Member { pid, start_ticks: stat.start_ticks });
        }
    }
    found
}

/// The processes of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) leader: Member,
    pub(crate) marker: Marker,
    pub(crate) groups: Groups,
}

impl Tree {
    /// Everybody who lives, by session, marker and control group.
    pub(crate) fn members(&self) -> Vec<Member> {
        let grouped = self.groups.pids();
        let marker = self.marker.text();
        let session = self.session();
        let belongs = |stat: &proc::Stat| {
            grouped.contains(&stat.pid)
                || session.is_some_and(|session| stat.session == session && stat.start_ticks >= self.leader.start_ticks)
                || proc::variable(stat.pid, MARKER).is_some_and(|text| text == marker)
        };
        let living = proc::pids().into_iter().filter_map(proc::stat).filter(|stat| !stat.zombie);
        living.filter(belongs).map(|stat| Member { pid: stat.pid, start_ticks: stat.start_ticks }).collect()
    }

    /// The session is the leader's pid, unless that number went to somebody else after all of the session ended.
    fn session(&self) -> Option<u32> {
        match proc::stat(self.leader.pid) {
            Some(stat) if stat.start_ticks != self.leader.start_ticks => None,
            _ => Some(self.leader.pid),
        }
    }

    /// Asks the leader; a program knows best how to stop what it started.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        send(self.leader, signal);
    }

    /// Sends the signal to everybody and says how many there were.
    pub(crate) fn signal_all(&self, signal: Signal) -> usize {
        let members = self.members();
        if signal == Signal::KILL {
            self.groups.kill();
        }
        for member in &members {
            send(*member, signal);
        }
        members.len()
    }

    /// Kills what is left in the process group of a leader that ended, without looking for anybody else.
    pub(crate) fn kill_group(&self) {
        let group = self.session().and_then(|session| Pid::from_raw(i32::try_from(session).ok()?));
        if let Some(group) = group {
            // Nobody is left, most of the time.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Memory and processor time of the whole tree. Found without reading environments, because it is asked often.
    pub(crate) fn usage(&self) -> Usage {
        let mut pids = self.groups.pids();
        if !pids.contains(&self.leader.pid) {
            pids.push(self.leader.pid);
        }
        let stats = pids.into_iter().filter_map(proc::stat).filter(|stat| stat.start_ticks >= self.leader.start_ticks);
        stats.fold(Usage::default(), |sum, stat| Usage {
            memory_bytes: sum.memory_bytes + stat.memory_bytes,
            cpu_ticks: sum.cpu_ticks + stat.cpu_ticks,
        })
    }
}

/// What a tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_ticks: u64,
}

/// Sends a signal to exactly this process: the pid descriptor is opened first and the start time compared after, so
/// that a number that was given away meanwhile is noticed.
pub(crate) fn send(member: Member, signal: Signal) {
    let Some(pid) = i32::try_from(member.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if proc::stat(member.pid).is_some_and(|stat| stat.start_ticks == member.start_ticks) {
        // The only failure left is that it has just ended, which is what a signal is for.
        let _ = pidfd_send_signal(descriptor, signal);
    }
}

#[cfg(test)]
mod tests;
