//! What should run: the services as the file wants them, and which release of each should serve.
//!
//! These are the types that run receives. The file itself is read elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Moment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A service as the file wants it. A release keeps one of these for ever.
///
/// A field that is added later needs `#[serde(default)]`, so that specs in older ledgers still read and still compare
/// equal: a newer prumo must not restart what did not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The name, unique on the site.
    pub name: String,
    /// The argument vector; `$PORT`, `$SOCKET`, `$REPLICA` and `$RELEASE` are filled in at the start.
    pub run: Vec<String>,
    /// The working folder, absolute.
    pub folder: PathBuf,
    /// The environment, on top of a small clean base.
    pub environment: BTreeMap<String, Value>,
    /// The user to run as; prumo's own when absent.
    pub user: Option<String>,
    /// The group to run as; the user's own when absent.
    pub group: Option<String>,
    /// How replicas take requests.
    pub listen: Listen,
    /// What replicas speak.
    #[serde(default, skip_serializing_if = "Protocol::is_h1")]
    pub protocol: Protocol,
    /// How many replicas run.
    pub replicas: u32,
    /// How prumo knows that a replica can serve.
    pub health: Health,
    /// The most memory a replica may use, in bytes.
    pub memory: Option<u64>,
    /// The most processor time a replica may use, in cores.
    pub cpu: Option<f64>,
    /// The most processes and threads a replica may have.
    pub processes: Option<u32>,
    /// The most files a replica may have open.
    pub files: Option<u32>,
    /// How a replica is asked to stop.
    pub stop: Stop,
    /// How long requests may go on in a replica that takes no new ones.
    pub drain: Duration,
    /// When to start again what ended by itself.
    pub restart: Restart,
    /// How many bytes of output are kept.
    pub log_keep: u64,
}

impl ServiceSpec {
    /// True when both describe the same processes. The number of replicas is not part of a definition: changing it
    /// scales, it does not deploy.
    pub fn same_definition(&self, other: &ServiceSpec) -> bool {
        let counted_alike = ServiceSpec { replicas: self.replicas, ..other.clone() };
        *self == counted_alike
    }

    /// The programs that must be there: its own, and that of its check.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &String> {
        let asked = match &self.health.check {
            Check::Command(argv) => argv.first(),
            _ => None,
        };
        self.run.first().into_iter().chain(asked)
    }

    /// A short fingerprint of the definition, for people who compare releases.
    pub fn digest(&self) -> String {
        let uncounted = ServiceSpec { replicas: 0, ..self.clone() };
        let text = serde_json::to_vec(&uncounted).expect("a spec has only text keys");
        let digest = Sha256::digest(&text);
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The value of an environment variable. Debug shows neither texts nor secrets: people put passwords in both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// As written.
    Text(String),
    /// Fetched when the replica starts.
    Secret(SecretSource),
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(_) => formatter.write_str("Text([redacted])"),
            Value::Secret(source) => formatter.debug_tuple("Secret").field(source).finish(),
        }
    }
}

/// Where a secret is found. The secret itself is never written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretSource {
    /// In prumo's own store, by name.
    Named(String),
    /// The content of a file.
    File(PathBuf),
    /// A variable of prumo's own environment.
    Env(String),
    /// The output of a command.
    Command(Vec<String>),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Named(name) => write!(formatter, "secret `{name}`"),
            SecretSource::File(path) => write!(formatter, "secret file {}", path.display()),
            SecretSource::Env(name) => write!(formatter, "secret from the variable {name}"),
            SecretSource::Command(argv) => {
                write!(formatter, "secret from the command {}", argv.first().map_or("(empty)", String::as_str))
            }
        }
    }
}

/// A secret that was fetched. Prints as `[redacted]`, whatever the format.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the value.
    pub fn new(value: String) -> Secret {
        Secret(value)
    }

    /// The value itself, for the environment of a process and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// How a replica takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listen {
    /// On a private TCP port, `$PORT`.
    Port,
    /// On a Unix socket, `$SOCKET`.
    Socket,
    /// Not at all: a worker.
    Nothing,
}

/// What replicas speak to whoever forwards requests to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2, without being asked first.
    H2,
}

impl Protocol {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
    fn is_h1(&self) -> bool {
        *self == Protocol::H1
    }
}

/// How prumo knows that a replica can serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// The time between two checks.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Good checks in a row that make a replica healthy.
    pub healthy: u32,
    /// Bad checks in a row that make it unhealthy.
    pub unhealthy: u32,
    /// How long a new replica may take to become healthy.
    pub start_within: Duration,
}

/// What is asked of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// A GET request.
    Http {
        /// The path, with its query.
        path: String,
        /// Status codes that count as healthy: first and last of each range.
        status: Vec<(u16, u16)>,
        /// A text the body must contain.
        body: Option<String>,
    },
    /// A connection that is accepted.
    Tcp,
    /// The health service of gRPC.
    Grpc {
        /// About which service; empty for the whole program.
        service: String,
    },
    /// A web socket that answers a ping.
    WebSocket {
        /// Where it is.
        path: String,
    },
    /// A command that ends with 0.
    Command(Vec<String>),
    /// A process that lives.
    Alive,
}

/// How a replica is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal.
    pub signal: StopSignal,
    /// How long it may take before it is killed.
    pub within: Duration,
}

/// The signals that ask a process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM
    Term,
    /// SIGINT
    Int,
    /// SIGQUIT
    Quit,
    /// SIGHUP
    Hup,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGKILL
    Kill,
}

/// When to start again what ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The wait after the first end.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// More ends than this are a crash loop.
    pub crash_loop: Rate,
}

impl Restart {
    /// The wait before start number `ends + 1`, without jitter: doubled each time, up to the longest.
    pub fn wait_after(&self, ends: u32) -> Duration {
        let doublings = ends.saturating_sub(1).min(20);
        self.backoff.saturating_mul(1 << doublings).min(self.backoff_max.max(self.backoff))
    }
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how much time.
    pub per: Duration,
}

/// A release brought up by one deploy. Restarting brings the same release up again, as another version, so that old
/// and new replicas can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Which deploy started its replicas.
    pub deploy: u64,
    /// Which definition they run.
    pub release: u64,
}

/// A version that does not serve yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub version: Version,
    /// How many replicas it gets.
    pub replicas: u32,
    /// When the deploy fails if it is not healthy by then.
    pub give_up_at: Moment,
}

/// What one service should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The version that takes requests.
    pub serving: Option<Version>,
    /// The version that a deploy is bringing up.
    pub candidate: Option<Candidate>,
    /// A deploy past its shift, until the old replicas are gone.
    pub finishing: Option<Version>,
    /// Replicas of the serving version.
    pub replicas: u32,
    /// Stopped by a person, or gone from the file: no replicas at all.
    pub stopped: bool,
    /// The specs of the versions above and of every version that still has replicas, by release.
    pub specs: BTreeMap<u64, Arc<ServiceSpec>>,
}

/// What the whole site should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Each service by name.
    pub services: BTreeMap<String, Wanted>,
    /// Set when everything is to end; what still lives at that moment is killed.
    pub halt_by: Option<Moment>,
}

#[cfg(test)]
pub(crate) mod tests;
