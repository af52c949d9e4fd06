//! How replicas are chosen, asked again and spared, in the words of the file.

use prumo_config::value::duration::show;
use prumo_config::{Balance, Config, HashBy, Hedge, Mirror, Retry, RetryOn, Traffic};

use super::{Change, Fields, changed, named, or_none};

/// The changes of services that stay.
pub(super) fn changes(applied: &Config, file: &Config) -> Vec<Change> {
    let own = file.services.iter().filter_map(|(name, new)| {
        let old = applied.services.get(name)?;
        Some((name, &old.traffic, &new.traffic))
    });
    let outside = file.outside.iter().filter_map(|(name, new)| {
        let old = applied.outside.get(name)?;
        Some((name, &old.traffic, &new.traffic))
    });
    let all = own.chain(outside);
    all.filter_map(|(name, old, new)| changed(format!("service {name}"), &fields(old), &fields(new))).collect()
}

fn fields(traffic: &Traffic) -> Fields {
    named([
        ("traffic.slow_start", show(traffic.slow_start)),
        ("traffic.eject_after", traffic.eject_after.to_string()),
        ("traffic.eject_for", show(traffic.eject_for)),
        ("traffic.eject_for_max", show(traffic.eject_for_max)),
        ("traffic.eject_share", traffic.eject_share.to_string()),
        ("traffic.in_flight_max", or_none(traffic.in_flight_max)),
        ("traffic.waiting_max", traffic.waiting_max.to_string()),
        ("traffic.retry_budget", traffic.retry_budget.to_string()),
    ])
}

pub(super) fn balance(balance: &Balance) -> String {
    match balance {
        Balance::Auto => "auto".to_owned(),
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::LeastConnections => "least_connections".to_owned(),
        Balance::PeakEwma => "peak_ewma".to_owned(),
        Balance::Hash(HashBy::Header(name)) => format!("hash of header:{name}"),
        Balance::Hash(HashBy::Cookie(name)) => format!("hash of cookie:{name}"),
        Balance::Hash(HashBy::Client) => "hash of client".to_owned(),
        Balance::Hash(HashBy::Path) => "hash of path".to_owned(),
        Balance::Sticky(cookie) => format!("sticky by the cookie {cookie}"),
    }
}

pub(super) fn retry(retry: &Retry) -> String {
    let on = retry.on.iter().map(|on| match on {
        RetryOn::Reset => "reset".to_owned(),
        RetryOn::Status(status) => status.to_string(),
    });
    let on: Vec<String> = on.collect();
    match (retry.times, &on[..]) {
        (0, _) | (_, []) => "never".to_owned(),
        (times, _) => format!("{times} × on {}", on.join(", ")),
    }
}

pub(super) fn mirror(mirror: Option<&Mirror>) -> String {
    match mirror {
        None => "none".to_owned(),
        Some(Mirror { to, share, methods, body_max }) => {
            format!("{share} of {} to {to}, bodies up to {body_max}", methods.join(", "))
        }
    }
}

pub(super) fn hedge(hedge: Option<Hedge>) -> String {
    match hedge {
        None => "none".to_owned(),
        Some(Hedge::After(delay)) => format!("after {}", show(delay)),
        Some(Hedge::Percentile(percent)) => format!("after p{percent}"),
    }
}

#[cfg(test)]
mod tests;
