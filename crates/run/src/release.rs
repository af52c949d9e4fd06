//! Releases and deploys as people see them: the steps, the result, and errors that say what to do next.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::desired::{Listen, ServiceSpec};
use crate::driver::environment::Environment;
use crate::driver::process::user_of;
use crate::driver::user::{self, User};
use crate::run::Wiring;

/// A step of a deploy, told while it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The service.
    pub service: String,
    /// The release being brought up; unknown before it is written down.
    pub release: Option<u64>,
    /// Which step.
    pub step: DeployStep,
    /// What happens, in a few words.
    pub message: String,
}

/// The steps of a deploy, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployStep {
    /// Everything that can be known beforehand is checked.
    Preflight,
    /// New replicas are started.
    Start,
    /// The new replicas become healthy.
    Health,
    /// The new replicas take over. There is no way back but another deploy.
    Shift,
    /// The old replicas finish their requests.
    Drain,
    /// The old replicas stop.
    Stop,
    /// The end.
    Done,
}

impl DeployStep {
    /// The step in one word.
    pub fn word(self) -> &'static str {
        match self {
            DeployStep::Preflight => "preflight",
            DeployStep::Start => "start",
            DeployStep::Health => "health",
            DeployStep::Shift => "shift",
            DeployStep::Drain => "drain",
            DeployStep::Stop => "stop",
            DeployStep::Done => "done",
        }
    }
}

/// `1 replica`, `2 replicas`.
pub(crate) fn counted(replicas: u32) -> String {
    let plural = if replicas == 1 { "" } else { "s" };
    format!("{replicas} replica{plural}")
}

/// A deploy, rollback or restart that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The service.
    pub service: String,
    /// The release that serves now.
    pub release: u64,
    /// The release that served before.
    pub before: Option<u64>,
    /// How many replicas serve.
    pub replicas: u32,
}

/// What a person should do about a failed deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// There is no such service or release.
    Unknown,
    /// Not now: another deploy runs, or prumo is stopping.
    Refused,
    /// Fix the file or the machine; nothing was started.
    Preflight,
    /// Fix the app; it was started and did not become healthy.
    Unhealthy,
    /// The ledger cannot be written, so nothing was changed.
    Ledger,
    /// Prumo ended before the deploy did.
    Interrupted,
}

/// Why something did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployError {
    /// What kind of failure this is.
    pub fault: Fault,
    /// The service.
    pub service: String,
    /// What happened and what serves now.
    pub message: String,
    /// Why, such as what a check answered.
    pub because: Vec<String>,
    /// The last lines the app printed.
    pub lines: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// What was deployed before, when several services were asked for.
    pub deployed: Vec<Deployed>,
}

impl DeployError {
    pub(crate) fn new(fault: Fault, service: &str, message: impl Into<String>) -> DeployError {
        DeployError {
            fault,
            service: service.to_owned(),
            message: message.into(),
            because: Vec::new(),
            lines: Vec::new(),
            hint: None,
            deployed: Vec::new(),
        }
    }

    pub(crate) fn because(mut self, because: Vec<String>) -> DeployError {
        self.because = because;
        self
    }

