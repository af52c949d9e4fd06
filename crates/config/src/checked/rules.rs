//! Rules between settings, applied to what could be read.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::{Reader, Section, loops, reachable, rewrites};
use crate::resolved::{Listen, Port};
use crate::settings::{
    Answer, Certificate, ClientCertificate, Edge, HealthTable, RedirectTable, Restart, Root, RouteTable, ServiceTable,
    Setting, Socket, Traffic,
};
use crate::value::{Cidr, duration};

/// Rules about what was typed, which no other mistake in the same table can hide.
pub(crate) fn as_typed(section: &Section<'_>, reader: &mut Reader<'_>) {
    match section.definition.name {
        "edge" => ports_as_typed(section).into_iter().for_each(|ports| ports_differ(ports, section, reader)),
        "route" => rewrites::check_mirror_as_typed(section, reader),
        _ => {}
    }
}

/// Exactly one of the keys that a table chooses between. One that cannot be read was meant all the same.
pub(crate) fn one_of(section: &Section<'_>, reader: &mut Reader<'_>) {
    let choices = section.definition.one_of;
    let given: Vec<&str> = choices.iter().copied().filter(|key| section.table.contains_key(*key)).collect();
    match (given.as_slice(), choices) {
        ([], [first, ..]) if reader.is_whole() => {
            let keys: Vec<String> = choices.iter().map(|key| format!("`{key}`")).collect();
            let message = format!("{} needs the key {}", reader.here(), keys.join(" or "));
            let example = section.definition.setting(first).map(Setting::for_example).unwrap_or_default();
            reader.report(section.place(""), message, example);
        }
        ([first, .., last], _) => {
            let message = format!("{} has both `{first}` and `{last}`", reader.here());
            reader.report(section.place(last), message, "each does something else with it: keep one of the two");
        }
        _ => {}
    }
}

/// At most one check, settings that fit it, and times that fit each other.
pub(crate) fn health(health: &HealthTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    one_check(health, section, reader);
    if health.path.is_none() {
        for key in ["status", "body"].into_iter().filter(|key| section.table.contains_key(*key)) {
            let message = format!("`{key}` only makes sense together with `path`");
            reader.report(section.place(key), message, "add `path = \"/health\"`, or leave it out");
        }
    }
    // The default gives way to a shorter `every`; what somebody wrote does not.
    if section.table.contains_key("timeout") {
        at_most(("timeout", health.timeout), ("every", health.every), section, reader);
    }
    at_most(("timeout", health.timeout), ("start_within", health.start_within), section, reader);
}

fn one_check(health: &HealthTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let given = [
        ("path", health.path.is_some()),
        ("grpc", health.grpc.is_some()),
        ("web_socket", health.web_socket.is_some()),
        ("tcp", health.tcp),
        ("run", health.run.is_some()),
    ];
    let given: Vec<&str> = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
    if let [first, .., last] = given[..] {
        let message = format!("{} has both `{first}` and `{last}`, but a service has one health check", reader.here());
        reader.report(section.place(last), message, "keep the one that says most: usually `path`");
    }
}

/// The wait after a first crash must not be longer than the longest wait.
pub(crate) fn restart(restart: &Restart, section: &Section<'_>, reader: &mut Reader<'_>) {
    at_most(("backoff", restart.backoff), ("backoff_max", restart.backoff_max), section, reader);
}

/// An ejection must not be longer than the longest one.
pub(crate) fn traffic(traffic: &Traffic, section: &Section<'_>, reader: &mut Reader<'_>) {
    at_most(("eject_for", traffic.eject_for), ("eject_for_max", traffic.eject_for_max), section, reader);
}

