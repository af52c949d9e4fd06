//! What run writes down: releases, which of them serves, deploys step by step, and every replica.
//!
//! An intent is written before its effect, so that whoever reads this after a `kill -9` knows what may exist. Releases
//! are immutable. Specs hold where secrets are found, never secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use prumo_ledger::{Ledger, LedgerError, Table};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::desired::{ServiceSpec, Version};

/// The tables of run, for whoever opens the ledger.
pub const TABLE: Table = Table {
    name: "run",
    migrations: &["
    CREATE TABLE run_release (
        service TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, spec TEXT NOT NULL,
        created_ms INTEGER NOT NULL, by TEXT NOT NULL, PRIMARY KEY (service, number)
    ) STRICT;
    CREATE TABLE run_service (
        name TEXT PRIMARY KEY, serving_release INTEGER, serving_deploy INTEGER, previous_release INTEGER,
        candidate_deploy INTEGER, finishing_deploy INTEGER, replicas INTEGER NOT NULL, stopped INTEGER NOT NULL,
        asked_release INTEGER, asked_replicas INTEGER NOT NULL, replicas_made INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE run_deploy (
        id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, kind TEXT NOT NULL, from_release INTEGER,
        to_release INTEGER NOT NULL, replicas INTEGER NOT NULL, step TEXT NOT NULL, started_ms INTEGER NOT NULL,
        ended_ms INTEGER, outcome TEXT, message TEXT, by TEXT NOT NULL
    ) STRICT;
    CREATE INDEX run_deploy_of_service ON run_deploy (service, id);
    CREATE TABLE run_replica (
        id TEXT PRIMARY KEY, service TEXT NOT NULL, number INTEGER NOT NULL, release INTEGER NOT NULL,
        deploy INTEGER NOT NULL, starts INTEGER NOT NULL, nonce TEXT NOT NULL, port INTEGER, pid INTEGER,
        start_ticks INTEGER, boot TEXT, ready INTEGER NOT NULL
    ) STRICT;
    "],
};

/// Releases kept for each service, besides the serving and the previous one. Twenty are a month of daily deploys, and
/// a row is a few hundred bytes.
const RELEASES_KEPT: u64 = 20;

/// Reads and writes run's tables.
#[derive(Clone)]
pub(crate) struct Journal {
    ledger: Ledger,
}

/// A service as written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceRow {
    pub(crate) name: String,
    pub(crate) serving: Option<Version>,
    pub(crate) previous: Option<u64>,
    pub(crate) candidate: Option<DeployRow>,
    pub(crate) finishing: Option<DeployRow>,
    pub(crate) replicas: u32,
    pub(crate) stopped: Stopped,
    /// The release last made from the file and served, and the number of replicas the file asked for then: how a
    /// changed file is told from a person's `rollback` or `scale`.
    pub(crate) asked_release: Option<u64>,
    pub(crate) asked_replicas: u32,
    /// How many replicas the service ever had; names are never used twice.
    pub(crate) replicas_made: u64,
    pub(crate) specs: BTreeMap<u64, Arc<ServiceSpec>>,
    pub(crate) kept: Vec<ReplicaRow>,
}

/// A deploy that is under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeployRow {
    pub(crate) version: Version,
    pub(crate) kind: Kind,
    pub(crate) from: Option<u64>,
    pub(crate) replicas: u32,
    pub(crate) started_ms: i64,
}

/// Whether a service is to run, and who says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stopped {
    #[default]
    No,
    ByPerson,
    /// It is no longer in the file. Unlike the above, this ends when it is there again.
    NotInFile,
}

impl Stopped {
    fn number(self) -> i64 {
        match self {
            Stopped::No => 0,
            Stopped::ByPerson => 1,
            Stopped::NotInFile => 2,
        }
    }

    fn from_number(number: i64) -> Stopped {
        match number {
            0 => Stopped::No,
            2 => Stopped::NotInFile,
            _ => Stopped::ByPerson,
        }
    }
}

/// What a deploy is called by the person who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deploy,
    Rollback,
    Restart,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Deploy => "deploy",
            Kind::Rollback => "rollback",
            Kind::Restart => "restart",
        }
    }

    fn from_word(word: &str) -> Kind {
        match word {
            "rollback" => Kind::Rollback,
            "restart" => Kind::Restart,
            _ => Kind::Deploy,
        }
    }
}

/// A replica as written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReplicaRow {
    pub(crate) id: String,
    pub(crate) service: String,
    pub(crate) number: u64,
    pub(crate) version: Version,
    pub(crate) starts: u64,
    pub(crate) nonce: String,
    pub(crate) port: Option<u16>,
    pub(crate) process: Option<ProcessRow>,
    pub(crate) ready: bool,
}

