//! Commands about the file itself: check, explain, plan.

use std::path::{Path, PathBuf};

use prumo_api::ask::PlanReport;
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_config::Config;
use prumo_run::driver::open_regular;
use serde_json::json;

use super::args::Common;
use super::print::Colour;
use super::{Console, Exit, Outcome, Printer};
use crate::file::{ReadError, TheFile};
use crate::secrets::Secrets;
use crate::{remarks, site, state, wire};

/// `prumo check`: mistakes of the file are exit code 3; what this machine does not have is only said, because the file may
/// be for another one.
pub(crate) fn check(common: &Common, printer: Printer) -> Outcome {
    let file = TheFile::new(&common.file, common.env.as_deref());
    let (base, secrets) = (file.folder(), Secrets::new(&state::locate(common.state.as_deref(), &common.file)));
    let config = match file.read() {
        Ok(read) => read.config,
        Err(ReadError::Mistakes(mistakes)) => {
            let mut warnings = remarks::about_services(mistakes.services(), base, &secrets);
            warnings.extend(remarks::about_certificate_files(mistakes.certificates(), [], base));
            printer.document(&json!({ "good": false, "mistakes": mistakes, "warnings": warnings }));
            return Ok(say_bad(printer, &ReadError::Mistakes(mistakes).into_refusal(), &warnings));
        }
        Err(error) => return Err(error.into_refusal()),
    };
    let mut warnings = remarks::about(&config, base);
    warnings.extend(remarks::about_services(config.services.values(), base, &secrets));
    warnings.extend(remarks::about_certificate_files(&config.certificates, &config.client_certificates, base));
    warnings.extend(remarks::about_the_edge(&config, base));
    let certificates = examine(&config, base);
    warnings.extend(certificates.remarks.iter().cloned());
    if !certificates.faults.is_empty() {
        printer.document(&json!({ "good": false, "certificates": certificates.faults, "warnings": warnings }));
        return Ok(say_bad(printer, &certificates.refusal(&file.shown()), &warnings));
    }
    let (services, outside, routes) = (config.services.len(), config.outside.len(), config.routes.len());
    printer.document(&json!({ "good": true, "services": services, "routes": routes, "warnings": warnings }));
    let mut counted = vec![count(services, "service"), count(routes, "route")];
    if outside > 0 {
        counted.insert(1, format!("{outside} outside"));
    }
    printer.line(format!("{} is good: {}", file.shown(), counted.join(", ")));
    warnings.iter().for_each(|warning| printer.warn(warning));
    Ok(Exit::Done)
}

/// The mistakes, then what else is worth a word. In JSON both have been said.
fn say_bad(printer: Printer, refusal: &Refusal, warnings: &[String]) -> Exit {
    if !printer.is_json() {
        printer.refusal(refusal);
        warnings.iter().for_each(|warning| printer.warn(warning));
    }
    Exit::BadFile
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

/// Looks at every certificate file that can be read: that it matches its key and is valid now.
fn examine(config: &Config, base: &Path) -> Examined {
    let now = Clock::system().wall();
    let mut examined = Examined::default();
    let is_here = |file: &PathBuf| open_regular(file).is_ok();
    for files in wire::certificates_for_the_edge(config, base) {
        if !is_here(&files.certificate) || !is_here(&files.key) {
            continue;
        }
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
        if rule.authorities.iter().chain(&rule.revoked).all(is_here)
            && let Err(error) = prumo_edge::examine_client_certificates(&rule)
        {
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