/// The first time must not be longer than the second.
fn at_most(
    (key, time): (&str, Duration),
    (limit_key, limit): (&str, Duration),
    section: &Section<'_>,
    reader: &mut Reader<'_>,
) {
    if time <= limit {
        return;
    }
    // Points at what the file says: one of the two may be a default.
    let place = if section.table.contains_key(key) { key } else { limit_key };
    let message =
        format!("`{key}` ({}) must not be longer than `{limit_key}` ({})", duration::show(time), duration::show(limit));
    reader.report(section.place(place), message, format!("make `{key}` shorter or `{limit_key}` longer"));
}

/// A service is only asked over the network when it listens, and only given what it listens on.
pub(crate) fn service(service: &ServiceTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let before = reader.found();
    if service.group.is_some() && service.user.is_none() {
        let message = "`group` needs `user`";
        reader.report(section.place("group"), message, "add the `user` to run as, or leave `group` out");
    }
    if service.at.is_some() {
        runs_elsewhere(section, reader);
        return;
    }
    let asks_network = service.health.as_ref().is_some_and(|health| {
        health.path.is_some() || health.grpc.is_some() || health.web_socket.is_some() || health.tcp
    });
    if service.listen == Listen::Nothing && asks_network {
        let message =
            format!("{} has `listen = \"nothing\"`, so its health cannot be asked over the network", reader.here());
        reader.report(section.place("health"), message, "use `health = { run = \"…\" }`, or leave `health` out");
    }
    for (variable, listen) in [("$PORT", Listen::Port), ("$SOCKET", Listen::Socket)] {
        let is_used = service.run.iter().flatten().any(|word| uses(word, variable));
        if is_used && service.listen != listen {
            let message =
                format!("`run` uses `{variable}`, but the service has `listen = \"{}\"`", service.listen.as_str());
            let hint = format!("write `listen = \"{}\"`", listen.as_str());
            reader.report(section.place("run"), message, hint);
        }
    }
    if reader.is_whole() && reader.found() == before {
        let name = reader.path.last().cloned().unwrap_or_default();
        reader.good.services.push((name, service.clone()));
    }
}

/// Nothing can be said about how a service runs that somebody else runs.
fn runs_elsewhere(section: &Section<'_>, reader: &mut Reader<'_>) {
    const HOW_IT_RUNS: [&str; 14] = [
        "folder",
        "environment",
        "user",
        "group",
        "listen",
        "replicas",
        "memory",
        "cpu",
        "processes",
        "files",
        "stop",
        "drain",
        "restart",
        "log_keep",
    ];
    for key in HOW_IT_RUNS.into_iter().filter(|key| section.table.contains_key(*key)) {
        let message = format!("`{key}` says how prumo runs a service, and `at` that somebody else does");
        reader.report(section.place(key), message, format!("leave `{key}` out"));
    }
    let asks = |key: &str| section.table.get("health").is_some_and(|health| health.get_ref().get(key).is_some());
    for (key, message, hint) in [
        (
            "run",
            "`run` asks beside a replica, and of a service with `at` prumo runs none",
            "ask over the network, with `path`, `grpc`, `web_socket` or `tcp`",
        ),
        (
            "start_within",
            "`start_within` is for replicas that prumo starts, and a service with `at` has none",
            "leave `start_within` out",
        ),
    ] {
        if asks(key) {
            reader.report(place_in(section, "health", key), message.to_owned(), hint);
        }
    }
}

