//! The edge alone in front of one fixed upstream or with the files of a folder, for measuring it beside other proxies.
//!
//! ```text
//! cargo run --release --package prumo-edge --example front -- 127.0.0.1:9000 8080
//! ```
//! Arguments: the upstream's address or a folder, the clear-text port, then optionally the TLS port (0 for none), the number of cores, and
//! `-` in place of the access log's file for none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use prumo_clock::Clock;
use prumo_drain::{Drain, signals};
use prumo_edge::{AccessLog, Action, Address, Edge, Files, Port, Route, Settings, Upstream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().ok_or("which upstream or folder?")?;
    let http: u16 = arguments.next().ok_or("which port?")?.parse()?;
    let https: u16 = arguments.next().unwrap_or("0".into()).parse()?;
    let cores: usize = arguments.next().unwrap_or("1".into()).parse()?;
    let log = arguments.next().unwrap_or("/tmp/front/access.log".into());

    std::fs::create_dir_all("/tmp/front")?;
    let clock = Clock::system();
    let drain = Drain::new(clock.clone());
    let stage = drain.stage("edge");
    let mut settings = Settings::new("/tmp/front/certs");
    settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
    settings.http = Port::Number(http);
    settings.https = if https == 0 { Port::Off } else { Port::Number(https) };
    settings.cores = Some(cores);
    settings.access_log = (log != "-").then(|| AccessLog {
        path: log.into(),
        keep_bytes: 64 << 20,
        format: prumo_edge::LineFormat::Json,
        sample: prumo_edge::Share::ALL,
    });
    let edge = Edge::start(settings, clock, &stage)?;
    let is_folder = upstream.contains('/');
    let files = || Route::new("files", Action::Files(Files::of(&upstream)));
    let mut route = if is_folder { files() } else { Route::to("app") };
    route.body_max = 1 << 30;
    edge.routes(vec![route])?;
    if !is_folder {
        let upstream = Upstream::new("app-1", Address::Tcp(upstream.parse()?));
        edge.upstreams(BTreeMap::from([("app".to_owned(), vec![upstream])]));
    }
    signals().next().await;
    let mut metrics = String::new();
    edge.metrics(&mut metrics);
    drain.stop(Duration::from_secs(5)).await;
    std::fs::write("/tmp/front/metrics.txt", metrics)?;
    Ok(())
}
