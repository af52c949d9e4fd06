//! The questions, typed, and the shapes of their answers. These types are the public contract of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::role::Role;

/// Everything that can be asked of a running prumo.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Is the process alive? Touches nothing else.
    Health,
    /// How is each part and each service?
    HealthDetailed,
    /// Every metric, in the Prometheus text format.
    Metrics,
    /// What runs.
    Status {
        /// Only this service.
        service: Option<String>,
    },
    /// What a deploy would change now.
    Plan,
    /// What the edge has counted.
    EdgeCounters,
    /// Make the file true: a new release of the named services, or of all.
    Deploy {
        /// The services; empty means every one.
        services: Vec<String>,
    },
    /// Replace the process that runs the site by a successor.
    Upgrade {
        /// Its program; absent means the one that runs now, as it lies on disk.
        program: Option<std::path::PathBuf>,
        /// How many seconds it may take to be ready.
        within: u64,
    },
    /// Make an earlier release serve again.
    Rollback {
        /// The service.
        service: String,
        /// The release; absent means the one before.
        to: Option<u64>,
    },
    /// Change how many replicas run.
    Scale {
        /// The service.
        service: String,
        /// The number wanted.
        replicas: u32,
    },
    /// Replace every replica, start-first, on the release that serves.
    Restart {
        /// The service.
        service: String,
    },
    /// Stop every replica of a service.
    Stop {
        /// The service.
        service: String,
    },
    /// Put routes into maintenance, or take them out of it.
    Maintain {
        /// Whether they are to be in maintenance.
        on: bool,
        /// Their names; empty means every one.
        routes: Vec<String>,
    },
    /// What the replicas printed.
    Logs {
        /// The service.
        service: String,
        /// How many of the last lines.
        lines: usize,
        /// Whether to go on as lines come.
        follow: bool,
    },
    /// What a command needs to run as the service would.
    Environment {
        /// The service.
        service: String,
    },
    /// The names of the secrets.
    Secrets,
    /// Store a secret.
    SetSecret {
        /// Its name.
        name: String,
        /// Its value.
        value: Hidden,
    },
    /// Remove a secret.
    RemoveSecret {
        /// Its name.
        name: String,
    },
    /// The tokens, without their values.
    Tokens,
    /// Make a token and show it once.
    CreateToken {
        /// What it is for.
        name: String,
        /// What it may do.
        role: Role,
    },
    /// Make a token useless.
    RevokeToken {
        /// Its name.
        name: String,
    },
    /// Entries of the audit log.
    AuditLog {
        /// Only entries after this number.
        after: u64,
        /// At most so many.
        limit: u32,
    },
    /// Recompute the chain of the audit log.
    VerifyAuditLog,
}

/// A value that no message, log line or debug print shows.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Hidden {
        Hidden(value)
    }

    /// The value itself; the name says what the caller is doing.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[redacted]")
    }
}

/// What runs on this site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteStatus {
    /// The name of the site.
    pub site: String,
    /// The file that it runs, an absolute path.
    #[serde(default)]
    pub file: PathBuf,
    /// The overlay that was chosen when prumo started, if one was.
    pub overlay: Option<String>,
    /// The version of prumo.
    pub version: String,
    /// The process id of prumo.
    pub pid: u32,
    /// Where the edge listens for HTTP, when it does.
    pub http: Option<String>,
    /// Where the edge listens for HTTPS, when it does.
    pub https: Option<String>,
    /// The services, by name.
    pub services: Vec<ServiceStatus>,
    /// The certificates in files, in the order of the file.
    pub certificates: Vec<CertificateStatus>,
    /// The routes that are in maintenance now, by name.
    #[serde(default)]
    pub maintenance: Vec<String>,
    /// What a person should know: a file with mistakes, a ledger that is full.
    pub notes: Vec<String>,
}

/// A certificate in files, as it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateStatus {
    /// The file of the certificate.
    pub file: String,
    /// The hosts it is for.
    pub names: Vec<String>,
    /// When it expires.
    pub expires: String,
    /// What is wrong with it, or with the files that should replace it.
    pub trouble: Option<String>,
}

/// What runs of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// The service.
    pub service: String,
    /// In one word: serving, degraded, deploying, starting, unhealthy, stopped or failed.
    pub state: String,
    /// The release that serves, when one does.
    pub release: Option<u64>,
    /// The release that would serve after a rollback.
    pub previous: Option<u64>,
    /// A deploy under way.
    pub deploy: Option<DeployStatus>,
    /// How many replicas are wanted.
    pub wanted: u32,
    /// How many are healthy.
    pub healthy: u32,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Each replica.
    pub replicas: Vec<ReplicaStatus>,
}

/// A deploy under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeployStatus {
    /// The release being brought up.
    pub release: u64,
    /// deploy, rollback or restart.
    pub kind: String,
    /// The step it is at.
    pub step: String,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaStatus {
    /// Its name, unique on this site.
    pub replica: String,
    /// Its release.
    pub release: u64,
    /// Its process id, while it has one.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<String>,
    /// starting, healthy, unhealthy, draining, stopping, backoff or crash-looping.
    pub state: String,
    /// Since when it is in this state, RFC 3339.
    pub since: String,
    /// How often it was started again.
    pub restarts: u64,
    /// How it ended last, in words.
    pub last_exit: Option<String>,
    /// What the last probe found, when that was bad.
    pub last_check: Option<String>,
    /// Resident memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The limits that really hold on this machine, and those that do not.
    pub limits: Vec<String>,
}

