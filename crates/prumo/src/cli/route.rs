//! `prumo route`: which route takes a request, why, and what is done with it.

mod beside;

use std::net::IpAddr;

use prumo_api::{Refusal, RefusalKind};
use prumo_config::{Action, Config, Route};
use prumo_edge::{Asker, Findings, NoFindings, Peer, Verdict, Wanted};
use serde_json::json;

use self::beside::Beside;
use super::print::{Colour, columns};
use super::{Console, Exit, Outcome, count};
use crate::file::TheFile;
use crate::plan::Fields;
use crate::plan::routes::treatment;
use crate::wire;

/// Asks the file, and says whether the running prumo would answer the same.
pub(crate) async fn route(console: &Console, request: &[String], headers: &[String], from: Option<IpAddr>) -> Outcome {
    let (method, url) = match request {
        [word] if is_method(word) => return Err(usage(format!("{word} of which address?"))),
        [url] => ("GET", url.as_str()),
        [method, url, ..] => (method.as_str(), url.as_str()),
        [] => return Err(usage("which address?".to_owned())),
    };
    let headers = headers.iter().map(|header| read_header(header)).collect::<Result<Vec<_>, Refusal>>()?;
    let file = TheFile::new(&console.common.file, console.common.env.as_deref());
    let config = file.read().map_err(crate::file::ReadError::into_refusal)?.config;
    let routes = wire::routes_for_the_edge(&config, file.folder());
    let trusted = wire::networks_for_the_edge(&config.edge.trusted_proxies);
    let peer = from.map(|address| Peer { address, trusted: &trusted });
    let findings = prumo_edge::inquire(&routes, method, url, &headers, peer).map_err(|why| match why {
        NoFindings::Malformed(message) => usage(message),
        NoFindings::Refused(message) => Refusal::new(RefusalKind::Refused, message),
    })?;
    let chosen = findings.explanation.chosen.map(|number| &config.routes[number]);
    let beside = Beside::look(console, &config, file.folder(), url, &findings.host, chosen).await;
    let answer = Answer { method, config: &config, findings: &findings, beside: &beside };
    console.printer.document(&answer.document());
    answer.print(console);
    Ok(match (&findings.explanation.chosen, &findings.asker) {
        (None, _) => Exit::NoSuchThing,
        (Some(_), Some(Asker { is_admitted: false, .. })) => Exit::Refused,
        (Some(_), _) => Exit::Done,
    })
}