/// A process that outlives prumo, so that it can be found again and not mistaken for another with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessRow {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    pub(crate) boot: String,
}

/// A deploy to be written down before anything is done.
#[derive(Clone, Debug)]
pub(crate) struct NewDeploy {
    pub(crate) kind: Kind,
    pub(crate) spec: Arc<ServiceSpec>,
    /// The release to bring up again; a new one is made when absent.
    pub(crate) release: Option<u64>,
    pub(crate) from: Option<u64>,
    pub(crate) replicas: u32,
    pub(crate) by: String,
    pub(crate) at_ms: i64,
}

/// How a deploy ended, well or not.
#[derive(Clone, Debug)]
pub(crate) struct DeployEnd {
    pub(crate) service: String,
    pub(crate) deploy: u64,
    pub(crate) outcome: &'static str,
    pub(crate) message: String,
    pub(crate) at_ms: i64,
    /// Whether the log says already that this could not be written.
    pub(crate) told: bool,
}

impl Journal {
    pub(crate) fn new(ledger: Ledger) -> Journal {
        Journal { ledger }
    }

    /// Everything about services that may still matter.
    pub(crate) async fn load(&self) -> Result<Vec<ServiceRow>, LedgerError> {
        self.ledger.read(load_services).await
    }

    /// Writes a deploy down and returns the version it brings up.
    pub(crate) async fn begin(&self, new: NewDeploy) -> Result<Version, LedgerError> {
        self.ledger.write("begin a deploy", move |tx| begin(tx, &new)).await
    }

    /// The commit point: from here on a crash ends with the new version.
    pub(crate) async fn shift(&self, service: &str, deploy: DeployRow) -> Result<(), LedgerError> {
        let service = service.to_owned();
        self.ledger.write("shift a deploy", move |tx| shift(tx, &service, &deploy)).await
    }

    /// Ends a deploy, well or not, and unlocks its service.
    pub(crate) async fn end(&self, end: &DeployEnd) -> Result<(), LedgerError> {
        let DeployEnd { deploy, outcome, message, at_ms, .. } = end.clone();
        let write = move |tx: &Transaction<'_>| {
            tx.execute(
                "UPDATE run_deploy SET step = 'done', outcome = ?2, message = ?3, ended_ms = ?4 WHERE id = ?1",
                params![signed(deploy), outcome, message, at_ms],
            )?;
            for column in ["candidate_deploy", "finishing_deploy"] {
                let unlock = format!("UPDATE run_service SET {column} = NULL WHERE {column} = ?1");
                tx.execute(&unlock, [signed(deploy)])?;
            }
            Ok(())
        };
        self.ledger.write("end a deploy", write).await
    }

    /// Notes how many replicas a person, or the file, wants.
    pub(crate) async fn scale(&self, service: &str, replicas: u32, asked: Option<u32>) -> Result<(), LedgerError> {
        let service = service.to_owned();
        let write = move |tx: &Transaction<'_>| {
            tx.execute(
                "UPDATE run_service SET replicas = ?2, asked_replicas = coalesce(?3, asked_replicas) WHERE name = ?1",
                params![service, replicas, asked],
            )?;
            tx.execute(
                "UPDATE run_deploy SET replicas = ?2 WHERE service = ?1 AND ended_ms IS NULL",
                params![service, replicas],
            )
            .map(drop)
        };
        self.ledger.write("scale a service", write).await
    }

    /// Notes whether a service is stopped.
    pub(crate) async fn stopped(&self, service: &str, stopped: Stopped) -> Result<(), LedgerError> {
        let service = service.to_owned();
        let write = move |tx: &Transaction<'_>| {
            tx.execute("UPDATE run_service SET stopped = ?2 WHERE name = ?1", params![service, stopped.number()])
                .map(drop)
        };
        self.ledger.write("stop a service", write).await
    }

    /// Notes a replica: before its start as an intent, after it with its process.
    pub(crate) async fn keep(&self, row: ReplicaRow) -> Result<(), LedgerError> {
        self.ledger.write("note a replica", move |tx| keep(tx, &row)).await
    }

    /// Forgets a replica that left nothing behind.
    pub(crate) async fn forget(&self, replica: &str) -> Result<(), LedgerError> {
        let replica = replica.to_owned();
        let write =
            move |tx: &Transaction<'_>| tx.execute("DELETE FROM run_replica WHERE id = ?1", [replica]).map(drop);
        self.ledger.write("forget a replica", write).await
    }

    /// The spec of a release; the release before the serving one when none is named.
    pub(crate) async fn release(&self, service: &str, number: u64) -> Result<Option<Arc<ServiceSpec>>, LedgerError> {
        let service = service.to_owned();
        self.ledger.read(move |connection| spec_of(connection, &service, number)).await
    }

    /// Removes the records of releases that nobody will roll back to, and of their deploys.
    pub(crate) async fn tidy(&self) -> Result<(), LedgerError> {
        self.ledger.write("tidy the releases", tidy).await
    }
}