/// How the parts and the services are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// healthy, degraded or unhealthy: the worst of all below.
    pub status: HealthWord,
    /// Each part and each service; empty for a caller without a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HealthCheck>,
}

/// One line of a health report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheck {
    /// The part (`edge`, `ledger`, …) or `service/NAME`.
    pub name: String,
    /// How it is.
    pub status: HealthWord,
    /// How long it took to find out.
    pub response_time_ms: f64,
    /// What was seen.
    pub message: String,
}

/// How something is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthWord {
    /// All is well.
    Healthy,
    /// It works, with less than it should have.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthReport {
    /// The report over these checks; no check at all is not health.
    #[must_use]
    pub fn of(checks: Vec<HealthCheck>) -> HealthReport {
        let worst = checks.iter().map(|check| check.status).max();
        HealthReport { status: worst.unwrap_or(HealthWord::Unhealthy), checks }
    }

    /// The report for a caller without a token: the verdict and nothing of the inside.
    #[must_use]
    pub fn redacted(self) -> HealthReport {
        HealthReport { checks: Vec::new(), ..self }
    }
}

impl HealthWord {
    /// The word itself.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            HealthWord::Healthy => "healthy",
            HealthWord::Degraded => "degraded",
            HealthWord::Unhealthy => "unhealthy",
        }
    }
}

/// What a deploy would change now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// The changes, in the order in which they would be made.
    pub changes: Vec<Change>,
}

/// One change of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `+` for new, `~` for changed, `-` for removed.
    pub sign: char,
    /// What changes, such as `service api` or `route shop.dev/`.
    pub subject: String,
    /// What is different, a line each.
    pub details: Vec<String>,
}

/// A deploy, rollback or restart that came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// A sentence a service.
    pub messages: Vec<String>,
    /// The release that serves now, by service.
    pub releases: BTreeMap<String, u64>,
}

/// What a command needs to run as the service would.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecEnvironment {
    /// The environment, secrets included: this is why only an admin may ask.
    pub environment: BTreeMap<String, String>,
    /// The working folder.
    pub folder: PathBuf,
    /// The user to become.
    pub user: Option<String>,
    /// The group to become.
    pub group: Option<String>,
}

impl std::fmt::Debug for ExecEnvironment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.environment.keys().collect();
        out.debug_struct("ExecEnvironment")
            .field("environment", &names)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The names of the secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretNames {
    /// In alphabetical order.
    pub secrets: Vec<String>,
}

/// The tokens, without their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// In the order in which they were made.
    pub tokens: Vec<TokenRow>,
}

/// One token, without its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRow {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// A token, shown this once.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The token. It is not kept: only its hash is.
    pub token: String,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("NewToken").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Entries of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntries {
    /// Oldest first.
    pub entries: Vec<AuditEntry>,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its number, without gaps.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// Did what.
    pub action: String,
    /// To what.
    pub subject: String,
    /// With which particulars.
    pub detail: String,
}

/// The verdict on the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerdict {
    /// Whether the chain is whole.
    pub intact: bool,
    /// How many entries were checked.
    pub entries: u64,
    /// The digest of the newest entry, or what is wrong.
    pub message: String,
}

/// One line that a replica printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When it was read, RFC 3339.
    pub at: String,
    /// The replica.
    pub replica: String,
    /// Its release.
    pub release: u64,
    /// `out` or `err`.
    pub stream: String,
    /// The text.
    pub text: String,
    /// Whether this is the rest of a line that was too long.
    pub continued: bool,
}

/// A step of a deploy, as it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The service.
    pub service: String,
    /// The release being brought up; unknown before it is written down.
    pub release: Option<u64>,
    /// The name of the step.
    pub step: String,
    /// What is being done, in words.
    pub message: String,
    /// Whether nothing new began: the message says what this step waits for, and how long it may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[HealthWord], expected: HealthWord) {
        let checks = words
            .iter()
            .map(|&status| HealthCheck { name: "x".into(), status, response_time_ms: 0.1, message: "seen".into() })
            .collect();
        assert_eq!(HealthReport::of(checks).status, expected, "{words:?}");
    }

    /// Goal: a report is as bad as its worst check, and a report without checks is not healthy (HEALTH-12).
    #[test]
    fn the_worst_check_decides() {
        use HealthWord::{Degraded, Healthy, Unhealthy};
        check(&[], Unhealthy);
        check(&[Healthy], Healthy);
        check(&[Healthy, Degraded], Degraded);
        check(&[Unhealthy, Healthy], Unhealthy);
        check(&[Degraded, Unhealthy, Healthy], Unhealthy);
    }

    /// Goal: without a token the report is one word.
    #[test]
    fn a_redacted_report_names_nothing() {
        let check = HealthCheck {
            name: "service/api".into(),
            status: HealthWord::Healthy,
            response_time_ms: 1.0,
            message: "3".into(),
        };
        let text = serde_json::to_string(&HealthReport::of(vec![check]).redacted()).unwrap();
        assert_eq!(text, r#"{"status":"healthy"}"#);
    }

    /// Goal: what must stay hidden does not show in a debug print.
    #[test]
    fn debug_prints_hide_values() {
        let token = NewToken { name: "ci".into(), role: Role::Viewer, token: "prumo_abc".into() };
        let environment = ExecEnvironment {
            environment: BTreeMap::from([("DB".to_owned(), "hunter2".to_owned())]),
            folder: "/".into(),
            user: None,
            group: None,
        };
        let printed = format!("{token:?} {environment:?} {:?}", Hidden::new("hunter2".into()));
        assert!(!printed.contains("hunter2") && !printed.contains("prumo_abc"), "{printed}");
    }
}
