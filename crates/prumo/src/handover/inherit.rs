//! What a process is given when it starts: by a keeper or a predecessor over the line at its standard input, or by
//! systemd as numbered descriptors.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_edge::{ListeningSocket, Scheme};
use prumo_run::driver::own::adopt_descriptor;
use rustix::net::{SocketType, getsockname, sockopt};

use super::{Line, Message, Name, Origin};
use crate::watched::{KEPT, kept_as, kept_name};

/// How long whoever started us may take to hand everything over.
const RECEIVED_WITHIN: Duration = Duration::from_secs(10);

/// The first descriptor that systemd passes.
const FIRST: RawFd = 3;

/// More descriptors than this are nobody's listening sockets.
const GIVEN_MAX: usize = 64;

/// A listening socket with its name.
#[derive(Debug)]
pub(crate) struct Named {
    pub name: Name,
    pub given: bool,
    pub descriptor: OwnedFd,
}

/// What a process is given when it starts. Nothing, when a person starts it.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    pub sockets: Vec<Named>,
    pub lock: Option<File>,
    pub keeper: Option<Line>,
    pub elders: Vec<Line>,
    pub predecessor: Option<Line>,
    pub error_output: Option<OwnedFd>,
}

impl Inheritance {
    /// Takes what comes over the line at the standard input.
    pub(crate) async fn receive(clock: &Clock) -> Result<Inheritance, Refusal> {
        let failed = |why: String| {
            Refusal::new(RefusalKind::Failed, format!("nothing was handed over: {why}"))
                .hint("`--inherit` is for prumo itself; use `prumo up`, `prumo up --keep` or `prumo upgrade`")
        };
        let line = line_at_input().map_err(|error| failed(error.to_string()))?;
        let received = clock.timeout(RECEIVED_WITHIN, Inheritance::read(line)).await;
        received.map_err(|_| failed("it took too long".to_owned()))?.map_err(|error| failed(error.to_string()))
    }

    async fn read(line: Line) -> io::Result<Inheritance> {
        let mut inheritance = Inheritance::default();
        loop {
            match line.next().await?.ok_or(io::ErrorKind::UnexpectedEof)? {
                (Message::Socket { name, given }, Some(descriptor)) => {
                    inheritance.sockets.push(Named { name, given, descriptor });
                }
                (Message::Lock, Some(descriptor)) => inheritance.lock = Some(descriptor.into()),
                (Message::Keeper, Some(descriptor)) => inheritance.keeper = Some(Line::over(descriptor)?),
                (Message::Elder, Some(descriptor)) => inheritance.elders.push(Line::over(descriptor)?),
                (Message::ErrorOutput, Some(descriptor)) => inheritance.error_output = Some(descriptor),
                (Message::Begin { origin: Origin::Keeper }, _) => {
                    inheritance.keeper = Some(line);
                    return Ok(inheritance);
                }
                (Message::Begin { origin: Origin::Predecessor }, _) => {
                    inheritance.predecessor = Some(line);
                    return Ok(inheritance);
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it was said in an unknown way")),
            }
        }
    }

    /// Takes the sockets that systemd opened for us or kept for us, if it did.
    pub(crate) fn from_service_manager() -> Result<Inheritance, Refusal> {
        Ok(Inheritance { sockets: given_sockets()?, ..Inheritance::default() })
    }

    /// The names under which systemd may keep what is here.
    pub(crate) fn kept_names(&self) -> BTreeSet<String> {
        self.sockets.iter().filter_map(kept_name).collect()
    }

    /// The sockets of the edge.
    pub(crate) fn take_edge_sockets(&mut self) -> Vec<ListeningSocket> {
        let is_edge = |named: &mut Named| matches!(named.name, Name::Http | Name::Https);
        let edge = self.sockets.extract_if(.., is_edge).map(|Named { name, given, descriptor }| {
            let scheme = if name == Name::Https { Scheme::Https } else { Scheme::Http };
            ListeningSocket { scheme, given, descriptor }
        });
        edge.collect()
    }

    /// The socket of this name.
    pub(crate) fn take(&mut self, name: Name) -> Option<Named> {
        let at = self.sockets.iter().position(|named| named.name == name)?;
        Some(self.sockets.remove(at))
    }
}

/// Takes the line away from the standard input, so that nobody we start has it.
fn line_at_input() -> io::Result<Line> {
    let line = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Line::over(line)
}

/// `sd_listen_fds(3)`: descriptors from 3 on, when they are meant for this process.
///
/// # Errors
/// When one is of no use to prumo. Whoever connects to it would wait for ever, so a person is told at once.
pub(crate) fn given_sockets() -> Result<Vec<Named>, Refusal> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let names = variable("LISTEN_FDNAMES");
    let count = count_given(&variable("LISTEN_PID"), &variable("LISTEN_FDS"), std::process::id());
    let mut names = names.split(':');
    let mut given: Vec<Named> = Vec::new();
    for number in 0..count {
        let name = names.next().unwrap_or_default();
        let raw = FIRST + RawFd::try_from(number).expect("at most some dozens");
        let descriptor = match adopt_descriptor(raw) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                tracing::warn!(descriptor = raw, %error, "systemd passed a descriptor that cannot be used");
                continue;
            }
        };
        if name.starts_with(KEPT) {
            // Kept for us by a former prumo, which may have been another version: what we do not know is closed.
            given.extend(kept_as(name).map(|name| Named { name, given: false, descriptor }));
            continue;
        }
        let known = look(&descriptor).and_then(|at| name_of(name, &at));
        let known = known.map_err(|why| misfit(number, name, &why))?;
        if known == Name::Admin && given.iter().any(|other| other.given && other.name == Name::Admin) {
            return Err(misfit(number, name, "there is one for the admin listener already"));
        }
        given.push(Named { name: known, given: true, descriptor });
    }
    Ok(given)
}

