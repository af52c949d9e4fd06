//! What `prumo status --json` says, as far as tests look at it.

use std::net::SocketAddr;

use serde_json::Value;

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// In one word.
    pub state: String,
    /// The release that serves.
    pub release: Option<u64>,
    /// How many replicas are wanted.
    pub wanted: u64,
    /// How many are healthy.
    pub healthy: u64,
    /// Whether a deploy is under way.
    pub deploying: bool,
    /// Each replica.
    pub replicas: Vec<Replica>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Its release.
    pub release: u64,
    /// Its process id, while it has one.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Its state in one word.
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
}

impl ServiceStatus {
    /// Finds a service in the answer of `prumo status --json`.
    pub fn find(answer: &str, service: &str) -> Option<ServiceStatus> {
        let site: Value = serde_json::from_str(answer).ok()?;
        let services = site.get("services")?.as_array()?;
        let found = services.iter().find(|entry| entry["service"] == service)?;
        Some(ServiceStatus {
            state: found["state"].as_str()?.to_owned(),
            release: found["release"].as_u64(),
            wanted: found["wanted"].as_u64()?,
            healthy: found["healthy"].as_u64()?,
            deploying: !found["deploy"].is_null(),
            replicas: found["replicas"].as_array()?.iter().filter_map(Replica::read).collect(),
        })
    }

    /// Whether exactly the wanted replicas run, all healthy and of the release that serves, and nothing is under way.
    pub fn is_settled(&self) -> bool {
        let all_healthy =
            self.replicas.iter().all(|replica| replica.state == "healthy" && Some(replica.release) == self.release);
        !self.deploying && self.healthy == self.wanted && self.replicas.len() as u64 == self.wanted && all_healthy
    }

    /// The process ids of the replicas, sorted.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.replicas.iter().filter_map(|replica| replica.pid).collect();
        pids.sort_unstable();
        pids
    }
}

impl Replica {
    fn read(entry: &Value) -> Option<Replica> {
        Some(Replica {
            name: entry["replica"].as_str()?.to_owned(),
            release: entry["release"].as_u64()?,
            pid: entry["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            address: entry["address"].as_str().and_then(|address| address.parse().ok()),
            state: entry["state"].as_str()?.to_owned(),
            restarts: entry["restarts"].as_u64()?,
        })
    }
}
