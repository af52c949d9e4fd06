//! What a deploy would change: the running configuration beside the file. Pure, and it shows no value of the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use prumo_api::ask::{Change, PlanReport};
use prumo_config::value::duration::show;
use prumo_config::{
    AccessLog, Admin, Certificate, Cidr, ClientCertificate, Config, Edge, Hsts, Maintenance, Outside, Port, Rate,
    Route, Site, Size, Trace,
};
use prumo_run::{Check, ServiceSpec, Serving, Value};

mod headers;
pub(crate) mod routes;
mod traffic;

/// The changes from what runs to what the file says: services as run has them, the rest as it was last applied.
pub(crate) fn changes(
    serving: &BTreeMap<String, Serving>,
    wanted: &[ServiceSpec],
    applied: &Config,
    file: &Config,
) -> PlanReport {
    let mut changes = Vec::new();
    let wanted: BTreeMap<String, &ServiceSpec> = wanted.iter().map(|spec| (spec.name.clone(), spec)).collect();
    for name in union(serving.keys(), wanted.keys()) {
        changes.extend(service(name, serving.get(name), wanted.get(name).copied()));
    }
    for name in union(applied.outside.keys(), file.outside.keys()) {
        changes.extend(outside(name, applied.outside.get(name), file.outside.get(name)));
    }
    changes.extend(traffic::changes(applied, file));
    let (old, new) = (by_name(applied), by_name(file));
    for name in union(old.keys(), new.keys()) {
        changes.extend(routes::change(name, old.get(name).copied(), new.get(name).copied()));
    }
    changes.extend(edge_of_routes(&applied.edge, &file.edge));
    let maintenance = (maintenance_fields(&applied.maintenance), maintenance_fields(&file.maintenance));
    changes.extend(changed("maintenance".to_owned(), &maintenance.0, &maintenance.1));
    changes.extend(needs_a_restart("edge", &edge_fields(&applied.edge), &edge_fields(&file.edge)));
    let certificates = (certificate_fields(&applied.certificates), certificate_fields(&file.certificates));
    changes.extend(changed("certificate".to_owned(), &certificates.0, &certificates.1));
    let asked = (client_fields(&applied.client_certificates), client_fields(&file.client_certificates));
    changes.extend(changed("client_certificate".to_owned(), &asked.0, &asked.1));
    changes.extend(needs_a_restart("admin", &admin_fields(&applied.admin), &admin_fields(&file.admin)));
    changes.extend(needs_a_restart("site", &site_fields(&applied.site), &site_fields(&file.site)));
    PlanReport { changes }
}

/// The configuration to apply while prumo runs: what only a start takes stays as it was started, so that the next plan goes
/// on saying that it waits.
pub(crate) fn as_started(next: Config, running: &Config) -> Config {
    let Edge { allow, deny, hsts, headers, .. } = next.edge;
    let edge = Edge { allow, deny, hsts, headers, ..running.edge.clone() };
    Config { edge, admin: running.admin.clone(), site: running.site.clone(), ..next }
}

fn union<'a>(left: impl Iterator<Item = &'a String>, right: impl Iterator<Item = &'a String>) -> BTreeSet<&'a String> {
    left.chain(right).collect()
}

fn by_name(config: &Config) -> BTreeMap<String, &Route> {
    config.routes.iter().map(|route| (route.name.clone(), route)).collect()
}

fn service(name: &str, old: Option<&Serving>, new: Option<&ServiceSpec>) -> Option<Change> {
    let subject = format!("service {name}");
    match (old, new) {
        (None, Some(new)) => {
            let replicas = crate::cli::count(new.replicas as usize, "replica");
            Some(Change { sign: '+', subject, details: vec![format!("{replicas} of {}", new.run.join(" "))] })
        }
        (Some(_), None) => Some(Change { sign: '-', subject, details: vec!["its replicas drain and stop".to_owned()] }),
        (Some(old), Some(new)) => {
            let mut before = service_fields(&old.spec);
            if old.stopped {
                before.insert("replicas".to_owned(), "stopped".to_owned());
            }
            changed(subject, &before, &service_fields(new))
        }
        (None, None) => None,
    }
}

fn outside(name: &str, old: Option<&Outside>, new: Option<&Outside>) -> Option<Change> {
    let subject = format!("service {name}");
    match (old, new) {
        (None, Some(new)) => Some(Change { sign: '+', subject, details: vec![format!("at {}", places(new))] }),
        (Some(old), None) => Some(Change { sign: '-', subject, details: vec![format!("at {}", places(old))] }),
        (Some(old), Some(new)) => changed(subject, &outside_fields(old), &outside_fields(new)),
        (None, None) => None,
    }
}

