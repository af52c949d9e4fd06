//! Commands about the file itself: check, explain, plan.

use prumo_api::ask::PlanReport;
use prumo_api::{Refusal, RefusalKind};
use serde_json::json;

use super::args::Common;
use super::print::Colour;
use super::{Console, Exit, Outcome, Printer};
use crate::file::{ReadError, TheFile};
use crate::remarks;

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
    let (services, routes) = (config.services.len(), config.routes.len());
    let remarks = remarks::about(&config, file.folder());
    printer.document(&json!({ "good": true, "services": services, "routes": routes, "warnings": remarks }));
    printer.line(format!("{} is good: {}, {}", file.shown(), count(services, "service"), count(routes, "route")));
    for remark in &remarks {
        printer.warn(remark);
    }
    Ok(Exit::Done)
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
