//! `prumo status` and `prumo health`: what runs, and how it is.

use prumo_api::ask::{HealthReport, HealthWord, ReplicaStatus, ServiceStatus, SiteStatus};
use prumo_api::route::encode;

use super::print::{Colour, columns, printable};
use super::{Console, Exit, Outcome, Printer};

/// `prumo status [SERVICE]`
pub(crate) async fn status(console: &Console, service: Option<&str>, short: bool) -> Outcome {
    let query = service.map(|name| format!("?service={}", encode(name))).unwrap_or_default();
    let status: SiteStatus = console.connect().await?.document("GET", &format!("/api/v1/status{query}"), &()).await?;
    console.printer.document(&status);
    let heads: Vec<Vec<String>> = status.services.iter().map(|service| head(console.printer, service)).collect();
    let heads = columns(&heads);
    if short {
        heads.iter().for_each(|line| console.printer.answer(line));
        if !status.maintenance.is_empty() {
            let routes = status.maintenance.join(", ");
            console
                .printer
                .answer(format!("{} in maintenance: {routes}", console.printer.paint(Colour::Yellow, "note:")));
        }
        return Ok(Exit::Done);
    }
    if service.is_none() {
        console.printer.answer(site_line(&status));
    }
    for (service, head) in status.services.iter().zip(heads) {
        console.printer.answer(head);
        details(service).iter().for_each(|line| console.printer.answer(format!("    {line}")));
    }
    for note in &status.notes {
        console.printer.answer(format!("{} {}", console.printer.paint(Colour::Yellow, "note:"), printable(note)));
    }
    Ok(Exit::Done)
}

fn site_line(status: &SiteStatus) -> String {
    let mut addresses = Vec::new();
    addresses.extend(status.http.iter().map(|address| format!("http://{address}")));
    addresses.extend(status.https.iter().map(|address| format!("https://{address}")));
    let at = if addresses.is_empty() { "no listener".to_owned() } else { addresses.join("  ") };
    format!("{}  prumo {} (pid {})  {at}", status.site, status.version, status.pid)
}

fn head(printer: Printer, service: &ServiceStatus) -> Vec<String> {
    let is_outside = matches!(service.state.as_str(), "outside" | "unreachable");
    let (none, counted) = if is_outside { ("somebody else's", "addresses") } else { ("no release", "replicas") };
    let release = service.release.map_or_else(|| none.to_owned(), |number| format!("release {number}"));
    let colour = match service.state.as_str() {
        "serving" | "outside" => Colour::Green,
        "stopped" => Colour::Dim,
        "deploying" | "starting" => Colour::Yellow,
        _ => Colour::Red,
    };
    let mut state = printer.paint(colour, &service.state);
    if let Some(deploy) = &service.deploy {
        state.push_str(&format!(" release {} ({})", deploy.release, deploy.step));
    }
    vec![service.service.clone(), release, format!("{}/{} {counted}", service.healthy, service.wanted), state]
}

fn details(service: &ServiceStatus) -> Vec<String> {
    let mut lines = columns(&service.replicas.iter().map(replica_cells).collect::<Vec<_>>());
    if let Some(replica) = service.replicas.iter().find(|replica| !replica.limits.is_empty()) {
        lines.push(format!("limits: {}", replica.limits.join(", ")));
    }
    lines.extend(service.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}

fn replica_cells(replica: &ReplicaStatus) -> Vec<String> {
    let restarts = match replica.restarts {
        0 => String::new(),
        1 => "1 restart".to_owned(),
        more => format!("{more} restarts"),
    };
    vec![
        replica.replica.clone(),
        format!("release {}", replica.release),
        replica.pid.map_or_else(|| "no process".to_owned(), |pid| format!("pid {pid}")),
        replica.address.clone().unwrap_or_else(|| "-".to_owned()),
        replica.state.clone(),
        replica.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6)),
        restarts,
        trouble(replica),
    ]
}

/// The last thing that was wrong with a replica: what its probe found, else how it ended.
fn trouble(replica: &ReplicaStatus) -> String {
    let ended = || replica.last_exit.as_ref().map(|exit| format!("last ended: {exit}"));
    printable(&replica.last_check.clone().or_else(ended).unwrap_or_default())
}

/// `prumo health`
pub(crate) async fn health(console: &Console) -> Outcome {
    let (_, report): (u16, HealthReport) =
        console.connect().await?.document_with_status("GET", "/health/detailed", &()).await?;
    console.printer.document(&report);
    let rows: Vec<Vec<String>> = report
        .checks
        .iter()
        .map(|check| {
            let word = console.printer.paint(colour(check.status), check.status.word());
            vec![check.name.clone(), word, format!("{:.1} ms", check.response_time_ms), printable(&check.message)]
        })
        .collect();
    columns(&rows).iter().for_each(|line| console.printer.answer(line));
    console.printer.answer(console.printer.paint(colour(report.status), report.status.word()));
    Ok(if report.status == HealthWord::Unhealthy { Exit::Unhealthy } else { Exit::Done })
}

fn colour(word: HealthWord) -> Colour {
    match word {
        HealthWord::Healthy => Colour::Green,
        HealthWord::Degraded => Colour::Yellow,
        HealthWord::Unhealthy => Colour::Red,
    }
}
