//! The cases, one line each.

use super::cost::{Cost, Load};
use super::figure::{Figure, Goal, Measured, PRUMO};
use super::memory::Holding;
use super::{Options, Stand, crowd, latency, lives, upload};
use crate::bench::peer::Peer;
use crate::bench::site::{Site, Style};
use crate::bench::wrk;
use crate::checkout;
use crate::failure::Failure;

/// Something that proxies do, and its name on the command line.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    kind: Kind,
}

enum Kind {
    Cost(Cost),
    Headers,
    Latency,
    Holding(Holding),
    Upload,
    Clients,
    Talk,
    Reloads,
    Upgrades,
    Restarts,
}

const fn http1(tls: bool, path: &'static str, connections: u32, goal: f64, must: f64) -> Cost {
    let load = Load::Http1 { tls, path, connections };
    Cost { unit: "CPU µs/request", load, goal: Goal::TimesNginx { goal, must }, is_of_files: false }
}

/// Over few connections: an answer that takes long must still come within the time of a measurement.
const FEW: u32 = 4;

const fn files(path: &'static str, connections: u32) -> Cost {
    Cost { is_of_files: true, ..http1(false, path, connections, 1.0, 1.43) }
}

pub(super) const H1: Cost = http1(false, "", wrk::CONNECTIONS, 1.0, 1.25);
pub(super) const H1_TLS: Cost = http1(true, "", wrk::CONNECTIONS, 0.87, 1.0);
const H2_TLS: Cost = Cost { load: Load::Http2, goal: Goal::TimesNginx { goal: 0.77, must: 1.0 }, ..H1 };
const HANDSHAKES: Cost = Cost {
    unit: "CPU µs/handshake",
    load: Load::Handshakes,
    goal: Goal::TimesNginx { goal: 0.67, must: 0.83 },
    is_of_files: false,
};

const fn case(name: &'static str, about: &'static str, kind: Kind) -> Case {
    Case { name, about, kind }
}

/// Goals of throughput are goals of cost turned over: 1.15 times nginx's requests are 0.87 times its CPU time for each.
pub(super) const CASES: &[Case] = &[
    case("h1", "HTTP/1.1, 1 KiB", Kind::Cost(H1)),
    case("h1-tls", "HTTP/1.1 over TLS, 1 KiB", Kind::Cost(H1_TLS)),
    case("h2-tls", "HTTP/2 over TLS, 1 KiB, 64 streams × 8 connections", Kind::Cost(H2_TLS)),
    case("handshakes", "Full TLS 1.3 handshake, ECDSA", Kind::Cost(HANDSHAKES)),
    case("100k", "HTTP/1.1, 100 KiB", Kind::Cost(http1(false, "100k", wrk::CONNECTIONS, 1.0, 1.25))),
    case("100k-tls", "HTTP/1.1 over TLS, 100 KiB", Kind::Cost(http1(true, "100k", wrk::CONNECTIONS, 1.0, 1.25))),
    case("10m", "HTTP/1.1, 10 MiB", Kind::Cost(http1(false, "10m", FEW, 1.0, 1.25))),
    case("10m-tls", "HTTP/1.1 over TLS, 10 MiB", Kind::Cost(http1(true, "10m", FEW, 1.0, 1.25))),
    case("static-1k", "Static file, 1 KiB", Kind::Cost(files("static/1k", wrk::CONNECTIONS))),
    case("static-100k", "Static file, 100 KiB", Kind::Cost(files("static/100k", wrk::CONNECTIONS))),
    case("static-4m", "Static file, 4 MiB", Kind::Cost(files("static/4m", FEW))),
    case("headers", "What the security headers cost a request", Kind::Headers),
    case("latency", "Added latency at half load", Kind::Latency),
    case("empty", "Memory of an empty edge", Kind::Holding(Holding::Nothing)),
    case("idle-tls", "Memory with 10,000 idle TLS connections", Kind::Holding(Holding::Tls)),
    case("idle-web-sockets", "Memory with 10,000 idle web sockets", Kind::Holding(Holding::WebSockets)),
    case("upload", "500 MB upload through TLS", Kind::Upload),
    case("clients", "1,000 keep-alive clients for a minute", Kind::Clients),
    case("web-sockets", "Web socket echo, 1,000 clients", Kind::Talk),
    case("restarts", "Killed (kill -9) under `up --keep`", Kind::Restarts),
    case("reloads", "1,000 reloads under load", Kind::Reloads),
    case("upgrades", "50 upgrades of prumo itself under load", Kind::Upgrades),
];

pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static Case>, Failure> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| {
        let known = CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
        let missing = || Failure::new(format!("there is no case `{name}`")).hint(format!("there are: {known}"));
        CASES.iter().find(|case| case.name == name).ok_or_else(missing)
    };
    names.iter().map(find).collect()
}

impl Case {
    pub(super) fn measure(&self, stand: &Stand, options: Options) -> Result<Vec<Figure>, Failure> {
        match self.kind {
            Kind::Cost(cost) => Ok(vec![cost.measure(self.name, self.about, stand, options)?]),
            Kind::Headers => Ok(vec![headers(stand, options)?]),
            Kind::Latency => latency::measure(stand, options),
            Kind::Holding(holding) => Ok(vec![holding.measure(self.name, stand)?]),
            Kind::Upload => upload::measure(stand, options),
            Kind::Clients => crowd::clients(stand, options),
            Kind::Talk => crowd::talk(stand, options),
            Kind::Reloads => lives::reloads(options),
            Kind::Upgrades => lives::upgrades(options),
            Kind::Restarts => lives::restarts(options),
        }
    }

    /// Of the chart: a cost beside nginx's.
    pub(super) fn is_cost(&self) -> bool {
        matches!(self.kind, Kind::Cost(_))
    }
}

/// The same prumo with and without them.
fn headers(stand: &Stand, options: Options) -> Result<Figure, Failure> {
    let folder = checkout::made(stand.folder.join("bare"))?;
    let bare = Peer::prumo(Site::start(&stand.binary, &folder, Style::WithoutHeaders)?);
    let bare = Peer { name: "prumo without headers".to_owned(), ..bare };
    let rounds = H1.rounds("headers", &[&stand.peers[0], &bare], options)?;
    let values = rounds[0].iter().zip(&rounds[1]).map(|(with, without)| with - without).collect();
    let measured = vec![Measured { proxy: PRUMO, values }];
    Ok(Figure { about: "Security headers, of HTTP/1.1, 1 KiB".to_owned(), unit: H1.unit, measured, goal: Goal::None })
}
