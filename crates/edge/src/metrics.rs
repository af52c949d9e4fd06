//! What the edge counts. Each core writes cells of its own; whoever scrapes adds them up.
//!
//! A cell has one writer, so it is written with a plain load and store: no locked instruction on a request's way.
//! Labels are bounded by the routes and replicas of the site and by lists in this crate.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::respond::Reason;

/// A number with one writing thread and any readers.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
    }

    /// Released, so that who reads the lower number also sees what was done before.
    pub(crate) fn sub(&self, number: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(number), Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// On cache lines of its own (two, because the prefetcher fetches pairs), so that cores do not slow each other down.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Apart<T>(pub(crate) T);

/// One for each core.
pub(crate) type PerCore<T> = Box<[Apart<T>]>;

pub(crate) fn per_core<T: Default>(cores: usize) -> PerCore<T> {
    (0..cores).map(|_| Apart::default()).collect()
}

/// Seconds. From a cache hit to a slow report; the bounds of Prometheus' client libraries with two finer ones below.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How long things took, in buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Count; BOUNDS.len() + 1],
    nanos: Count,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].add(1);
        self.nanos.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// What one core counts for one route.
#[derive(Debug, Default)]
pub(crate) struct RouteCount {
    /// 1xx to 5xx.
    pub(crate) status: [Count; 5],
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) retries: Count,
    pub(crate) duration: Histogram,
    pub(crate) upstream: Histogram,
}

/// What is counted for one route.
#[derive(Debug)]
pub(crate) struct RouteCells {
    pub(crate) service: String,
    pub(crate) route: String,
    pub(crate) cores: PerCore<RouteCount>,
}

impl RouteCells {
    pub(crate) fn new(service: &str, route: &str, cores: usize) -> RouteCells {
        RouteCells { service: service.to_owned(), route: route.to_owned(), cores: per_core(cores) }
    }
}

/// What one core does with one upstream at present.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCount {
    requests: Count,
    tunnels: Count,
}

/// What is in flight at one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamCells {
    cores: PerCore<UpstreamCount>,
}

impl UpstreamCells {
    pub(crate) fn new(cores: usize) -> UpstreamCells {
        UpstreamCells { cores: per_core(cores) }
    }

    pub(crate) fn requests(&self, core: usize) -> &Count {
        &self.cores[core].0.requests
    }

    pub(crate) fn tunnels(&self, core: usize) -> &Count {
        &self.cores[core].0.tunnels
    }

    /// Requests and tunnels over all cores.
    pub(crate) fn load(&self) -> u64 {
        self.total_requests() + self.total_tunnels()
    }

    pub(crate) fn total_requests(&self) -> u64 {
        self.cores.iter().map(|core| core.0.requests.get()).sum()
    }

    pub(crate) fn total_tunnels(&self) -> u64 {
        self.cores.iter().map(|core| core.0.tunnels.get()).sum()
    }
}

/// What one core counts beside routes and upstreams.
#[derive(Debug, Default)]
pub(crate) struct CoreCount {
    pub(crate) connections: Count,
    pub(crate) connections_open: Count,
    pub(crate) tunnels_open: Count,
    /// Listeners that still accept.
    pub(crate) listeners: Count,
    /// Requests whose answer has not begun.
    pub(crate) unanswered: Count,
    pub(crate) lines_lost: Count,
    refused: [Count; Reason::ALL.len()],
}

impl CoreCount {
    pub(crate) fn refused(&self, reason: Reason) -> &Count {
        &self.refused[reason as usize]
    }
}

/// Everything a scrape shows.
pub(crate) struct Scrape<'a> {
    pub(crate) cores: &'a [&'a CoreCount],
    pub(crate) routes: &'a [Arc<RouteCells>],
    pub(crate) upstreams: &'a [(String, String, Arc<UpstreamCells>)],
    pub(crate) lines_lost_by_writer: u64,
}

impl Scrape<'_> {
    /// Appends the exposition to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        self.write_requests(out);
        self.write_durations(out);
        self.write_cores(out);
        self.write_upstreams(out);
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
        self.write_histogram(out, "prumo_edge_request_duration_seconds", whole, |count| &count.duration);
        let upstream = "Seconds from asking an upstream to the head of its answer.";
        self.write_histogram(out, "prumo_edge_upstream_duration_seconds", upstream, |count| &count.upstream);
    }

    fn write_histogram(&self, out: &mut String, name: &str, help: &str, pick: impl Fn(&RouteCount) -> &Histogram) {
        family(out, name, "histogram", help);
        let mut services: BTreeMap<&str, Vec<&RouteCells>> = BTreeMap::new();
        for cells in self.routes {
            services.entry(&cells.service).or_default().push(cells);
        }
        for (service, routes) in services {
            let sum = |read: &dyn Fn(&Histogram) -> u64| -> u64 {
                routes.iter().map(|cells| total(cells, |count| read(pick(count)))).sum()
            };
            let service = Escaped(service);
            let mut below = 0;
            for (bucket, bound) in BOUNDS.iter().enumerate() {
                below += sum(&|histogram| histogram.buckets[bucket].get());
                line(out, format_args!("{name}_bucket{{service=\"{service}\",le=\"{bound:?}\"}} {below}"));
            }
            below += sum(&|histogram| histogram.buckets[BOUNDS.len()].get());
            let seconds = sum(&|histogram| histogram.nanos.get()) as f64 / 1e9;
            line(out, format_args!("{name}_bucket{{service=\"{service}\",le=\"+Inf\"}} {below}"));
            line(out, format_args!("{name}_sum{{service=\"{service}\"}} {seconds}"));
            line(out, format_args!("{name}_count{{service=\"{service}\"}} {below}"));
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

    fn write_upstreams(&self, out: &mut String) {
        family(out, "prumo_edge_upstream_in_flight", "gauge", "Requests and tunnels in flight, by replica.");
        for (service, id, cells) in self.upstreams {
            let (service, id) = (Escaped(service), Escaped(id));
            for (kind, count) in [("request", cells.total_requests()), ("tunnel", cells.total_tunnels())] {
                line(
                    out,
                    format_args!(
                        "prumo_edge_upstream_in_flight{{service=\"{service}\",replica=\"{id}\",kind=\"{kind}\"}} {count}"
                    ),
                );
            }
        }
    }
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

#[cfg(test)]
mod tests;
