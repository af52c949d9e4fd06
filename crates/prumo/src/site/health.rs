//! How each part and each service is (HEALTH-12), and every metric.

use std::fmt::Write as _;

use prumo_api::ask::{HealthCheck, HealthReport, HealthWord, ServiceStatus};
use prumo_clock::Moment;
use prumo_run::free_percent;

use super::Site;

impl Site {
    /// How each part and each service is.
    pub(crate) async fn health(&self) -> HealthReport {
        let asked = self.parts.clock.now();
        let services = self.status(None).await.map(|status| status.services).unwrap_or_default();
        let took = self.milliseconds_since(asked);
        let (config, standing) = (self.config(), self.standing());
        let open = || config.routes.iter().filter(|route| !standing.closes(route));
        let is_asked = |name: &str| open().any(|route| route.asked().any(|to| to == name));
        let mut checks = vec![
            self.edge_health(&with_nobody(&services, is_asked)),
            self.run_health(),
            self.ledger_health().await,
            self.disk_health(),
            self.file_health(),
        ];
        checks.extend(self.keeper_health());
        checks.extend(self.maintenance_health());
        checks.extend(self.certificate_health());
        checks.extend(services.iter().map(|service| service_health(service, is_asked(&service.service), took)));
        HealthReport::of(checks)
    }

    /// Every metric, in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let uptime = self.parts.clock.now().since(self.began).as_secs_f64();
        let version = env!("CARGO_PKG_VERSION");
        write!(
            text,
            "# HELP prumo_build_info The version that runs.\n# TYPE prumo_build_info gauge\nprumo_build_info{{version=\"{version}\"}} 1\n\
             # HELP prumo_uptime_seconds Time since this process opened the site.\n# TYPE prumo_uptime_seconds gauge\nprumo_uptime_seconds {uptime:.3}\n"
        )
        .expect("a String takes every write");
        self.parts.edge.metrics(&mut text);
        self.parts.run.metrics(&mut text);
        text
    }

    /// Fewer cores than there should be serve less; none serve nobody.
    fn edge_health(&self, with_nobody: &[&str]) -> HealthCheck {
        let asked = self.parts.clock.now();
        let report = self.parts.edge.report();
        let cores = format!("{} of {}", report.cores_living, crate::cli::count(report.cores, "core"));
        let connections = crate::cli::count(report.connections as usize, "connection");
        let (status, message) = match (report.cores_living, with_nobody) {
            (0, _) => (HealthWord::Unhealthy, format!("{cores}: nothing is served")),
            (living, _) if living < report.cores => (HealthWord::Degraded, format!("{cores}, {connections}")),
            (_, []) => (HealthWord::Healthy, format!("{cores}, {connections}")),
            (_, services) => {
                (HealthWord::Degraded, format!("{cores}, {connections}, nobody answers for {}", services.join(", ")))
            }
        };
        self.check("edge", status, asked, message)
    }

    /// Whether the one who supervises replicas lives; each service is looked at below.
    fn run_health(&self) -> HealthCheck {
        let asked = self.parts.clock.now();
        let (status, message) = match self.parts.run.is_supervising() {
            true => (HealthWord::Healthy, "supervising"),
            false => (HealthWord::Unhealthy, "the supervisor has ended; replicas run on without it"),
        };
        self.check("run", status, asked, message.to_owned())
    }

    /// A write would touch the disk at every question; a read, the end of the last write and the free space say as much.
    async fn ledger_health(&self) -> HealthCheck {
        let asked = self.parts.clock.now();
        let read = self
            .parts
            .ledger
            .read(|connection| {
                connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))
            })
            .await;
        let trouble = read.err().map(|error| error.to_string()).or_else(|| self.ledger_trouble());
        let (status, message) = match trouble {
            None => (HealthWord::Healthy, "reads and writes".to_owned()),
            Some(trouble) => (HealthWord::Degraded, format!("changes are refused: {trouble}")),
        };
        self.check("ledger", status, asked, message)
    }

    fn disk_health(&self) -> HealthCheck {
        let asked = self.parts.clock.now();
        let least = self.config().site.disk_free_min.ratio() * 100.0;
        let (status, message) = match free_percent(&self.parts.state) {
            Some(free) if free < least => {
                (HealthWord::Degraded, format!("{free:.1} % free, and deploys want {least} %"))
            }
            Some(free) => (HealthWord::Healthy, format!("{free:.1} % free")),
            None => (HealthWord::Degraded, "the state folder cannot be looked at".to_owned()),
        };
        self.check("disk", status, asked, message)
    }

    fn file_health(&self) -> HealthCheck {
        let asked = self.parts.clock.now();
        let note = self.file_note.read().expect("no holder of this lock panics").clone();
        let status = if note.is_some() { HealthWord::Degraded } else { HealthWord::Healthy };
        self.check("file", status, asked, note.unwrap_or_else(|| "good".to_owned()))
    }

    /// Only said where there was a keeper: most sites have systemd instead, or nobody.
    fn keeper_health(&self) -> Option<HealthCheck> {
        let asked = self.parts.clock.now();
        self.has_lost_keeper().then(|| self.check("keeper", HealthWord::Degraded, asked, super::KEEPER_GONE.to_owned()))
    }

    /// Closed routes answer as the file says, because a person wants it: not a fault, and not to be forgotten.
    fn maintenance_health(&self) -> Option<HealthCheck> {
        let asked = self.parts.clock.now();
        let (closed, all) = (self.in_maintenance(), self.config().routes.len());
        let message = match closed.len() {
            0 => return None,
            some if some == all => "every route is closed: `prumo maintenance off` or the file opens them".to_owned(),
            some => format!("{some} of {all} routes closed: {}", closed.join(", ")),
        };
        Some(self.check("maintenance", HealthWord::Degraded, asked, message))
    }

    pub(super) fn check(&self, name: &str, status: HealthWord, asked: Moment, message: String) -> HealthCheck {
        HealthCheck { name: name.to_owned(), status, response_time_ms: self.milliseconds_since(asked), message }
    }

    fn milliseconds_since(&self, asked: Moment) -> f64 {
        (self.parts.clock.now().since(asked).as_secs_f64() * 1e6).round() / 1e3
    }
}

