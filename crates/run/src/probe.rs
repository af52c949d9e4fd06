//! Probes: asking a replica whether it can serve.

mod socket;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::Stage;
use prumo_probe::{Origin, is_shortage};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::desired::{Check, Health};
use crate::driver::environment::Environment;
use crate::driver::limits::Held;
use crate::driver::process::{Exit, Launch, NotStarted, Process};
use crate::driver::tree::Marker;
use crate::driver::user::User;
use crate::owner::Event;

/// Where a replica takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// A port of the loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(formatter),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Why a check is bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Nothing accepts a connection. Worth a look at where the process listens instead.
    NobodyListens(Address),
    /// Anything else, in words.
    Answer(String),
    /// Prumo had not what it takes to ask, which says nothing of the replica.
    NotAsked(String),
}

impl fmt::Display for Bad {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::NobodyListens(address) => write!(formatter, "nothing listens on {address}"),
            Bad::Answer(words) => formatter.write_str(words),
            Bad::NotAsked(words) => write!(formatter, "could not be checked: {words}"),
        }
    }
}

/// What is asked of one replica, and how.
pub(crate) struct Probe {
    pub(crate) service: String,
    pub(crate) replica: String,
    /// Which start of the replica this asks; answers about an earlier one are ignored.
    pub(crate) starts: u64,
    pub(crate) health: Health,
    pub(crate) address: Option<Address>,
    pub(crate) command: CommandContext,
    pub(crate) clock: Clock,
}

/// What a check command needs: it runs as the service does.
#[derive(Clone)]
pub(crate) struct CommandContext {
    pub(crate) folder: PathBuf,
    pub(crate) environment: Arc<Environment>,
    pub(crate) user: Option<User>,
    pub(crate) marker: Marker,
    pub(crate) stage: Stage,
}

/// The first check of a new replica comes this soon, the next ones ever later, so that a deploy of a quick app is quick
/// and a slow app is not pestered.
const FIRST_AFTER: Duration = Duration::from_millis(50);

/// A process that lives this long counts as started when nothing else can be asked.
const ALIVE_AFTER: Duration = Duration::from_secs(1);

/// How far checks of different replicas drift apart, in percent, so that they do not all come at once.
const SPREAD_PERCENT: u32 = 10;

impl Probe {
    /// Checks again and again and reports each outcome, until the task is dropped or nobody listens.
    pub(crate) async fn repeat(self, reports: mpsc::Sender<Event>) {
        let first = if self.health.check == Check::Alive { ALIVE_AFTER } else { FIRST_AFTER };
        let mut wait = first.min(self.health.every);
        let mut good_in_a_row = 0;
        let mut settled = false;
        loop {
            self.clock.sleep(wait).await;
            let outcome = self.check().await;
            good_in_a_row = if outcome.is_ok() { good_in_a_row + 1 } else { 0 };
            settled |= good_in_a_row >= self.health.healthy.max(1);
            let (service, replica) = (self.service.clone(), self.replica.clone());
            if reports.send(Event::Probed { service, replica, starts: self.starts, outcome }).await.is_err() {
                return;
            }
            wait = if settled {
                self.clock.jitter(self.health.every, SPREAD_PERCENT)
            } else if wait >= first * 2 || good_in_a_row == 0 {
                (wait * 5 / 4).min(self.health.every)
            } else {
                wait
            };
        }
    }

    /// Checks once.
    pub(crate) async fn check(&self) -> Result<(), Bad> {
        let timeout = self.health.timeout;
        match self.clock.timeout(timeout, self.ask()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Bad::Answer(format!("{} did not answer within {}", self.question(), in_words(timeout)))),
        }
    }

    async fn ask(&self) -> Result<(), Bad> {
        match (&self.health.check, &self.address) {
            (Check::Alive, _) => Ok(()),
            (Check::Command(argv), _) => self.ask_command(argv).await,
            (_, None) => Err(Bad::Answer("the service listens to nothing".to_owned())),
            (check, Some(address)) => match question(check) {
                Some(question) => ask(&question, address).await,
                None => Ok(()),
            },
        }
    }

    async fn ask_command(&self, argv: &[String]) -> Result<(), Bad> {
        let context = &self.command;
        let launch = Launch {
            argv,
            folder: &context.folder,
            environment: &context.environment,
            user: context.user.clone(),
            output: None,
            marker: context.marker.clone(),
            held: Held::default(),
        };
        let process = Process::start(launch).map_err(|error| match error {
            NotStarted::Shortage(words) => Bad::NotAsked(words),
            NotStarted::Fault(words) => Bad::Answer(words),
        })?;
        let mut asked = Asked { process: Some(process), stage: context.stage.clone() };
        let exit = asked.ended().await;
        match exit {
            Exit::Code(0) => Ok(()),
            exit => Err(Bad::Answer(format!("{} {exit}", self.question()))),
        }
    }

    fn question(&self) -> String {
        match &self.health.check {
            Check::Command(argv) => format!("`{}`", argv.join(" ")),
            check => question(check).map_or_else(|| "the process".to_owned(), |question| question.to_string()),
        }
    }
}

/// What is asked over the network; nothing for what is asked otherwise.
fn question(check: &Check) -> Option<prumo_probe::Check> {
    Some(match check {
        Check::Tcp => prumo_probe::Check::Connection,
        Check::Http { path, status, body } => {
            prumo_probe::Check::Http { path: path.clone(), status: status.clone(), body: body.clone() }
        }
        Check::Grpc { service } => prumo_probe::Check::Grpc { service: service.clone() },
        Check::WebSocket { path } => prumo_probe::Check::WebSocket { path: path.clone() },
        Check::Command(_) | Check::Alive => return None,
    })
}

async fn ask(question: &prumo_probe::Check, address: &Address) -> Result<(), Bad> {
    let answered = match address {
        Address::Tcp(tcp) => {
            let stream = TcpStream::connect(tcp).await.map_err(|error| refused(address, &error))?;
            let host = tcp.to_string();
            prumo_probe::ask(question, stream, Origin { scheme: "http", host: &host }).await
        }
        Address::Unix(path) => {
            let stream = socket::connect(path).await.map_err(|error| refused(address, &error))?;
            prumo_probe::ask(question, stream, Origin { scheme: "http", host: "localhost" }).await
        }
    };
    answered.map_err(Bad::Answer)
}

/// A check command. One that takes too long is ended, with all it started, and waited for, so that no zombie stays.
struct Asked {
    process: Option<Process>,
    stage: Stage,
}

impl Asked {
    /// Waits for its end. What it left behind in its process group is ended with it; looking through every process of
    /// the machine after each check would cost more than the checks.
    async fn ended(&mut self) -> Exit {
        let Some(process) = &self.process else { return Exit::Unknown };
        let exit = process.ended().await;
        process.tree.kill_group();
        self.process = None;
        exit
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        process.tree.signal_all(rustix::process::Signal::KILL);
        self.stage.spawn("check-command-end", async move {
            process.ended().await;
        });
    }
}

fn refused(address: &Address, error: &io::Error) -> Bad {
    let to = if let Address::Tcp(to) = address { Some(*to) } else { None };
    match error.kind() {
        _ if is_shortage(error, to) => Bad::NotAsked(error.to_string()),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Bad::NobodyListens(address.clone()),
        _ => Bad::Answer(format!("cannot connect to {address}: {error}")),
    }
}

/// A duration as people write it.
pub(crate) fn in_words(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests;