fn misfit(number: usize, name: &str, why: &str) -> Refusal {
    let called = if name.is_empty() { String::new() } else { format!(", called `{name}`") };
    let number = number + 1;
    Refusal::new(
        RefusalKind::Refused,
        format!("systemd passed a socket that prumo cannot serve (number {number}{called}): {why}"),
    )
    .hint("correct its socket unit: `ListenStream=` with an address, and `FileDescriptorName=` http, https or admin")
}

fn count_given(pid: &str, count: &str, own: u32) -> usize {
    let is_ours = pid.parse() == Ok(own);
    count.parse::<usize>().ok().filter(|_| is_ours).unwrap_or(0).min(GIVEN_MAX)
}

/// Where a socket listens.
#[derive(Clone, Copy, Debug)]
enum At {
    Network(SocketAddr),
    Path,
}

/// Where it listens, or why it does not.
fn look(descriptor: &OwnedFd) -> Result<At, String> {
    let is_stream = sockopt::socket_type(descriptor).map_err(|_| "it is no socket".to_owned())? == SocketType::STREAM;
    if !is_stream {
        return Err("it is not a stream socket".to_owned());
    }
    if !sockopt::socket_acceptconn(descriptor).unwrap_or(false) {
        return Err("it does not listen (`Accept=yes` is not for prumo)".to_owned());
    }
    let address = getsockname(descriptor).map_err(|error| error.to_string())?;
    Ok(SocketAddr::try_from(address).map_or(At::Path, At::Network))
}

/// By the unit's `FileDescriptorName=`, else by the port. systemd calls a socket as its unit when that says nothing.
fn name_of(name: &str, at: &At) -> Result<Name, String> {
    let name = match (name, at) {
        ("http", _) => Name::Http,
        ("https", _) => Name::Https,
        ("admin", _) => Name::Admin,
        ("" | "unknown", _) => by_port(at),
        (unit, _) if unit.ends_with(".socket") => by_port(at),
        _ => return Err("this is no name for a socket of prumo".to_owned()),
    };
    match (name, at) {
        (Name::Https, At::Path) => Err("HTTPS is served on the network only, and it is a Unix socket".to_owned()),
        (Name::Admin, At::Path) => Err("the admin listener is on the network, and it is a Unix socket".to_owned()),
        _ => Ok(name),
    }
}

fn by_port(at: &At) -> Name {
    match at {
        At::Network(address) if matches!(address.port(), 443 | 8443) => Name::Https,
        At::Network(address) if address.port() == 7700 => Name::Admin,
        _ => Name::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: descriptors are taken only when they are meant for this process, and never very many.
    #[test]
    fn only_what_is_ours_is_taken() {
        let check =
            |pid: &str, count: &str, expected| assert_eq!(count_given(pid, count, 42), expected, "{pid} {count}");
        check("42", "2", 2);
        check("41", "2", 0);
        check("", "2", 0);
        check("42", "", 0);
        check("42", "-1", 0);
        check("42", "100000", GIVEN_MAX);
    }

    /// Goal: a socket is known by the name that its unit gives it, else by its port; a name that is not ours, which may be
    /// a slip of the pen, is refused, and so is what cannot be served.
    #[test]
    fn sockets_have_names() {
        let at = |port| At::Network(SocketAddr::from(([127, 0, 0, 1], port)));
        let check = |name: &str, at: At, expected: Option<Name>| {
            assert_eq!(name_of(name, &at).ok(), expected, "{name} {at:?}");
        };
        check("https", at(80), Some(Name::Https));
        check("admin", at(80), Some(Name::Admin));
        check("http", at(443), Some(Name::Http));
        check("", at(443), Some(Name::Https));
        check("unknown", at(8443), Some(Name::Https));
        check("prumo.socket", at(7700), Some(Name::Admin));
        check("prumo.socket", at(81), Some(Name::Http));
        check("htps", at(443), None);
        check("http", At::Path, Some(Name::Http));
        check("web.socket", At::Path, Some(Name::Http));
        check("https", At::Path, None);
        check("admin", At::Path, None);
    }

    /// Goal: only a stream socket that listens is taken.
    #[test]
    fn only_listening_streams_are_taken() {
        let check = |descriptor: OwnedFd, expected: Option<&str>| {
            assert_eq!(look(&descriptor).err().as_deref(), expected);
        };
        check(std::net::TcpListener::bind("127.0.0.1:0").unwrap().into(), None);
        check(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into(), Some("it is not a stream socket"));
        check(File::open("/dev/null").unwrap().into(), Some("it is no socket"));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        check(one.into(), Some("it does not listen (`Accept=yes` is not for prumo)"));
    }
}
