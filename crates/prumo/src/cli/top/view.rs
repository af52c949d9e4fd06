//! What happened between two looks at the counters. Pure.

use prumo_api::counters::{Bucket, EdgeCounters, ReplicaCounters, RouteCounters};
use serde::Serialize;

use crate::cli::print::columns;

/// What happened within some time, usually a second.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct View {
    site: String,
    running_for_seconds: f64,
    seconds: f64,
    connections_open: u64,
    connections_per_second: f64,
    tunnels_open: u64,
    /// Access log lines lost since the start: a number that should be 0.
    access_log_lines_lost: u64,
    routes: Vec<RouteView>,
    replicas: Vec<ReplicaView>,
}

/// Requests within the time, of a route or a replica.
#[derive(Debug, PartialEq, Serialize)]
struct Rates {
    requests_per_second: f64,
    /// From 0 to 1; absent without requests.
    error_share: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    in_flight: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct RouteView {
    service: String,
    route: String,
    #[serde(flatten)]
    rates: Rates,
    bytes_in_per_second: f64,
    bytes_out_per_second: f64,
}

#[derive(Debug, PartialEq, Serialize)]
struct ReplicaView {
    service: String,
    replica: String,
    #[serde(flatten)]
    rates: Rates,
    tunnels: u64,
}

impl View {
    /// What happened from `before` to `now`. What was not there before began at zero.
    pub(super) fn between(before: &EdgeCounters, now: &EdgeCounters) -> View {
        let micros = now.at_us.saturating_sub(before.at_us).max(1);
        let seconds = micros as f64 / 1e6;
        let route = |now: &RouteCounters| {
            let known = before.routes.iter().find(|known| (&known.service, &known.route) == (&now.service, &now.route));
            let before = known.cloned().unwrap_or_default();
            RouteView {
                service: now.service.clone(),
                route: now.route.clone(),
                rates: Rates::of(
                    difference(now.status, before.status),
                    &since(&now.duration, &before.duration),
                    now.in_flight,
                    seconds,
                ),
                bytes_in_per_second: now.bytes_in.saturating_sub(before.bytes_in) as f64 / seconds,
                bytes_out_per_second: now.bytes_out.saturating_sub(before.bytes_out) as f64 / seconds,
            }
        };
        let replica = |now: &ReplicaCounters| {
            let known = before.replicas.iter().find(|known| known.replica == now.replica);
            let before = known.cloned().unwrap_or_default();
            ReplicaView {
                service: now.service.clone(),
                replica: now.replica.clone(),
                rates: Rates::of(
                    difference(now.status, before.status),
                    &since(&now.first_byte, &before.first_byte),
                    now.requests,
                    seconds,
                ),
                tunnels: now.tunnels,
            }
        };
        View {
            site: now.site.clone(),
            running_for_seconds: now.at_us as f64 / 1e6,
            seconds,
            connections_open: now.connections_open,
            connections_per_second: now.connections.saturating_sub(before.connections) as f64 / seconds,
            tunnels_open: now.tunnels_open,
            access_log_lines_lost: now.lines_lost,
            routes: now.routes.iter().map(route).collect(),
            replicas: now.replicas.iter().map(replica).collect(),
        }
    }

    /// For people: a line about the whole, then a table of routes and one of replicas.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head()];
        let mut routes =
            vec![words(["route", "service", "req/s", "errors", "p50", "p95", "p99", "in flight", "in/s", "out/s"])];
        // Nobody asked for what no route takes: no line.
        let is_shown = |route: &&RouteView| !route.route.is_empty() || route.rates.requests_per_second > 0.0;
        routes.extend(self.routes.iter().filter(is_shown).map(RouteView::cells));
        lines.push(String::new());
        lines.extend(columns(&routes));
        if !self.replicas.is_empty() {
            let mut replicas =
                vec![words(["replica", "service", "req/s", "errors", "p50", "p95", "p99", "in flight", "tunnels"])];
            replicas.extend(self.replicas.iter().map(ReplicaView::cells));
            lines.push(String::new());
            lines.extend(columns(&replicas));
        }
        lines
    }

