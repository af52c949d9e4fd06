//! Metrics of run, in the Prometheus text format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::driver::proc::TICKS_PER_SECOND;
use crate::status::{ReplicaStatus, ServiceStatus, Snapshot, View};

/// Appends every metric.
pub(crate) fn write(snapshot: &Snapshot, text: &mut String) {
    let views: Vec<(&View, ServiceStatus)> = snapshot.services.values().map(|view| (view, view.measured())).collect();
    let mut page = Page { text, views: &views };
    page.service("replicas_wanted", "gauge", "Replicas of the serving release that there should be.", |_, status| {
        u64::from(status.wanted)
    });
    page.service("replicas_healthy", "gauge", "Replicas of the serving release that are healthy.", |_, status| {
        u64::from(status.healthy)
    });
    page.service("restarts_total", "counter", "Replicas that ended by themselves.", |view, _| view.restarts);
    page.deploys();
    page.service("output_lines_total", "counter", "Lines that replicas printed.", |view, _| {
        view.log.counts().lines.load(Ordering::Relaxed)
    });
    page.service("output_bytes_total", "counter", "Bytes of the lines as stored.", |view, _| {
        view.log.counts().bytes.load(Ordering::Relaxed)
    });
    page.service("output_lines_lost_total", "counter", "Lines that could not be stored.", |view, _| {
        view.log.counts().lost.load(Ordering::Relaxed)
    });
    page.replica("replica_memory_bytes", "gauge", "Resident memory of a replica's processes.", |replica| {
        replica.memory_bytes.map(|bytes| bytes.to_string())
    });
    page.replica(
        "replica_cpu_seconds_total",
        "counter",
        "Processor time of a replica's living processes.",
        |replica| {
            replica.cpu_ticks.map(|ticks| format!("{}.{:02}", ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND))
        },
    );
}

struct Page<'a> {
    text: &'a mut String,
    views: &'a [(&'a View, ServiceStatus)],
}

impl Page<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP prumo_run_{name} {help}"));
        self.line(format_args!("# TYPE prumo_run_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a string cannot fail");
    }

    fn service(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&View, &ServiceStatus) -> u64) {
        self.head(name, kind, help);
        for (view, status) in self.views {
            let value = value(view, status);
            self.line(format_args!("prumo_run_{name}{{service=\"{}\"}} {value}", status.service));
        }
    }

    fn deploys(&mut self) {
        let name = "deploys_total";
        self.head(name, "counter", "Deploys, rollbacks and restarts that ended.");
        for (view, status) in self.views {
            for (result, count) in [("done", view.deploys_done), ("failed", view.deploys_failed)] {
                let service = &status.service;
                self.line(format_args!("prumo_run_{name}{{service=\"{service}\",result=\"{result}\"}} {count}"));
            }
        }
    }

    fn replica(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&ReplicaStatus) -> Option<String>) {
        self.head(name, kind, help);
        for (_, status) in self.views {
            for replica in &status.replicas {
                if let Some(value) = value(replica) {
                    let (service, id) = (&status.service, &replica.replica);
                    self.line(format_args!("prumo_run_{name}{{service=\"{service}\",replica=\"{id}\"}} {value}"));
                }
            }
        }
    }
}
