//! Commands about the file itself: check, explain, plan.

use std::path::Path;

use prumo_api::ask::PlanReport;
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_config::Config;
use serde_json::json;

use super::args::Common;
use super::print::Colour;
use super::{Console, Exit, Outcome, Printer};
use crate::file::{ReadError, TheFile};
use crate::{remarks, site, wire};

/// `prumo check`
pub(crate) fn check(common: &Common, printer: Printer) -> Outcome {
    let file = TheFile::new(&common.file, common.env.as_deref());
    let config = match file.read() {
        Ok(read) => read.config,
        Err(ReadError::Mistakes(mistakes)) if printer.is_json() => {
            printer.document(&json!({ "good": false, "mistakes": mistakes }));
            return Ok(Exit::BadFile);
        }
        Err(error) => return Err(error.into_refusal()),
    };
    let certificates = examine(&config, file.folder());
    if !certificates.faults.is_empty() {
        printer.document(&json!({ "good": false, "certificates": certificates.faults }));
        return if printer.is_json() { Ok(Exit::BadFile) } else { Err(certificates.refusal(&file.shown())) };
    }
    let (services, routes) = (config.services.len(), config.routes.len());
    let mut remarks = remarks::about(&config, file.folder());
    remarks.extend(certificates.remarks);
    printer.document(&json!({ "good": true, "services": services, "routes": routes, "warnings": remarks }));
    printer.line(format!("{} is good: {}, {}", file.shown(), count(services, "service"), count(routes, "route")));
    for remark in &remarks {
        printer.warn(remark);
    }
    Ok(Exit::Done)
}

/// What the certificate files say that the site's file names.
#[derive(Default)]
struct Examined {
    faults: Vec<String>,
    hint: Option<&'static str>,
    remarks: Vec<String>,
}

impl Examined {
    fn refusal(self, shown: &str) -> Refusal {
        let refusal = Refusal::new(
            RefusalKind::BadFile,
            format!("{shown} is good, but not all the files that it names:\n  {}", self.faults.join("\n  ")),
        );
        match self.hint {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }

    fn note(&mut self, error: &prumo_edge::EdgeError) {
        self.faults.push(error.to_string());
        self.hint.get_or_insert(error.hint());
    }
}

/// Looks at every certificate file: that it is there, can be read, matches its key and is valid now.
fn examine(config: &Config, base: &Path) -> Examined {
    let now = Clock::system().wall();
    let mut examined = Examined::default();
    for files in wire::certificates_for_the_edge(config, base) {
        match prumo_edge::examine(&files) {
            Err(error) => examined.note(&error),
            Ok(state) => {
                let Some(why) = site::certificates::trouble(&state, now) else { continue };
                let what = format!("certificate file {}: it {why}", files.certificate.display());
                let serves = now >= state.valid_from && now <= state.expires;
                if serves { &mut examined.remarks } else { &mut examined.faults }.push(what);
            }
        }
    }
    for rule in wire::client_certificates_for_the_edge(config, base) {
        if let Err(error) = prumo_edge::examine_client_certificates(&rule) {
            examined.note(&error);
        }
    }
    examined
}

/// `prumo explain`
pub(crate) fn explain(key: Option<&str>, printer: Printer) -> Outcome {
    let key = key.unwrap_or("");
    let text = prumo_config::explain(key)
        .map_err(|error| Refusal::new(RefusalKind::NoSuchThing, error.to_string()).hint(error.hint()))?;
    printer.document(&json!({ "key": key, "text": text }));
    printer.answer(text.trim_end());
    Ok(Exit::Done)
}

/// `prumo plan`
pub(crate) async fn plan(console: &Console) -> Outcome {
    let report: PlanReport = console.connect_about_file().await?.document("GET", "/api/v1/plan", &()).await?;
    console.printer.document(&report);
    if report.changes.is_empty() {
        console.printer.line("nothing would change: the file is what runs");
    }
    for change in &report.changes {
        let colour = match change.sign {
            '+' => Colour::Green,
            '-' => Colour::Red,
            _ => Colour::Yellow,
        };
        console.printer.answer(format!(
            "{} {}",
            console.printer.paint(colour, &change.sign.to_string()),
            change.subject
        ));
        for detail in &change.details {
            console.printer.answer(format!("    {detail}"));
        }
    }
    Ok(Exit::Done)
}

/// `1 service`, `2 services`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
