//! What bears on the answer beside the routes of the file: certificates, HTTPS, and the prumo that runs.

use std::path::Path;

use prumo_api::Refusal;
use prumo_api::ask::{PlanReport, SiteStatus};
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
    let Some(mut client) = console.find().await? else { return Ok(None) };
    let report: PlanReport = client.document("GET", "/api/v1/plan", &()).await?;
    let status: SiteStatus = client.document("GET", "/api/v1/status", &()).await?;
    Ok(Some((report.changes.iter().any(|change| change.subject.starts_with("route ")), status.maintenance)))
}

/// What certificate a host has, as far as the files here can tell.
fn certificate(config: &Config, base: &Path, host: &str) -> String {
    let shown = |file: &Path| file.strip_prefix(base).unwrap_or(file).display().to_string();
    let files = wire::certificates_for_the_edge(config, base);
    let (found, unread) = prumo_edge::certificate_for(host, &files);
    let unread: Vec<String> = unread.iter().map(|file| shown(file)).collect();
    match (found, unread.as_slice()) {
        (Some(state), _) => {
            let trouble =
                site::certificates::trouble(&state, Clock::system().wall()).map(|why| format!(", which {why}"));
            format!("{}{}", shown(&state.file), trouble.unwrap_or_default())
        }
        (None, []) => {
            "none in files: the local authority makes one, which nobody trusts before `prumo trust`".to_owned()
        }
        (None, unread) => format!("not known: {} cannot be used here, as `prumo check` says", unread.join(", ")),
    }
}