fn begin(tx: &Transaction<'_>, new: &NewDeploy) -> rusqlite::Result<Version> {
    let service = &new.spec.name;
    let release = match new.release {
        Some(release) => release,
        None => insert_release(tx, new)?,
    };
    tx.execute(
        "INSERT INTO run_deploy (service, kind, from_release, to_release, replicas, step, started_ms, by)
         VALUES (?1, ?2, ?3, ?4, ?5, 'start', ?6, ?7)",
        params![service, new.kind.word(), new.from.map(signed), signed(release), new.replicas, new.at_ms, new.by],
    )?;
    let deploy = unsigned(tx.last_insert_rowid());
    tx.execute(
        "INSERT INTO run_service (name, candidate_deploy, replicas, stopped, asked_replicas, replicas_made)
         VALUES (?1, ?2, ?3, 0, ?3, 0) ON CONFLICT (name) DO UPDATE SET candidate_deploy = ?2",
        params![service, signed(deploy), new.replicas],
    )?;
    Ok(Version { deploy, release })
}

fn insert_release(tx: &Transaction<'_>, new: &NewDeploy) -> rusqlite::Result<u64> {
    // Numbers of failed deploys are not used again either: deploys keep them longer than releases.
    let next: i64 = tx.query_row(
        "SELECT 1 + max(coalesce((SELECT max(number) FROM run_release WHERE service = ?1), 0),
                        coalesce((SELECT max(to_release) FROM run_deploy WHERE service = ?1), 0))",
        [&new.spec.name],
        |row| row.get(0),
    )?;
    let spec = serde_json::to_string(&*new.spec).expect("a spec has only text keys");
    tx.execute(
        "INSERT INTO run_release (service, number, digest, spec, created_ms, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![new.spec.name, next, new.spec.digest(), spec, new.at_ms, new.by],
    )?;
    Ok(unsigned(next))
}

fn shift(tx: &Transaction<'_>, service: &str, deploy: &DeployRow) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE run_service SET
            previous_release = CASE WHEN serving_release IS ?3 THEN previous_release ELSE serving_release END,
            serving_deploy = ?2, serving_release = ?3, candidate_deploy = NULL, finishing_deploy = ?2,
            replicas = ?4, stopped = 0
         WHERE name = ?1",
        params![service, signed(deploy.version.deploy), signed(deploy.version.release), deploy.replicas],
    )?;
    if deploy.kind == Kind::Deploy {
        tx.execute(
            "UPDATE run_service SET asked_release = ?2, asked_replicas =
                (SELECT json_extract(spec, '$.replicas') FROM run_release WHERE service = ?1 AND number = ?2)
             WHERE name = ?1",
            params![service, signed(deploy.version.release)],
        )?;
    }
    tx.execute("UPDATE run_deploy SET step = 'drain' WHERE id = ?1", [signed(deploy.version.deploy)]).map(drop)
}

fn keep(tx: &Transaction<'_>, row: &ReplicaRow) -> rusqlite::Result<()> {
    let process = row.process.as_ref();
    tx.execute(
        "INSERT OR REPLACE INTO run_replica
            (id, service, number, release, deploy, starts, nonce, port, pid, start_ticks, boot, ready)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            row.id,
            row.service,
            signed(row.number),
            signed(row.version.release),
            signed(row.version.deploy),
            signed(row.starts),
            row.nonce,
            row.port,
            process.map(|process| process.pid),
            process.map(|process| signed(process.start_ticks)),
            process.map(|process| process.boot.as_str()),
            row.ready
        ],
    )?;
    tx.execute(
        "UPDATE run_service SET replicas_made = max(replicas_made, ?2) WHERE name = ?1",
        params![row.service, signed(row.number)],
    )
    .map(drop)
}