/// The services to which an open route leads, and which have nobody to answer.
fn with_nobody(services: &[ServiceStatus], is_asked: impl Fn(&str) -> bool) -> Vec<&str> {
    let named = services.iter().filter(|service| service.healthy == 0 && is_asked(&service.service));
    named.map(|service| service.service.as_str()).collect()
}

fn service_health(service: &ServiceStatus, is_asked: bool, took: f64) -> HealthCheck {
    let (status, message) = verdict(service, is_asked);
    HealthCheck { name: format!("service/{}", service.service), status, response_time_ms: took, message }
}

/// One measure for every service: who is asked, because an open route leads there with a share above 0, and has nobody to
/// answer is unhealthy, whatever the reason; so is one that prumo should run and does not. With fewer than wanted it is degraded, and so is
/// one that nobody asks and that a person stopped or somebody else runs, because it should not be forgotten.
fn verdict(service: &ServiceStatus, is_asked: bool) -> (HealthWord, String) {
    let is_to_run = !matches!(service.state.as_str(), "stopped" | "outside" | "unreachable");
    let status = match (service.healthy, service.wanted) {
        (0, _) if is_asked || is_to_run => HealthWord::Unhealthy,
        (0, _) => HealthWord::Degraded,
        (healthy, wanted) if healthy < wanted => HealthWord::Degraded,
        _ => HealthWord::Healthy,
    };
    let stopped = format!("stopped by a person: `prumo restart {}` starts it", service.service);
    let message = match service.state.as_str() {
        "stopped" if is_asked => format!("{stopped}; until then its requests get a 503"),
        "stopped" => stopped,
        "outside" | "unreachable" => {
            // What the probes found last.
            let why: String = service.notes.iter().map(|note| format!("; {note}")).collect();
            format!("{}/{} addresses reachable{why}", service.healthy, service.wanted)
        }
        _ => {
            let why = service.notes.first().filter(|_| service.state == "failed");
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{}/{} replicas healthy{why}", service.healthy, service.wanted)
        }
    };
    (status, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: &str, is_asked: bool, healthy: u32, wanted: u32, expected: HealthWord) {
        let service = ServiceStatus {
            service: "api".into(),
            state: state.into(),
            release: Some(1),
            previous: None,
            deploy: None,
            wanted,
            healthy,
            notes: vec![],
            replicas: vec![],
        };
        assert_eq!(verdict(&service, is_asked).0, expected, "{state} {is_asked} {healthy}/{wanted}");
    }

    /// Goal: every state of a service has a stated verdict (HEALTH-12).
    #[test]
    fn each_state_has_a_verdict() {
        for is_asked in [true, false] {
            check("serving", is_asked, 3, 3, HealthWord::Healthy);
            check("serving", is_asked, 4, 3, HealthWord::Healthy);
            check("outside", is_asked, 2, 2, HealthWord::Healthy);
            check("serving", is_asked, 1, 3, HealthWord::Degraded);
            check("outside", is_asked, 1, 2, HealthWord::Degraded);
            check("unhealthy", is_asked, 0, 3, HealthWord::Unhealthy);
            check("starting", is_asked, 0, 1, HealthWord::Unhealthy);
            check("failed", is_asked, 0, 1, HealthWord::Unhealthy);
        }
        check("unreachable", true, 0, 1, HealthWord::Unhealthy);
        check("unreachable", false, 0, 1, HealthWord::Degraded);
        check("stopped", true, 0, 0, HealthWord::Unhealthy);
        check("stopped", false, 0, 0, HealthWord::Degraded);
    }
}
