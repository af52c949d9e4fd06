//! How each part and each service is (HEALTH-12), and every metric.

use std::fmt::Write as _;

use prumo_api::ask::{HealthCheck, HealthReport, HealthWord, ServiceStatus};
use prumo_clock::Moment;
use prumo_run::free_percent;

use super::Site;

impl Site {
    /// How each part and each service is.
    pub(crate) async fn health(&self) -> HealthReport {
        let mut checks = vec![
            self.edge_health(),
            self.run_health(),
            self.ledger_health().await,
            self.disk_health(),
            self.file_health(),
        ];
        checks.extend(self.certificate_health());
        let asked = self.parts.clock.now();
        if let Ok(status) = self.status(None).await {
            let took = self.milliseconds_since(asked);
            checks.extend(status.services.iter().map(|service| service_health(service, took)));
        }
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
    fn edge_health(&self) -> HealthCheck {
        let asked = self.parts.clock.now();
        let report = self.parts.edge.report();
        let cores = format!("{} of {}", report.cores_living, crate::cli::count(report.cores, "core"));
        let connections = crate::cli::count(report.connections as usize, "connection");
        let (status, message) = match (report.cores_living, &report.services_without_upstream[..]) {
            (0, _) => (HealthWord::Unhealthy, format!("{cores}: nothing is served")),
            (living, _) if living < report.cores => (HealthWord::Degraded, format!("{cores}, {connections}")),
            (_, []) => (HealthWord::Healthy, format!("{cores}, {connections}")),
            (_, services) => {
                (HealthWord::Degraded, format!("{cores}, {connections}, no replica of {}", services.join(", ")))
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

    pub(super) fn check(&self, name: &str, status: HealthWord, asked: Moment, message: String) -> HealthCheck {
        HealthCheck { name: name.to_owned(), status, response_time_ms: self.milliseconds_since(asked), message }
    }

    fn milliseconds_since(&self, asked: Moment) -> f64 {
        (self.parts.clock.now().since(asked).as_secs_f64() * 1e6).round() / 1e3
    }
}

fn service_health(service: &ServiceStatus, took: f64) -> HealthCheck {
    let (status, message) = verdict(service);
    HealthCheck { name: format!("service/{}", service.service), status, response_time_ms: took, message }
}

/// A service without a healthy replica is down; with fewer than wanted it is degraded; stopped by a person is degraded too,
/// because nobody should forget it.
fn verdict(service: &ServiceStatus) -> (HealthWord, String) {
    let replicas = format!("{}/{} replicas healthy", service.healthy, service.wanted);
    let status = match (service.healthy, service.wanted) {
        _ if service.state == "stopped" => return (HealthWord::Degraded, "stopped by a person".to_owned()),
        (0, _) => HealthWord::Unhealthy,
        (healthy, wanted) if healthy < wanted => HealthWord::Degraded,
        _ => HealthWord::Healthy,
    };
    (status, replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: &str, healthy: u32, wanted: u32, expected: HealthWord) {
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
        assert_eq!(verdict(&service).0, expected, "{state} {healthy}/{wanted}");
    }

    /// Goal: every state of a service has a stated verdict (HEALTH-12).
    #[test]
    fn each_state_has_a_verdict() {
        check("serving", 3, 3, HealthWord::Healthy);
        check("serving", 4, 3, HealthWord::Healthy);
        check("serving", 1, 3, HealthWord::Degraded);
        check("unhealthy", 0, 3, HealthWord::Unhealthy);
        check("starting", 0, 1, HealthWord::Unhealthy);
        check("stopped", 0, 0, HealthWord::Degraded);
    }
}
