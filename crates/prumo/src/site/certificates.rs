//! How the certificates in files are: for `prumo status`, for `prumo health`, and for `prumo check` before they serve.

use std::time::Duration;

use prumo_api::Refusal;
use prumo_api::ask::{CertificateStatus, HealthCheck, HealthWord};
use prumo_clock::Timestamp;
use prumo_config::Config;
use prumo_edge::CertificateState;

use super::Site;
use crate::wire;

const DAY: Duration = Duration::from_secs(86_400);

/// When people want to hear of an end: most renewals run a month before it, so that two weeks say that they do not.
const SOON: Duration = Duration::from_secs(14 * DAY.as_secs());

impl Site {
    /// The certificates in files.
    pub(super) fn certificates(&self) -> Vec<CertificateStatus> {
        let now = self.parts.clock.wall();
        let status = |state: CertificateState| CertificateStatus {
            file: self.shown(&state),
            expires: state.expires.rfc3339(),
            trouble: trouble(&state, now),
            names: state.names,
        };
        self.parts.edge.certificate_states().into_iter().map(status).collect()
    }

    /// What a person should do about certificates.
    pub(super) fn certificate_notes(&self) -> Vec<String> {
        let trouble = |one: CertificateStatus| one.trouble.map(|why| format!("certificate {}: {why}", one.file));
        let files = self.certificates().into_iter().filter_map(trouble);
        let asking = self
            .asking()
            .into_iter()
            .filter_map(|(host, why)| Some(format!("client certificates of {host}: {}", why?)));
        files.chain(asking).collect()
    }

    /// Who is asked for certificates, and what is wrong with the files for that.
    fn asking(&self) -> Vec<(String, Option<String>)> {
        let named = |(host, why): (Option<String>, Option<String>)| {
            let why = why.map(|why| format!("the last good authorities serve, because their files changed: {why}"));
            (host.unwrap_or_else(|| "any host".to_owned()), why)
        };
        self.parts.edge.client_certificate_states().into_iter().map(named).collect()
    }

    /// One check for each. None is worse than degraded: other hosts are served all the same.
    pub(super) fn certificate_health(&self) -> Vec<HealthCheck> {
        let (asked, now) = (self.parts.clock.now(), self.parts.clock.wall());
        let check = |state: CertificateState| {
            let (word, message) = match trouble(&state, now) {
                None => (HealthWord::Healthy, expiry(state.expires, now)),
                Some(why) => (HealthWord::Degraded, why),
            };
            self.check(&format!("certificate/{}", self.shown(&state)), word, asked, message)
        };
        let files = self.parts.edge.certificate_states().into_iter().map(check);
        let asking = self.asking().into_iter().map(|(host, why)| {
            let word = if why.is_some() { HealthWord::Degraded } else { HealthWord::Healthy };
            let message = why.unwrap_or_else(|| "its clients are asked".to_owned());
            self.check(&format!("client_certificate/{host}"), word, asked, message)
        });
        files.chain(asking).collect()
    }

    /// Whether the edge could take the certificates that this configuration adds, asked before anything is done for it.
    /// Those that serve already go on, whatever has become of their files.
    pub(super) fn examine_certificates(&self, next: &Config) -> Result<(), Refusal> {
        let (base, now) = (self.parts.file.folder(), self.config());
        let (known, rules) =
            (wire::certificates_for_the_edge(&now, base), wire::client_certificates_for_the_edge(&now, base));
        for files in wire::certificates_for_the_edge(next, base).iter().filter(|files| !known.contains(files)) {
            prumo_edge::examine(files).map_err(|error| wire::edge_refusal(&error))?;
        }
        for rule in wire::client_certificates_for_the_edge(next, base).iter().filter(|rule| !rules.contains(rule)) {
            prumo_edge::examine_client_certificates(rule).map_err(|error| wire::edge_refusal(&error))?;
        }
        Ok(())
    }

    /// The file as the site's file names it, mostly.
    fn shown(&self, state: &CertificateState) -> String {
        let file = state.file.strip_prefix(self.parts.file.folder()).unwrap_or(&state.file);
        file.display().to_string()
    }
}

/// What is wrong with a certificate, if anything is. Pure.
pub(crate) fn trouble(state: &CertificateState, now: Timestamp) -> Option<String> {
    let lifetime = state.expires.since(state.valid_from);
    let is_over = now > state.expires;
    let is_soon = state.expires.since(now) < SOON.min(lifetime / 3);
    match (&state.trouble, is_over || is_soon) {
        (Some(why), true) => Some(format!("{}, and its files cannot replace it: {why}", expiry(state.expires, now))),
        (Some(why), false) => Some(format!("the last good one serves, because its files changed: {why}")),
        (None, _) if now < state.valid_from => Some(format!("is not valid before {}", state.valid_from)),
        (None, true) => Some(expiry(state.expires, now)),
        (None, false) => None,
    }
}

fn expiry(expires: Timestamp, now: Timestamp) -> String {
    if now > expires {
        return format!("expired at {expires}");
    }
    let left = expires.since(now);
    match left.as_secs() / DAY.as_secs() {
        0 => format!("expires in {}", crate::cli::count(left.as_secs() as usize / 3600, "hour")),
        days => format!("expires in {}", crate::cli::count(days as usize, "day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * 86_400_000)
    }

    /// Goal: an end is told two weeks before it, or when two thirds of a short life are over, with what the files do.
    #[test]
    fn ends_are_told_in_time() {
        let check = |days: std::ops::Range<i64>, now: i64, broken: Option<&str>, expected: Option<&str>| {
            let state = CertificateState {
                file: "a.pem".into(),
                names: vec!["a.test".to_owned()],
                valid_from: day(days.start),
                expires: day(days.end),
                trouble: broken.map(str::to_owned),
            };
            assert_eq!(trouble(&state, day(now)).as_deref(), expected, "{days:?} at {now}");
        };
        check(100..190, 150, None, None);
        check(100..190, 176, None, None);
        check(100..190, 177, None, Some("expires in 13 days"));
        check(100..190, 189, None, Some("expires in 1 day"));
        check(100..190, 190, None, Some("expires in 0 hours"));
        check(100..190, 191, None, Some("expired at 1970-07-10T00:00:00.000Z"));
        check(100..190, 99, None, Some("is not valid before 1970-04-11T00:00:00.000Z"));
        // A certificate of six days is renewed after four.
        check(100..106, 103, None, None);
        check(100..106, 105, None, Some("expires in 1 day"));
        check(100..190, 150, Some("x"), Some("the last good one serves, because its files changed: x"));
        check(100..190, 180, Some("x"), Some("expires in 10 days, and its files cannot replace it: x"));
        check(
            100..190,
            200,
            Some("x"),
            Some("expired at 1970-07-10T00:00:00.000Z, and its files cannot replace it: x"),
        );
    }
}