    pub(crate) fn lines(mut self, lines: Vec<String>) -> DeployError {
        self.lines = lines;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> DeployError {
        self.hint = Some(hint.into());
        self
    }

    /// Nothing was ever started of a service of that name.
    pub(crate) fn no_service(service: &str) -> DeployError {
        DeployError::new(Fault::Unknown, service, format!("`{service}` has no release that ever served"))
            .hint(format!("`prumo deploy {service}` makes one"))
    }

    /// Prumo ended while somebody waited for it.
    pub(crate) fn interrupted(service: &str) -> DeployError {
        DeployError::new(Fault::Interrupted, service, format!("prumo ended before it was done with `{service}`"))
            .hint("`prumo status` says what serves once prumo is up again")
    }
}

impl fmt::Display for DeployError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for because in &self.because {
            write!(formatter, "\n  {because}")?;
        }
        for line in &self.lines {
            write!(formatter, "\n  | {line}")?;
        }
        for deployed in &self.deployed {
            write!(formatter, "\n  deployed before: release {} of `{}`", deployed.release, deployed.service)?;
        }
        match &self.hint {
            Some(hint) => write!(formatter, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DeployError {}

/// A spec that passed every check, with its secrets fetched.
pub(crate) struct Prepared {
    pub(crate) spec: ServiceSpec,
    pub(crate) environment: Environment,
}

/// The longest path a Unix socket may have on Linux.
const SOCKET_PATH_MAX: usize = 107;

/// Checks everything that can be known before a process is started.
pub(crate) fn preflight(
    spec: ServiceSpec,
    state: &Path,
    disk_free_min_percent: f64,
    wiring: &Wiring,
) -> Result<Prepared, DeployError> {
    let check = || -> Result<Environment, String> {
        check_disk(state, disk_free_min_percent)?;
        check_folder(&spec.folder)?;
        if spec.listen == Listen::Socket {
            check_socket(&spec, state)?;
        }
        let (environment, _) = environment(&spec, wiring)?;
        if spec.run.is_empty() {
            return Err("`run` is empty: there is nothing to start".to_owned());
        }
        for program in spec.programs() {
            environment.find_program(program, &spec.folder)?;
        }
        Ok(environment)
    };
    match check() {
        Ok(environment) => Ok(Prepared { spec, environment }),
        Err(why) => {
            let message = format!("`{}` cannot be deployed: {why}", spec.name);
            Err(DeployError::new(Fault::Preflight, &spec.name, message)
                .hint("nothing was started; what served before still serves"))
        }
    }
}

/// The environment of a service, and whom its processes become. May run a command to fetch a secret, so it belongs on
/// a thread of its own.
pub(crate) fn environment(spec: &ServiceSpec, wiring: &Wiring) -> Result<(Environment, Option<User>), String> {
    let user = user_of(spec.user.as_deref(), spec.group.as_deref())?;
    let home = match &user {
        Some(user) => user.home.clone(),
        None => std::env::var("HOME").ok().filter(|home| !home.is_empty()).unwrap_or_else(|| user::own().home),
    };
    Ok((Environment::resolve(spec, &home, &*wiring.secrets)?, user))
}

/// Where the sockets of a replica are: a folder of its own, so that it can belong to the replica's user.
pub(crate) fn socket_path(state: &Path, replica: &str) -> PathBuf {
    state.join("run").join(replica).join("socket")
}

/// The share of the disk of a folder that is free for prumo, in percent; nothing when it cannot be looked at.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs few digits")]
pub fn free_percent(folder: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    // Some file systems do not count their blocks, which is no reason to refuse anything.
    Some(if disk.f_blocks == 0 { 100.0 } else { disk.f_bavail as f64 * 100.0 / disk.f_blocks as f64 })
}

fn check_disk(state: &Path, least_percent: f64) -> Result<(), String> {
    let Some(free_percent) = free_percent(state) else { return Ok(()) };
    if free_percent < least_percent {
        return Err(format!(
            "only {free_percent:.1} % of the disk of {} is free, and {least_percent} % are required",
            state.display()
        ));
    }
    Ok(())
}

pub(crate) fn check_folder(folder: &Path) -> Result<(), String> {
    match folder.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a folder", folder.display())),
        Err(error) => Err(format!("the folder {}: {error}", folder.display())),
    }
}

fn check_socket(spec: &ServiceSpec, state: &Path) -> Result<(), String> {
    // Seven digits are more replicas than a service will have.
    let path = socket_path(state, &format!("{}-0000000", spec.name));
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(format!(
            "the path of its socket, {}, is longer than the {SOCKET_PATH_MAX} bytes Linux allows; choose a shorter state folder",
            path.display()
        ));
    }
    if user_of(spec.user.as_deref(), spec.group.as_deref())?.is_none_or(|user| user.uid == 0) {
        return Ok(());
    }
    let open = |folder: &&Path| folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    match state.ancestors().find(|folder| !folder.as_os_str().is_empty() && !open(folder)) {
        Some(folder) => Err(format!(
            "its user cannot reach its socket below {}; `chmod o+x` on that folder lets it pass",
            folder.display()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
