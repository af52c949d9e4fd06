//! `prumo exec`: this very process becomes the command, so the terminal, signals and exit code are the command's own.

use prumo_api::ask::ExecEnvironment;
use prumo_api::route::encode;
use prumo_api::{Refusal, RefusalKind};

use super::args::Common;
use super::{Console, Exit, Outcome, Printer, on_runtime};

/// Carries out `prumo exec SERVICE -- COMMAND…`.
pub(crate) fn run(common: &Common, service: &str, command: &[String]) -> Outcome {
    let mut found = None;
    let (asked, path) = (common.clone(), format!("/api/v1/services/{}/environment", encode(service)));
    on_runtime(|clock, drain| {
        let found = &mut found;
        async move {
            let console =
                Console { printer: Printer::new(&asked), common: asked, clock, stage: drain.stage("command") };
            *found = Some(console.connect().await?.document::<ExecEnvironment>("GET", &path, &()).await?);
            Ok(Exit::Done)
        }
    })?;
    let environment = found.expect("the question above was answered");
    // The runtime has ended: nothing of prumo is left but this thread, which becomes the command.
    let error = prumo_run::driver::process::exec(&crate::wire::execution(environment), command);
    let name = command.first().map_or("", String::as_str);
    Err(Refusal::new(RefusalKind::Failed, format!("`{name}` cannot be run: {error}"))
        .hint("the command is looked up in the PATH of the service's environment"))
}