/// Whether a word holds the variable, and not only one whose name begins like it.
fn uses(word: &str, variable: &str) -> bool {
    word.match_indices(variable).any(|(at, _)| {
        !word[at + variable.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
    })
}

/// A bounded list of addresses, and two ports.
pub(crate) fn edge(edge: &Edge, section: &Section<'_>, reader: &mut Reader<'_>) {
    addresses([("allow", &edge.allow), ("deny", &edge.deny)], section, reader);
    // A port may also come from a variable, and is a number only now.
    if let (Port::Number(http), Port::Number(https)) = (edge.http, edge.https)
        && ports_as_typed(section).is_none()
    {
        ports_differ((http, https), section, reader);
    }
}

fn ports_as_typed(section: &Section<'_>) -> Option<(u16, u16)> {
    let port = |key| section.table.get(key).and_then(|node| port_as_typed(node.get_ref()));
    port("http").zip(port("https"))
}

fn ports_differ((http, https): (u16, u16), section: &Section<'_>, reader: &mut Reader<'_>) {
    if http == https && http != 0 {
        let message = format!("`http` and `https` both have port {http}");
        reader.report(section.place("https"), message, "give each its own port, or turn one \"off\"");
    }
}

/// The number of a port, where one is written.
pub(super) fn port_as_typed(value: &DeValue<'_>) -> Option<u16> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// A Unix socket's path fits the kernel's address, and its group is of somebody.
pub(crate) fn socket(socket: &Socket, section: &Section<'_>, reader: &mut Reader<'_>) {
    // sun_path holds 108 bytes with the zero at its end.
    const PATH_BYTES_MAX: usize = 107;
    let length = socket.path.as_os_str().len();
    if length > PATH_BYTES_MAX {
        let message = format!("the path has {length} bytes, and a Unix socket's may have {PATH_BYTES_MAX}");
        reader.report(section.place("path"), message, "choose a shorter one, such as \"/run/shop.sock\"");
    }
}

/// Each address of a list is looked at for each request.
fn addresses(lists: [(&str, &Vec<Cidr>); 2], section: &Section<'_>, reader: &mut Reader<'_>) {
    const ADDRESSES_MAX: usize = 256;
    for (key, list) in lists.into_iter().filter(|(_, list)| list.len() > ADDRESSES_MAX) {
        let message = format!("`{key}` has {} networks, more than {ADDRESSES_MAX}", list.len());
        reader.report(section.place(key), message, "write larger networks, or let a firewall do it");
    }
}

/// Requests can come to a route, and its name tells it apart.
pub(crate) fn route(route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    reachable::check(route, section, reader);
    rewrites::check(route, section, reader);
    loops::check(route, section, reader);
    addresses([("allow", &route.allow), ("deny", &route.deny)], section, reader);
    let Some(name) = &route.name else {
        return;
    };
    let place = section.place("name");
    if let Some(line) = reader.seen_before("route name", name, &place) {
        let message = format!("there is already a route of this name, on line {line}");
        reader.report(place, message, "names tell routes apart in logs and metrics: change one");
    }
}

/// A redirect leads where the file says.
pub(crate) fn redirect(redirect: &RedirectTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    rewrites::check_redirect(redirect, section, reader);
}

/// An answer that can be sent.
pub(crate) fn answer(answer: &Answer, section: &Section<'_>, reader: &mut Reader<'_>) {
    rewrites::check_answer(answer, section, reader);
}

/// The same certificate twice is a slip of copying.
pub(crate) fn certificate(certificate: &Certificate, section: &Section<'_>, reader: &mut Reader<'_>) {
    if reader.is_whole() {
        reader.good.certificates.push(certificate.clone());
    }
    let place = section.place("cert");
    if let Some(line) = reader.seen_before("certificate", &certificate.cert.to_string_lossy(), &place) {
        let message = format!("there is already this certificate, on line {line}");
        reader.report(place, message, "remove one of the two tables");
    }
}

/// A host has one rule, and a rule has authorities.
pub(crate) fn client_certificate(rule: &ClientCertificate, section: &Section<'_>, reader: &mut Reader<'_>) {
    if rule.authority.is_empty() {
        let message = format!("{} names no authority, so no certificate could be verified", reader.here());
        reader.report(section.place("authority"), message, "name its file: `authority = [\"certs/clients.pem\"]`");
    }
    let place = section.place(if rule.host.is_some() { "host" } else { "authority" });
    if let Some(line) = reader.seen_before("client certificate", rule.host.as_deref().unwrap_or("*"), &place) {
        let message = format!("there is already a rule about client certificates for the same host, on line {line}");
        reader.report(place, message, "a rule can name several authorities: put them into one list");
    }
}

/// The rules that concern more than one table.
pub(crate) fn site(root: &Root, section: &Section<'_>, reader: &mut Reader<'_>) {
    if !reader.is_whole() {
        return;
    }
    if reader.services().is_empty() && !answers_by_itself(section) {
        let hint = "add one: `[service.api]`, and below it `run = \"bin/api --port $PORT\"`";
        reader.report(section.place("service"), "the file has no service, so there is nothing to run", hint);
    }
    routes_reach_listeners(root, section, reader);
    edge_is_open(root, section, reader);
    client_certificates_need_tls(root, section, reader);
    admin_has_its_port(root, section, reader);
}

/// Whether some route needs no service, also one that cannot be read.
fn answers_by_itself(section: &Section<'_>) -> bool {
    let routes = section.table.get("route").and_then(|node| node.get_ref().as_array());
    routes
        .into_iter()
        .flatten()
        .any(|route| ["files", "redirect", "answer"].iter().any(|action| route.get_ref().get(*action).is_some()))
}

fn routes_reach_listeners(root: &Root, section: &Section<'_>, reader: &mut Reader<'_>) {
    let routes = section.table.get("route").and_then(|node| node.get_ref().as_array());
    for to in routes.into_iter().flatten().filter_map(|route| route.get_ref().get("to")) {
        let named: Vec<(&str, Range<usize>)> = match to.get_ref() {
            DeValue::Table(table) => table.keys().map(|name| (&**name.get_ref(), name.span())).collect(),
            value => vec![(value.as_str().unwrap_or_default(), to.span())],
        };
        for (name, span) in named {
            if root.service.get(name).is_some_and(|service| service.listen == Listen::Nothing) {
                let message = format!("service `{name}` has `listen = \"nothing\"`, so no route can lead to it");
                reader.report(span, message, format!("route to another service, or let `{name}` listen"));
            }
        }
    }
}

fn edge_is_open(root: &Root, section: &Section<'_>, reader: &mut Reader<'_>) {
    let is_closed = root.edge.http == Port::Off && root.edge.https == Port::Off && root.edge.socket.is_none();
    if is_closed && !root.route.is_empty() {
        let place = place_in(section, "edge", "https");
        reader.report(
            place,
            "`http` and `https` are both off, so no route can be reached",
            "turn one on: `https = \"auto\"`",
        );
    }
}

fn client_certificates_need_tls(root: &Root, section: &Section<'_>, reader: &mut Reader<'_>) {
    if root.edge.https == Port::Off && !root.client_certificate.is_empty() {
        let message = "clients show certificates over HTTPS, and `https` is off";
        let hint = "turn it on: `https = \"auto\"`, or leave `[[client_certificate]]` out";
        reader.report(place_in(section, "edge", "https"), message, hint);
    }
}

fn admin_has_its_port(root: &Root, section: &Section<'_>, reader: &mut Reader<'_>) {
    let admin = root.admin.listen;
    let shares = |address: &IpAddr| *address == admin.ip() || address.is_unspecified() || admin.ip().is_unspecified();
    let shares_address = root.edge.address.iter().any(shares);
    for (key, port) in [("http", root.edge.http), ("https", root.edge.https)] {
        if port == Port::Number(admin.port()) && admin.port() != 0 && shares_address {
            let message = format!("`edge.{key}` and `admin.listen` both have port {}", admin.port());
            reader.report(place_in(section, "edge", key), message, "give each its own port");
        }
    }
}

/// The place of a key in a table of the file.
fn place_in(section: &Section<'_>, table: &str, key: &str) -> Range<usize> {
    let value = section.table.get(table).and_then(|node| node.get_ref().get(key));
    value.map_or_else(|| section.place(table), |node| node.span())
}
