//! The services of the file become what run keeps running.

use std::path::Path;

use prumo_config as config;
use prumo_run as run;

/// One service. Relative paths start from the folder of the file.
pub(crate) fn service(service: &config::Service, base: &Path) -> run::ServiceSpec {
    run::ServiceSpec {
        name: service.name.clone(),
        run: service.run.clone(),
        // Through its components, so that the default `.` leaves no trace in messages.
        folder: base.join(&service.folder).components().collect(),
        environment: service
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), environment_value(value, base)))
            .collect(),
        user: service.user.clone(),
        group: service.group.clone(),
        listen: match service.listen {
            config::Listen::Port => run::Listen::Port,
            config::Listen::Socket => run::Listen::Socket,
            config::Listen::Nothing => run::Listen::Nothing,
        },
        protocol: match service.protocol {
            config::Protocol::H1 => run::Protocol::H1,
            config::Protocol::H2 => run::Protocol::H2,
        },
        replicas: service.replicas,
        health: health(&service.health),
        memory: service.memory.map(config::Size::bytes),
        cpu: service.cpu,
        processes: service.processes,
        files: service.files,
        stop: run::Stop { signal: signal(service.stop.signal), within: service.stop.within },
        drain: service.drain,
        restart: run::Restart {
            backoff: service.restart.backoff,
            backoff_max: service.restart.backoff_max,
            crash_loop: run::Rate { count: service.restart.crash_loop.count, per: service.restart.crash_loop.per },
        },
        log_keep: service.log_keep.bytes(),
    }
}

fn environment_value(value: &config::Value, base: &Path) -> run::Value {
    match value {
        config::Value::Text(text) => run::Value::Text(text.clone()),
        config::Value::Secret(source) => run::Value::Secret(secret_source(source, base)),
    }
}

fn secret_source(source: &config::SecretSource, base: &Path) -> run::SecretSource {
    match source {
        config::SecretSource::Named(name) => run::SecretSource::Named(name.clone()),
        config::SecretSource::File(path) => run::SecretSource::File(base.join(path)),
        config::SecretSource::Env(name) => run::SecretSource::Env(name.clone()),
        config::SecretSource::Command(argv) => run::SecretSource::Command(argv.clone()),
    }
}

/// What a service says about its health.
pub(crate) fn health(health: &config::Health) -> run::Health {
    run::Health {
        check: match &health.check {
            config::Check::Http { path, status, body } => run::Check::Http {
                path: path.clone(),
                status: status.iter().map(|range| (*range.start(), *range.end())).collect(),
                body: body.clone(),
            },
            config::Check::Tcp => run::Check::Tcp,
            config::Check::Grpc(service) => run::Check::Grpc { service: service.clone() },
            config::Check::WebSocket(path) => run::Check::WebSocket { path: path.clone() },
            config::Check::Command(argv) => run::Check::Command(argv.clone()),
            config::Check::Alive => run::Check::Alive,
        },
        every: health.every,
        timeout: health.timeout,
        healthy: health.healthy,
        unhealthy: health.unhealthy,
        start_within: health.start_within,
    }
}

fn signal(signal: config::Signal) -> run::StopSignal {
    match signal {
        config::Signal::Term => run::StopSignal::Term,
        config::Signal::Int => run::StopSignal::Int,
        config::Signal::Quit => run::StopSignal::Quit,
        config::Signal::Hup => run::StopSignal::Hup,
        config::Signal::Usr1 => run::StopSignal::Usr1,
        config::Signal::Usr2 => run::StopSignal::Usr2,
        config::Signal::Kill => run::StopSignal::Kill,
    }
}
