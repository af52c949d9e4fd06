//! The counts in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::Arc;

use prumo_clock::Moment;

use super::{CoreCount, Count, Histogram, RouteCells, RouteCount, SERVICE_COUNTERS, ServiceCells, Sum, UpstreamCells};
use crate::respond::Reason;
use crate::tls::CertificateState;

/// Everything a scrape shows.
pub(crate) struct Scrape<'a> {
    pub(crate) cores: &'a [&'a CoreCount],
    pub(crate) routes: &'a [Arc<RouteCells>],
    pub(crate) services: &'a [Arc<ServiceCells>],
    pub(crate) upstreams: &'a [(String, String, Arc<UpstreamCells>)],
    pub(crate) now: Moment,
    pub(crate) lines_lost_by_writer: u64,
    pub(crate) certificates: &'a [CertificateState],
    pub(crate) lookups_failed: u64,
}

impl Scrape<'_> {
    /// Appends the exposition to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        self.write_requests(out);
        self.write_durations(out);
        self.write_cores(out);
        self.write_services(out);
        self.write_upstreams(out);
        self.write_certificates(out);
    }

    fn write_requests(&self, out: &mut String) {
        family(out, "prumo_edge_requests_total", "counter", "Requests answered, by route and class of status.");
        for cells in self.routes {
            for class in 0..5 {
                let count = total(cells, |count| count.status[class].get());
                let labels = Labels { service: &cells.service, route: &cells.route };
                line(out, format_args!("prumo_edge_requests_total{{{labels},status=\"{}xx\"}} {count}", class + 1));
            }
        }
        self.write_by_route(out, "prumo_edge_request_bytes_total", "Bytes of request bodies.", |c| c.bytes_in.get());
        self.write_by_route(out, "prumo_edge_response_bytes_total", "Bytes of answer bodies.", |c| c.bytes_out.get());
        let retries = "Requests asked again of an upstream because the first attempt could not have been served.";
        self.write_by_route(out, "prumo_edge_retries_total", retries, |c| c.retries.get());
    }

    fn write_by_route(&self, out: &mut String, name: &str, help: &str, read: impl Fn(&RouteCount) -> u64) {
        family(out, name, "counter", help);
        for cells in self.routes {
            let labels = Labels { service: &cells.service, route: &cells.route };
            line(out, format_args!("{name}{{{labels}}} {}", total(cells, &read)));
        }
    }

    fn write_durations(&self, out: &mut String) {
        let whole = "Seconds from the request's head to the end of its answer.";
        self.write_of_routes(out, "prumo_edge_request_duration_seconds", whole, |count| &count.duration);
        let connect = "Seconds to make a connection to a replica, when none was kept.";
        self.write_of_routes(out, "prumo_edge_upstream_connect_duration_seconds", connect, |count| &count.connect);
        let exchange = "Seconds from asking a replica to the end of its answer.";
        self.write_of_routes(out, "prumo_edge_upstream_duration_seconds", exchange, |count| &count.exchange);
        let name = "prumo_edge_upstream_first_byte_duration_seconds";
        family(out, name, "histogram", "Seconds from asking a replica to the head of its answer.");
        for (service, id, cells) in self.upstreams {
            let sum = Sum::of(cells.cores().map(|count| &count.first_byte));
            write_histogram(out, name, &ReplicaLabels { service, replica: id }, &sum);
        }
    }

    fn write_of_routes(&self, out: &mut String, name: &str, help: &str, pick: impl Fn(&RouteCount) -> &Histogram) {
        family(out, name, "histogram", help);
        for cells in self.routes {
            let sum = Sum::of(cells.cores.iter().map(|core| pick(&core.0)));
            write_histogram(out, name, &Labels { service: &cells.service, route: &cells.route }, &sum);
        }
    }

    fn write_cores(&self, out: &mut String) {
        let sum = |read: fn(&CoreCount) -> &Count| -> u64 { self.cores.iter().map(|core| read(core).get()).sum() };
        family(out, "prumo_edge_connections_total", "counter", "Client connections accepted.");
        line(out, format_args!("prumo_edge_connections_total {}", sum(|core| &core.connections)));
        family(out, "prumo_edge_connections_open", "gauge", "Client connections open now.");
        line(out, format_args!("prumo_edge_connections_open {}", sum(|core| &core.connections_open)));
        family(out, "prumo_edge_tunnels_open", "gauge", "Upgraded connections open now.");
        line(out, format_args!("prumo_edge_tunnels_open {}", sum(|core| &core.tunnels_open)));
        family(out, "prumo_edge_tls_handshakes_total", "counter", "TLS handshakes that succeeded, by kind.");
        for (kind, count) in
            [("full", sum(|core| &core.handshakes_full)), ("resumed", sum(|core| &core.handshakes_resumed))]
        {
            line(out, format_args!("prumo_edge_tls_handshakes_total{{kind=\"{kind}\"}} {count}"));
        }
        let name = "prumo_edge_lookups_failed_total";
        family(out, name, "counter", "Names of services outside that could not be looked up.");
        line(out, format_args!("{name} {}", self.lookups_failed));
        family(out, "prumo_edge_access_log_lines_lost_total", "counter", "Access log lines dropped, not waited for.");
        let lost = sum(|core| &core.lines_lost) + self.lines_lost_by_writer;
        line(out, format_args!("prumo_edge_access_log_lines_lost_total {lost}"));
        family(
            out,
            "prumo_edge_refused_total",
            "counter",
            "Requests and connections the edge answered or closed itself.",
        );
        for &reason in Reason::ALL {
            let count: u64 = self.cores.iter().map(|core| core.refused(reason).get()).sum();
            line(out, format_args!("prumo_edge_refused_total{{reason=\"{}\"}} {count}", reason.label()));
        }
    }

    fn write_services(&self, out: &mut String) {
        for (name, help, read) in SERVICE_COUNTERS {
            family(out, name, "counter", help);
            for cells in self.services {
                let count: u64 = cells.cores.iter().map(|core| read(&core.0)).sum();
                line(out, format_args!("{name}{{service=\"{}\"}} {count}", Escaped(&cells.service)));
            }
        }
        let name = "prumo_edge_upstream_ejected";
        family(out, name, "gauge", "Cores that have ejected this replica for now.");
        for (service, id, cells) in self.upstreams {
            let (labels, cores) = (ReplicaLabels { service, replica: id }, cells.ejected(self.now));
            line(out, format_args!("{name}{{{labels}}} {cores}"));
        }
    }

    fn write_upstreams(&self, out: &mut String) {
        let name = "prumo_edge_upstream_requests_total";
        family(out, name, "counter", "Requests answered with this replica as the last that was asked.");
        for (service, id, cells) in self.upstreams {
            let labels = ReplicaLabels { service, replica: id };
            for class in 0..5 {
                let count: u64 = cells.cores().map(|count| count.status[class].get()).sum();
                line(out, format_args!("{name}{{{labels},status=\"{}xx\"}} {count}", class + 1));
            }
        }
        family(out, "prumo_edge_upstream_in_flight", "gauge", "Requests and tunnels in flight, by replica.");
        for (service, id, cells) in self.upstreams {
            let labels = ReplicaLabels { service, replica: id };
            for (kind, count) in [("request", cells.total_requests()), ("tunnel", cells.total_tunnels())] {
                line(out, format_args!("prumo_edge_upstream_in_flight{{{labels},kind=\"{kind}\"}} {count}"));
            }
        }
    }

    /// `certificate` is the path that the site's file names.
    fn write_certificates(&self, out: &mut String) {
        let name = "prumo_edge_certificate_expires_seconds";
        family(out, name, "gauge", "When the certificate that is served expires, in seconds since 1970.");
        for state in self.certificates {
            let file = state.file.to_string_lossy();
            line(out, format_args!("{name}{{certificate=\"{}\"}} {}", Escaped(&file), state.expires.millis() / 1000));
        }
        let name = "prumo_edge_certificate_stale";
        family(out, name, "gauge", "1 while the files of a certificate cannot serve, and the last good ones do.");
        for state in self.certificates {
            let file = state.file.to_string_lossy();
            let stale = u8::from(state.trouble.is_some());
            line(out, format_args!("{name}{{certificate=\"{}\"}} {stale}", Escaped(&file)));
        }
    }
}