fn is_method(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn usage(message: String) -> Refusal {
    Refusal::new(RefusalKind::Malformed, message)
        .hint("for example: `prumo route POST https://shop.dev/api -H 'x-beta: on'`")
}

fn read_header(written: &str) -> Result<(String, String), Refusal> {
    let (name, value) = written.split_once(':').ok_or_else(|| usage(format!("`{written}` is no header")))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

struct Answer<'a> {
    method: &'a str,
    config: &'a Config,
    findings: &'a Findings,
    beside: &'a Beside,
}

impl Answer<'_> {
    fn document(&self) -> serde_json::Value {
        let findings = self.findings;
        let looks = findings.explanation.looks.iter().map(|look| {
            json!({ "route": self.config.routes[look.route].name, "takes": look.verdict == Verdict::Chosen, "why": why(&look.verdict) })
        });
        let chosen = findings.explanation.chosen.map(|number| &self.config.routes[number]);
        json!({
            "request": { "method": self.method, "host": findings.host, "path": findings.path, "query": findings.query },
            "route": chosen.map(|route| &route.name),
            "does": chosen.map(|route| self.treatment(route)),
            "certificate": self.beside.certificate,
            (self.made_word().replace(' ', "_")): findings.made.as_ref().and_then(|made| made.as_ref().ok()),
            "refused": findings.made.as_ref().and_then(|made| made.as_ref().err()),
            "client": findings.asker.map(|asker| asker.client),
            "admitted": findings.asker.map(|asker| asker.is_admitted),
            "looked_at": looks.collect::<Vec<_>>(),
            "notes": self.beside.notes,
        })
    }

    /// What the file says of the route, and of its maintenance what is so now.
    fn treatment(&self, route: &Route) -> Fields {
        let mut fields = treatment(route);
        if let Some(closed) = self.beside.is_closed {
            fields.insert("maintenance".to_owned(), if closed { "on" } else { "off" }.to_owned());
        }
        fields
    }

    fn print(&self, console: &Console) {
        let printer = console.printer;
        let chosen = self.findings.explanation.chosen.map(|number| &self.config.routes[number]);
        match chosen {
            Some(route) => printer.answer(printer.paint(Colour::Bold, &format!("route {}", route.name))),
            None => printer.answer(format!("{}: the answer is 404", printer.paint(Colour::Red, "no route"))),
        }
        let mut rows: Vec<Vec<String>> = match &self.findings.made {
            Some(Ok(made)) => vec![vec![format!("  {}", self.made_word()), made.clone()]],
            Some(Err(why)) => vec![vec!["  refused".to_owned(), format!("400: {why}")]],
            None => Vec::new(),
        };
        rows.extend(findings_about(self.findings.asker));
        let treatment = chosen.map(|route| self.treatment(route)).into_iter().flatten();
        rows.extend(treatment.map(|(name, value)| vec![format!("  {name}"), value]));
        rows.extend(self.beside.certificate.clone().map(|certificate| vec!["  certificate".to_owned(), certificate]));
        columns(&rows).iter().for_each(|line| printer.answer(line));
        self.print_looks(console);
        for note in &self.beside.notes {
            printer.line(format!("{} {note}", printer.paint(Colour::Yellow, "note:")));
        }
    }

    /// The routes for this host and path, in the order in which they go; the others only by number.
    fn print_looks(&self, console: &Console) {
        let looks = &self.findings.explanation.looks;
        let is_elsewhere = |verdict: &Verdict| matches!(verdict, Verdict::Host | Verdict::Path);
        let near: Vec<Vec<String>> = looks
            .iter()
            .filter(|look| !is_elsewhere(&look.verdict))
            .map(|look| vec![format!("  {}", self.config.routes[look.route].name), why(&look.verdict)])
            .collect();
        let elsewhere = looks.len() - near.len();
        // One alone that takes the request has been named.
        if near.len() > 1 || (near.len() == 1 && self.findings.explanation.chosen.is_none()) {
            console.printer.answer("looked at, in this order:");
            columns(&near).iter().for_each(|line| console.printer.answer(line));
        }
        if elsewhere > 0 {
            console.printer.answer(format!("not for this host or path: {}", count(elsewhere, "route")));
        }
    }

    /// What the address is that the route makes.
    fn made_word(&self) -> &'static str {
        let chosen = self.findings.explanation.chosen.map(|number| &self.config.routes[number].action);
        if matches!(chosen, Some(Action::Redirect(_))) { "sent to" } else { "asked for" }
    }
}

/// Whether the address is admitted, in a line.
fn findings_about(asker: Option<Asker>) -> Option<Vec<String>> {
    let Asker { client, is_admitted } = asker?;
    let client = client.map_or_else(|| "a proxy that names no client".to_owned(), |client| client.to_string());
    Some(match is_admitted {
        true => vec!["  admitted".to_owned(), client],
        false => vec!["  refused".to_owned(), format!("403: {client} is not admitted")],
    })
}

/// Why a route takes a request or does not.
fn why(verdict: &Verdict) -> String {
    let unmet = |what: &str, name: &str, wanted: &Wanted| match wanted {
        Wanted::Present => format!("{what} `{name}` is not there"),
        Wanted::Absent => format!("{what} `{name}` is there"),
        Wanted::Equal(_) => format!("{what} `{name}` is not what it must be"),
    };
    match verdict {
        Verdict::Chosen => "takes it".to_owned(),
        Verdict::Later => "would take it, but comes later".to_owned(),
        Verdict::Host => "is for another host".to_owned(),
        Verdict::Path => "is for another path".to_owned(),
        Verdict::Method => "is for other methods".to_owned(),
        Verdict::Header(name, wanted) => unmet("header", name, wanted),
        Verdict::Query(name, wanted) => unmet("query", name, wanted),
    }
}