fn tidy(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute(
        "DELETE FROM run_release WHERE
            number <= (SELECT max(number) FROM run_release AS newest WHERE newest.service = run_release.service) - ?1
            AND NOT EXISTS (SELECT 1 FROM run_service WHERE name = service
                AND (number IN (serving_release, previous_release, asked_release)))
            AND NOT EXISTS (SELECT 1 FROM run_replica AS live
                WHERE live.service = run_release.service AND live.release = run_release.number)
            AND NOT EXISTS (SELECT 1 FROM run_deploy AS open
                WHERE open.service = run_release.service AND open.to_release = run_release.number
                AND open.ended_ms IS NULL)",
        [signed(RELEASES_KEPT)],
    )?;
    // Deploys are the history people look at; five for each release that is kept is plenty.
    tx.execute(
        "DELETE FROM run_deploy WHERE ended_ms IS NOT NULL AND id <= (SELECT max(id) FROM run_deploy AS newest
            WHERE newest.service = run_deploy.service) - ?1
            AND id NOT IN (SELECT serving_deploy FROM run_service WHERE serving_deploy IS NOT NULL)",
        [signed(RELEASES_KEPT * 5)],
    )
    .map(drop)
}

fn load_services(connection: &Connection) -> rusqlite::Result<Vec<ServiceRow>> {
    let mut services = Vec::new();
    let mut statement = connection.prepare("SELECT * FROM run_service ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        services.push(load_service(connection, row)?);
    }
    Ok(services)
}

fn load_service(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<ServiceRow> {
    let name: String = row.get("name")?;
    let kept = load_replicas(connection, &name)?;
    let serving = match (number(row, "serving_deploy")?, number(row, "serving_release")?) {
        (Some(deploy), Some(release)) => Some(Version { deploy, release }),
        _ => None,
    };
    let candidate = load_deploy(connection, number(row, "candidate_deploy")?)?;
    let finishing = load_deploy(connection, number(row, "finishing_deploy")?)?;
    let asked_release = number(row, "asked_release")?;
    let mut service = ServiceRow {
        serving,
        previous: number(row, "previous_release")?,
        candidate,
        finishing,
        replicas: row.get("replicas")?,
        stopped: Stopped::from_number(row.get("stopped")?),
        asked_release,
        asked_replicas: row.get("asked_replicas")?,
        replicas_made: number(row, "replicas_made")?.unwrap_or(0),
        specs: BTreeMap::new(),
        kept,
        name,
    };
    for release in service.releases_that_matter() {
        if let Some(spec) = spec_of(connection, &service.name, release)? {
            service.specs.insert(release, spec);
        }
    }
    Ok(service)
}

impl ServiceRow {
    fn releases_that_matter(&self) -> Vec<u64> {
        let versions = self.serving.into_iter().chain(self.candidate.iter().map(|deploy| deploy.version));
        let replicas = self.kept.iter().map(|replica| replica.version);
        versions.chain(replicas).map(|version| version.release).chain(self.asked_release).collect()
    }
}

fn load_deploy(connection: &Connection, id: Option<u64>) -> rusqlite::Result<Option<DeployRow>> {
    let Some(id) = id else { return Ok(None) };
    connection
        .query_row("SELECT * FROM run_deploy WHERE id = ?1", [signed(id)], |row| {
            Ok(DeployRow {
                version: Version { deploy: id, release: number(row, "to_release")?.unwrap_or(0) },
                kind: Kind::from_word(&row.get::<_, String>("kind")?),
                from: number(row, "from_release")?,
                replicas: row.get("replicas")?,
                started_ms: row.get("started_ms")?,
            })
        })
        .optional()
}

fn load_replicas(connection: &Connection, service: &str) -> rusqlite::Result<Vec<ReplicaRow>> {
    let mut statement = connection.prepare("SELECT * FROM run_replica WHERE service = ?1 ORDER BY number")?;
    let rows = statement.query_map([service], |row| {
        let process = match (row.get("pid")?, number(row, "start_ticks")?, row.get("boot")?) {
            (Some(pid), Some(start_ticks), Some(boot)) => Some(ProcessRow { pid, start_ticks, boot }),
            _ => None,
        };
        Ok(ReplicaRow {
            id: row.get("id")?,
            service: row.get("service")?,
            number: number(row, "number")?.unwrap_or(0),
            version: Version {
                deploy: number(row, "deploy")?.unwrap_or(0),
                release: number(row, "release")?.unwrap_or(0),
            },
            starts: number(row, "starts")?.unwrap_or(0),
            nonce: row.get("nonce")?,
            port: row.get("port")?,
            process,
            ready: row.get("ready")?,
        })
    })?;
    rows.collect()
}

fn spec_of(connection: &Connection, service: &str, release: u64) -> rusqlite::Result<Option<Arc<ServiceSpec>>> {
    let text: Option<String> = connection
        .query_row(
            "SELECT spec FROM run_release WHERE service = ?1 AND number = ?2",
            params![service, signed(release)],
            |row| row.get(0),
        )
        .optional()?;
    // A spec that no longer reads is as good as none: its release cannot be started, and the rest goes on.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).map(Arc::new))
}

fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(unsigned))
}

/// SQLite has only signed integers. Numbers here are counters far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
