//! How replicas are chosen, asked again and spared.

use prumo_config as config;
use prumo_edge as edge;

pub(super) fn balance(balance: &config::Balance) -> edge::Balance {
    match balance {
        config::Balance::Auto => edge::Balance::Auto,
        config::Balance::RoundRobin => edge::Balance::RoundRobin,
        config::Balance::LeastConnections => edge::Balance::LeastConnections,
        config::Balance::PeakEwma => edge::Balance::PeakEwma,
        config::Balance::Hash(by) => edge::Balance::Hash(hash_by(by)),
        config::Balance::Sticky(cookie) => edge::Balance::Sticky(cookie.clone()),
    }
}

fn hash_by(by: &config::HashBy) -> edge::HashBy {
    match by {
        config::HashBy::Header(name) => edge::HashBy::Header(name.clone()),
        config::HashBy::Cookie(name) => edge::HashBy::Cookie(name.clone()),
        config::HashBy::Client => edge::HashBy::Client,
        config::HashBy::Path => edge::HashBy::Path,
    }
}

pub(super) fn retry(retry: &config::Retry) -> edge::Retry {
    let status = |on: &config::RetryOn| match on {
        config::RetryOn::Status(status) => Some(*status),
        config::RetryOn::Reset => None,
    };
    edge::Retry {
        times: retry.times,
        on_reset: retry.on.contains(&config::RetryOn::Reset),
        on_status: retry.on.iter().filter_map(status).collect(),
    }
}

pub(super) fn mirror(mirror: &config::Mirror) -> edge::Mirror {
    edge::Mirror {
        to: mirror.to.clone(),
        share: edge::Share::of(mirror.share.ratio()),
        methods: mirror.methods.clone(),
        // At most a megabyte.
        body_max: usize::try_from(mirror.body_max.bytes()).unwrap_or(usize::MAX),
    }
}

pub(super) fn hedge(hedge: config::Hedge) -> edge::Hedge {
    match hedge {
        config::Hedge::After(delay) => edge::Hedge::After(delay),
        config::Hedge::Percentile(percent) => edge::Hedge::Percentile(percent),
    }
}

pub(super) fn traffic(traffic: &config::Traffic) -> edge::Traffic {
    edge::Traffic {
        slow_start: traffic.slow_start,
        eject_after: traffic.eject_after,
        eject_for: traffic.eject_for,
        eject_for_max: traffic.eject_for_max,
        eject_share_max: traffic.eject_share.ratio() * 100.0,
        in_flight_max: traffic.in_flight_max,
        waiting_max: traffic.waiting_max,
        retry_budget: traffic.retry_budget.ratio() * 100.0,
    }
}