fn write_histogram(out: &mut String, name: &str, labels: &dyn std::fmt::Display, sum: &Sum) {
    for (bound, below) in sum.shown() {
        line(out, format_args!("{name}_bucket{{{labels},le=\"{bound:?}\"}} {below}"));
    }
    let count = sum.count();
    line(out, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}"));
    line(out, format_args!("{name}_sum{{{labels}}} {}", sum.seconds()));
    line(out, format_args!("{name}_count{{{labels}}} {count}"));
}

fn total(cells: &RouteCells, read: impl Fn(&RouteCount) -> u64) -> u64 {
    cells.cores.iter().map(|core| read(&core.0)).sum()
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

struct Labels<'a> {
    service: &'a str,
    route: &'a str,
}

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "service=\"{}\",route=\"{}\"", Escaped(self.service), Escaped(self.route))
    }
}

struct ReplicaLabels<'a> {
    service: &'a str,
    replica: &'a str,
}

impl std::fmt::Display for ReplicaLabels<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "service=\"{}\",replica=\"{}\"", Escaped(self.service), Escaped(self.replica))
    }
}

/// A label's value as the exposition format wants it.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => formatter.write_str("\\\\")?,
                '"' => formatter.write_str("\\\"")?,
                '\n' => formatter.write_str("\\n")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}
