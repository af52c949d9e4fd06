//! The front door of the file becomes what the edge opens.

mod headers;
mod routes;
mod traffic;

use std::collections::BTreeMap;
use std::path::Path;

use prumo_api::{Refusal, RefusalKind};
use prumo_config as config;
use prumo_edge as edge;

/// The settings of the edge. They hold for the life of the process.
pub(crate) fn settings(config: &config::Config, base: &Path, state: &Path) -> Result<edge::Settings, Refusal> {
    let front = &config.edge;
    Ok(edge::Settings {
        socket: front.socket.as_ref().map(|socket| unix_socket(socket, base)).transpose()?,
        addresses: front.address.clone(),
        http: port(front.http),
        https: port(front.https),
        cores: front.cores.map(|cores| cores as usize),
        trusted_proxies: front.trusted_proxies.iter().map(network).collect(),
        proxy_protocol: front.proxy_protocol.iter().map(network).collect(),
        headers_max: usize::try_from(front.headers_max.bytes()).unwrap_or(usize::MAX),
        header_timeout: front.header_timeout,
        idle_timeout: front.idle_timeout,
        half_closed_timeout: front.half_closed_timeout,
        body_timeout: front.body_timeout,
        body_rate_min: front.body_rate_min.bytes(),
        connections_max: front.connections_max,
        connections_per_ip_max: front.connections_per_ip_max,
        access_log: front.access_log.as_ref().map(|log| access_log(log, state)),
        certificates: certificates(config, base),
        client_certificates: client_certificates(config, base),
        redirect_https: match front.redirect_https {
            config::RedirectHttps::Auto => edge::RedirectHttps::Auto,
            config::RedirectHttps::On => edge::RedirectHttps::On,
            config::RedirectHttps::Off => edge::RedirectHttps::Off,
        },
        certs_folder: state.join("certs"),
        // The caller's to fill in: it lies in the state folder, not in the file.
        sticky_key: None,
        answer_headers: headers::of(front),
        tracing: front.trace.as_ref().map(tracing),
        fast_path: true,
    })
}

/// Networks as the edge has them.
pub(crate) fn networks(networks: &[config::Cidr]) -> Vec<edge::Network> {
    networks.iter().map(network).collect()
}

fn unix_socket(socket: &config::Socket, base: &Path) -> Result<edge::UnixSocket, Refusal> {
    let numbers = prumo_run::driver::user_numbers(socket.user.as_deref(), socket.group.as_deref());
    let (owner, group) = numbers.map_err(|why| {
        Refusal::new(RefusalKind::Failed, format!("`edge.socket`: {why}")).hint("correct `user` or `group` there")
    })?;
    Ok(edge::UnixSocket { path: base.join(&socket.path), mode: socket.mode, owner, group })
}

/// How the edge spares each service.
pub(crate) fn traffic(config: &config::Config) -> BTreeMap<String, edge::Traffic> {
    let own = config.services.iter().map(|(name, service)| (name, &service.traffic));
    let outside = config.outside.iter().map(|(name, service)| (name, &service.traffic));
    own.chain(outside).map(|(name, settings)| (name.clone(), traffic::traffic(settings))).collect()
}

pub(crate) use routes::maintenance;

/// The routes, in the order of the file.
pub(crate) fn routes(config: &config::Config, base: &Path) -> Vec<edge::Route> {
    config.routes.iter().map(|known| routes::route(known, &config.edge, base)).collect()
}

/// The certificates in files.
pub(crate) fn certificates(config: &config::Config, base: &Path) -> Vec<edge::CertificateFiles> {
    config.certificates.iter().map(|files| certificate(files, base)).collect()
}

/// Hosts whose clients show certificates of their own.
pub(crate) fn client_certificates(config: &config::Config, base: &Path) -> Vec<edge::ClientCertificates> {
    let rule = |rule: &config::ClientCertificate| edge::ClientCertificates {
        host: rule.host.clone(),
        authorities: rule.authority.iter().map(|file| base.join(file)).collect(),
        revoked: rule.revoked.iter().map(|file| base.join(file)).collect(),
        show: match rule.mode {
            config::ShowCertificate::Required => edge::ShowCertificate::Required,
            config::ShowCertificate::Optional => edge::ShowCertificate::Optional,
        },
    };
    config.client_certificates.iter().map(rule).collect()
}

fn access_log(log: &config::AccessLog, state: &Path) -> edge::AccessLog {
    edge::AccessLog {
        path: state.join("logs").join("access.log"),
        keep_bytes: log.keep.bytes(),
        format: match log.format {
            config::LineFormat::Json => edge::LineFormat::Json,
            config::LineFormat::Combined => edge::LineFormat::Combined,
        },
        sample: edge::Share::of(log.sample.ratio()),
    }
}

fn tracing(trace: &config::Trace) -> edge::Tracing {
    let from = match trace.from {
        config::TraceFrom::TrustedProxies => edge::TraceFrom::TrustedProxies,
        config::TraceFrom::Anybody => edge::TraceFrom::Anybody,
    };
    edge::Tracing::new(from, trace.sample.ratio())
}

/// The services outside. Relative paths start from the folder of the file.
pub(crate) fn outside(config: &config::Config, base: &Path) -> Vec<edge::Outside> {
    let convert = |(name, service): (&String, &config::Outside)| edge::Outside {
        service: name.clone(),
        at: service.at.iter().map(place).collect(),
        protocol: match service.protocol {
            config::Protocol::H1 => edge::Protocol::H1,
            config::Protocol::H2 => edge::Protocol::H2,
        },
        sees_clients_host: service.host == config::SeenHost::Client,
        authority: service.authority.as_ref().map(|file| base.join(file)),
        resolve_every: service.resolve_every,
        probe: probe(&service.health),
    };
    config.outside.iter().map(convert).collect()
}

fn probe(health: &config::Health) -> edge::Probe {
    edge::Probe {
        check: match &health.check {
            config::Check::Http { path, status, body } => edge::Check::Http {
                path: path.clone(),
                status: status.iter().map(|range| (*range.start(), *range.end())).collect(),
                body: body.clone(),
            },
            config::Check::Grpc(service) => edge::Check::Grpc { service: service.clone() },
            config::Check::WebSocket(path) => edge::Check::WebSocket { path: path.clone() },
            // The file says no other one of a service outside.
            config::Check::Tcp | config::Check::Command(_) | config::Check::Alive => edge::Check::Connection,
        },
        every: health.every,
        timeout: health.timeout,
        healthy: health.healthy,
        unhealthy: health.unhealthy,
    }
}

fn place(place: &config::Place) -> edge::Place {
    match place {
        config::Place::Host { host, port, tls } => edge::Place::Host { host: host.clone(), port: *port, tls: *tls },
        config::Place::Unix(path) => edge::Place::Unix(path.clone()),
    }
}

fn port(port: config::Port) -> edge::Port {
    match port {
        config::Port::Auto => edge::Port::Auto,
        config::Port::Off => edge::Port::Off,
        config::Port::Number(number) => edge::Port::Number(number),
    }
}

fn network(block: &config::Cidr) -> edge::Network {
    edge::Network { address: block.address(), prefix: block.bits() }
}

fn certificate(files: &config::Certificate, base: &Path) -> edge::CertificateFiles {
    edge::CertificateFiles { certificate: base.join(&files.cert), key: base.join(&files.key) }
}