fn places(service: &Outside) -> String {
    service.at.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn outside_fields(service: &Outside) -> Fields {
    let health = crate::wire::health(&service.health);
    named([
        ("at.url", places(service)),
        ("at.ca", or_none(service.authority.as_ref().map(|file| file.display().to_string()))),
        ("at.host", word(&service.host)),
        ("at.resolve", show(service.resolve_every)),
        ("protocol", word(&service.protocol)),
        ("health", check_in_words(&health.check)),
        ("health.every", show(health.every)),
        ("health.timeout", show(health.timeout)),
        ("health.healthy", health.healthy.to_string()),
        ("health.unhealthy", health.unhealthy.to_string()),
    ])
}

fn needs_a_restart(table: &str, old: &Fields, new: &Fields) -> Option<Change> {
    let mut change = changed(table.to_owned(), old, new)?;
    change.details.push("takes effect when prumo itself starts again, as by `prumo upgrade`".to_owned());
    Some(change)
}

fn changed(subject: String, old: &Fields, new: &Fields) -> Option<Change> {
    let mut details = Vec::new();
    for name in union(old.keys(), new.keys()) {
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) if before != after => details.push(format!("{name}: {before} → {after}")),
            (None, Some(after)) => details.push(format!("{name}: {after}")),
            (Some(_), None) => details.push(format!("{name}: removed")),
            _ => {}
        }
    }
    (!details.is_empty()).then_some(Change { sign: '~', subject, details })
}

/// The settings of a table with their values in words, by name.
pub(crate) type Fields = BTreeMap<String, String>;

/// The fields of a service; of its environment only whether a value differs, never the value.
fn service_fields(service: &ServiceSpec) -> Fields {
    let size = |bytes: u64| Size::from_bytes(bytes).to_string();
    let crash_loop = service.restart.crash_loop;
    let mut fields = named([
        ("run", service.run.join(" ")),
        ("folder", service.folder.display().to_string()),
        ("user", or_none(service.user.as_ref())),
        ("group", or_none(service.group.as_ref())),
        ("listen", word(&service.listen)),
        ("protocol", word(&service.protocol)),
        ("replicas", service.replicas.to_string()),
        ("health", check_in_words(&service.health.check)),
        ("health.every", show(service.health.every)),
        ("health.timeout", show(service.health.timeout)),
        ("health.healthy", service.health.healthy.to_string()),
        ("health.unhealthy", service.health.unhealthy.to_string()),
        ("health.start_within", show(service.health.start_within)),
        ("memory", or_none(service.memory.map(size))),
        ("cpu", or_none(service.cpu)),
        ("processes", or_none(service.processes)),
        ("files", or_none(service.files)),
        ("stop.signal", word(&service.stop.signal)),
        ("stop.within", show(service.stop.within)),
        ("drain", show(service.drain)),
        ("restart.backoff", show(service.restart.backoff)),
        ("restart.backoff_max", show(service.restart.backoff_max)),
        ("restart.crash_loop", Rate { count: crash_loop.count, per: crash_loop.per }.to_string()),
        ("log_keep", size(service.log_keep)),
    ]);
    let environment =
        service.environment.iter().map(|(name, value)| (format!("environment.{name}"), fingerprint(value)));
    fields.extend(environment);
    fields
}

/// What of the edge a deploy applies, because each route knows it. What belongs to no route, such as the 404 of a host
/// that nobody serves, has the headers of the start.
fn edge_of_routes(old: &Edge, new: &Edge) -> Option<Change> {
    let mut change = changed("edge".to_owned(), &access_fields(old), &access_fields(new));
    if let Some(headers) = changed("edge".to_owned(), &answer_fields(old), &answer_fields(new)) {
        let change = change.get_or_insert_with(|| Change { details: Vec::new(), ..headers.clone() });
        change.details.extend(headers.details);
        change.details.push("answers of no route follow when prumo itself starts again".to_owned());
    }
    change
}

/// The headers of answers.
fn answer_fields(edge: &Edge) -> Fields {
    named([("hsts", hsts_in_words(edge.hsts))]).into_iter().chain(headers::fields(&edge.headers)).collect()
}

/// Who is admitted.
fn access_fields(edge: &Edge) -> Fields {
    let networks = |networks: &[Cidr]| or_none((!networks.is_empty()).then(|| list(networks)));
    named([("allow", networks(&edge.allow)), ("deny", networks(&edge.deny))])
}

fn maintenance_fields(maintenance: &Maintenance) -> Fields {
    named([
        ("hold", show(maintenance.hold)),
        ("retry_after", show(maintenance.retry_after)),
        ("page", or_none(maintenance.page.as_ref().map(|page| page.display()))),
        ("except", list(&maintenance.except)),
    ])
}

