//! What a process is given when it starts: by a keeper or a predecessor over the line at its standard input, or by
//! systemd as numbered descriptors.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_edge::{ListeningSocket, Scheme};
use prumo_run::driver::own::adopt_descriptor;

use super::{Line, Message, Name, Origin};

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

    /// Takes the sockets that systemd opened for us, if it did.
    pub(crate) fn from_service_manager() -> Inheritance {
        Inheritance { sockets: given_sockets(), ..Inheritance::default() }
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
pub(crate) fn given_sockets() -> Vec<Named> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let names = variable("LISTEN_FDNAMES");
    let count = count_given(&variable("LISTEN_PID"), &variable("LISTEN_FDS"), std::process::id());
    let mut names = names.split(':');
    let mut given = Vec::new();
    for number in 0..count {
        let name = names.next().unwrap_or_default();
        let raw = FIRST + RawFd::try_from(number).expect("at most some dozens");
        match adopt_descriptor(raw) {
            Ok(descriptor) => given.push(Named { name: name_of(name, &descriptor), given: true, descriptor }),
            Err(error) => tracing::warn!(descriptor = raw, %error, "systemd passed a descriptor that cannot be used"),
        }
    }
    given
}

fn count_given(pid: &str, count: &str, own: u32) -> usize {
    let is_ours = pid.parse() == Ok(own);
    count.parse::<usize>().ok().filter(|_| is_ours).unwrap_or(0).min(GIVEN_MAX)
}

/// By the unit's `FileDescriptorName=`, else by the port.
fn name_of(name: &str, descriptor: &OwnedFd) -> Name {
    match name {
        "http" => return Name::Http,
        "https" => return Name::Https,
        "admin" => return Name::Admin,
        _ => {}
    }
    let port = descriptor.try_clone().ok().and_then(|copy| TcpListener::from(copy).local_addr().ok());
    match port.map(|address| address.port()) {
        Some(443 | 8443) => Name::Https,
        Some(7700) => Name::Admin,
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

    /// Goal: a socket is known by the name that its unit gives it, else by its port.
    #[test]
    fn sockets_have_names() {
        let free: OwnedFd = TcpListener::bind("127.0.0.1:0").unwrap().into();
        assert_eq!(name_of("https", &free), Name::Https);
        assert_eq!(name_of("admin", &free), Name::Admin);
        assert_eq!(name_of("prumo.socket", &free), Name::Http);
    }
}