    fn head(&self) -> String {
        let requests: f64 = self.routes.iter().map(|route| route.rates.requests_per_second).sum();
        let lost = match self.access_log_lines_lost {
            0 => String::new(),
            lines => format!(", {lines} access log lines lost"),
        };
        format!(
            "{}  up {}  {} req/s  {} connections ({} new/s), {} tunnels{lost}",
            self.site,
            uptime(self.running_for_seconds),
            short(requests),
            self.connections_open,
            short(self.connections_per_second),
            self.tunnels_open,
        )
    }
}

impl Rates {
    fn of(status: [u64; 5], buckets: &[Bucket], in_flight: u64, seconds: f64) -> Rates {
        let requests: u64 = status.iter().sum();
        let at = |share: f64| quantile(buckets, share).map(|micros| micros / 1e3);
        Rates {
            requests_per_second: requests as f64 / seconds,
            error_share: (requests > 0).then(|| status[4] as f64 / requests as f64),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            in_flight,
        }
    }

    fn cells(&self) -> [String; 6] {
        let time = |millis: Option<f64>| millis.map_or_else(|| "-".to_owned(), milliseconds);
        [
            short(self.requests_per_second),
            self.error_share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0)),
            time(self.p50_ms),
            time(self.p95_ms),
            time(self.p99_ms),
            self.in_flight.to_string(),
        ]
    }
}

impl RouteView {
    fn cells(&self) -> Vec<String> {
        let name = if self.route.is_empty() { "(no route)" } else { &self.route };
        let bytes = [self.bytes_in_per_second, self.bytes_out_per_second].map(bytes);
        let ends = [or_dash(name), or_dash(&self.service)];
        ends.into_iter().chain(self.rates.cells()).chain(bytes).collect()
    }
}

impl ReplicaView {
    fn cells(&self) -> Vec<String> {
        let ends = [or_dash(&self.replica), or_dash(&self.service)];
        ends.into_iter().chain(self.rates.cells()).chain([self.tunnels.to_string()]).collect()
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn difference(now: [u64; 5], before: [u64; 5]) -> [u64; 5] {
    std::array::from_fn(|class| now[class].saturating_sub(before[class]))
}

fn since(now: &[Bucket], before: &[Bucket]) -> Vec<Bucket> {
    let was = |bucket: &Bucket| {
        before
            .iter()
            .find(|known| (known.over_us, known.to_us) == (bucket.over_us, bucket.to_us))
            .map_or(0, |known| known.count)
    };
    let less = |bucket: &Bucket| Bucket { count: bucket.count.saturating_sub(was(bucket)), ..*bucket };
    now.iter().map(less).filter(|bucket| bucket.count > 0).collect()
}

/// The time within which this share was done, in microseconds, as if the times in a bucket were spread evenly.
fn quantile(buckets: &[Bucket], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let wanted = total as f64 * share;
    let mut below = 0.0;
    for bucket in buckets {
        let count = bucket.count as f64;
        if below + count >= wanted {
            let part = ((wanted - below) / count).clamp(0.0, 1.0);
            let width = bucket.to_us.saturating_sub(bucket.over_us) as f64;
            return Some(bucket.over_us as f64 + width * part);
        }
        below += count;
    }
    None
}

/// Three digits are what one can read in a second.
fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        few if few < 9.95 => format!("{few:.1}"),
        some if some < 9_999.5 => format!("{some:.0}"),
        many => format!("{:.1}k", many / 1e3),
    }
}

fn milliseconds(millis: f64) -> String {
    match millis {
        quick if quick < 9.95 => format!("{quick:.1} ms"),
        some if some < 999.5 => format!("{some:.0} ms"),
        slow => format!("{:.1} s", slow / 1e3),
    }
}

fn bytes(bytes: f64) -> String {
    match bytes {
        few if few < 999.5 => format!("{few:.0} B"),
        some if some < 999_500.0 => format!("{:.1} kB", some / 1e3),
        many if many < 999_500_000.0 => format!("{:.1} MB", many / 1e6),
        flood => format!("{:.1} GB", flood / 1e9),
    }
}

fn uptime(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests;
