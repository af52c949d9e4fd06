//! What bears on the answer beside the routes of the file: certificates, HTTPS, and the prumo that runs.

use std::path::Path;

use prumo_api::ask::{PlanReport, SiteStatus};
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_config::{Config, Port, RedirectHttps, Route};

use crate::cli::Console;
use crate::{site, wire};

/// What bears on the answer beside the routes of the file.
pub(super) struct Beside {
    /// What certificate the host has; nothing where HTTPS is off.
    pub certificate: Option<String>,
    /// Whether the route is in maintenance in the prumo that runs; nothing where that is not known.
    pub is_closed: Option<bool>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

impl Beside {
    /// Looks at the files and asks the prumo that runs, if one does.
    pub(super) async fn look(
        console: &Console,
        config: &Config,
        base: &Path,
        url: &str,
        host: &str,
        chosen: Option<&Route>,
    ) -> Beside {
        let (is_https, has_https) = (url.starts_with("https://"), config.edge.https != Port::Off);
        let mut notes = Vec::new();
        if !is_https && has_https && config.edge.redirect_https != RedirectHttps::Off {
            notes.push(
                "a request in clear text may be sent to HTTPS first: `prumo explain edge.redirect_https`".to_owned(),
            );
        }
        if is_https && !has_https {
            notes.push("`https` is off: prumo itself answers no request over HTTPS".to_owned());
        }
        let mut is_closed = None;
        match running(console).await {
            Ok(Some((has_other_routes, closed))) => {
                is_closed = chosen.map(|route| closed.contains(&route.name));
                if is_closed == Some(true) {
                    notes.push("it is in maintenance now: `prumo maintenance off` or the file opens it".to_owned());
                }
                if has_other_routes {
                    notes.push(
                        "the running prumo still has other routes: `prumo plan` shows how they differ".to_owned(),
                    );
                }
            }
            Ok(None) => notes.push(
                "this is what the file says; no prumo runs that would do it, or knows what is in maintenance"
                    .to_owned(),
            ),
            Err(refusal) => notes.push(format!(
                "this is what the file says; the running prumo cannot be asked: {}",
                refusal.message.lines().next().unwrap_or_default()
            )),
        }
        let certificate = has_https.then(|| certificate(config, base, host));
        Beside { certificate, is_closed, notes }
    }
}

/// Whether the running prumo has other routes than the file, and which of its routes are in maintenance; nothing where
/// none runs.
async fn running(console: &Console) -> Result<Option<(bool, Vec<String>)>, Refusal> {
    let mut client = match console.connect().await {
        Ok(client) => client,
        Err(refusal) if refusal.kind == RefusalKind::Failed => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let report: PlanReport = client.document("GET", "/api/v1/plan", &()).await?;
    let status: SiteStatus = client.document("GET", "/api/v1/status", &()).await?;
    Ok(Some((report.changes.iter().any(|change| change.subject.starts_with("route ")), status.maintenance)))
}

/// What certificate a host has, as far as the files here can tell.
fn certificate(config: &Config, base: &Path, host: &str) -> String {
    let now = Clock::system().wall();
    let mut unread = Vec::new();
    for files in wire::certificates_for_the_edge(config, base) {
        let file = files.certificate.strip_prefix(base).unwrap_or(&files.certificate).display().to_string();
        match prumo_edge::examine(&files) {
            Ok(state) if state.names.iter().any(|name| covers(name, host)) => {
                let trouble = site::certificates::trouble(&state, now).map(|why| format!(", which {why}"));
                return format!("{file}{}", trouble.unwrap_or_default());
            }
            Ok(_) => {}
            Err(_) => unread.push(file),
        }
    }
    match unread.as_slice() {
        [] => "none in files: the local authority makes one, which nobody trusts before `prumo trust`".to_owned(),
        unread => format!("not known: {} cannot be used here, as `prumo check` says", unread.join(", ")),
    }
}

/// Whether a name of a certificate is for a host. A wildcard stands for one label.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && parent.eq_ignore_ascii_case(rest))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a certificate is said to be for a host when clients would take it for that host.
    #[test]
    fn names_cover_hosts() {
        let check = |name, host, expected| assert_eq!(covers(name, host), expected, "{name} {host}");
        check("shop.test", "shop.test", true);
        check("Shop.Test", "shop.test", true);
        check("shop.test", "www.shop.test", false);
        check("*.shop.test", "www.shop.test", true);
        check("*.shop.test", "shop.test", false);
        check("*.shop.test", "a.www.shop.test", false);
        check("*.shop.test", ".shop.test", false);
    }
}