fn edge_fields(edge: &Edge) -> Fields {
    let socket = edge.socket.as_ref().map(|socket| socket.path.display());
    named([
        ("address", list(&edge.address)),
        ("http", port_in_words(edge.http)),
        ("https", port_in_words(edge.https)),
        ("redirect_https", word(&edge.redirect_https)),
        ("cores", or_none(edge.cores)),
        ("socket", or_none(socket)),
        ("trusted_proxies", list(&edge.trusted_proxies)),
        ("proxy_protocol", list(&edge.proxy_protocol)),
        ("headers_max", edge.headers_max.to_string()),
        ("header_timeout", show(edge.header_timeout)),
        ("idle_timeout", show(edge.idle_timeout)),
        ("half_closed_timeout", show(edge.half_closed_timeout)),
        ("body_timeout", show(edge.body_timeout)),
        ("body_rate_min", edge.body_rate_min.to_string()),
        ("connections_max", edge.connections_max.to_string()),
        ("upgrade_deadline", show(edge.upgrade_deadline)),
        ("connections_per_ip_max", edge.connections_per_ip_max.to_string()),
        ("access_log", edge.access_log.as_ref().map_or_else(|| "off".to_owned(), access_log_in_words)),
        ("trace", edge.trace.as_ref().map_or_else(|| "off".to_owned(), trace_in_words)),
    ])
}

fn access_log_in_words(log: &AccessLog) -> String {
    format!("{}, {} of what went well, {} kept", log.format.as_str(), log.sample, log.keep)
}

fn trace_in_words(trace: &Trace) -> String {
    format!("from {}, {} of new ones sampled", trace.from.as_str(), trace.sample)
}

fn certificate_fields(certificates: &[Certificate]) -> Fields {
    certificates.iter().map(|files| (files.cert.display().to_string(), files.key.display().to_string())).collect()
}

fn client_fields(rules: &[ClientCertificate]) -> Fields {
    let field = |rule: &ClientCertificate| {
        let files: Vec<String> = rule.authority.iter().map(|file| file.display().to_string()).collect();
        let host = rule.host.clone().unwrap_or_else(|| "any host".to_owned());
        let revoked: Vec<String> = rule.revoked.iter().map(|file| file.display().to_string()).collect();
        let but = if revoked.is_empty() { String::new() } else { format!(", but for those in {}", revoked.join(", ")) };
        (host, format!("{} by {}{but}", rule.mode.as_str(), files.join(", ")))
    };
    rules.iter().map(field).collect()
}

fn hsts_in_words(hsts: Hsts) -> String {
    match hsts {
        Hsts::Off => "off".to_owned(),
        Hsts::For(time) => show(time),
    }
}

fn admin_fields(admin: &Admin) -> Fields {
    named([("listen", admin.listen.to_string()), ("metrics", word(&admin.metrics))])
}

fn site_fields(site: &Site) -> Fields {
    named([
        ("name", site.name.clone()),
        ("tidy", site.tidy.to_string()),
        ("disk_free_min", site.disk_free_min.to_string()),
    ])
}

fn named<const N: usize>(fields: [(&str, String); N]) -> Fields {
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn list(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The name of a variant, as people write it.
fn word(variant: &impl std::fmt::Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

fn port_in_words(port: Port) -> String {
    match port {
        Port::Auto => "auto".to_owned(),
        Port::Off => "off".to_owned(),
        Port::Number(number) => number.to_string(),
    }
}

fn check_in_words(check: &Check) -> String {
    match check {
        Check::Http { path, status, body } => {
            let status: Vec<String> = status.iter().map(|range| format!("{}-{}", range.0, range.1)).collect();
            let body = body.as_ref().map(|text| format!(" with {text:?}")).unwrap_or_default();
            format!("GET {path} answers {}{body}", status.join(", "))
        }
        Check::Tcp => "a connection is accepted".to_owned(),
        Check::Grpc { service } if service.is_empty() => "gRPC says that it serves".to_owned(),
        Check::Grpc { service } => format!("gRPC says that `{service}` serves"),
        Check::WebSocket { path } => format!("the web socket at {path} answers a ping"),
        Check::Command(argv) => format!("{} ends with 0", argv.join(" ")),
        Check::Alive => "the process lives".to_owned(),
    }
}

/// A word that differs when the value does and from which the value cannot be told.
fn fingerprint(value: &Value) -> String {
    use sha2::{Digest, Sha256};
    match value {
        Value::Secret(source) => source.to_string(),
        Value::Text(text) => {
            // Seeded per process: a stored plan cannot be used to guess short values.
            let digest = Sha256::new().chain_update(seed()).chain_update(text.as_bytes()).finalize();
            format!("a text ({:02x}{:02x})", digest[0], digest[1])
        }
    }
}

fn seed() -> [u8; 16] {
    static SEED: std::sync::OnceLock<[u8; 16]> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        let mut seed = [0; 16];
        prumo_clock::Clock::system().fill_random(&mut seed);
        seed
    })
}

#[cfg(test)]
mod tests;
