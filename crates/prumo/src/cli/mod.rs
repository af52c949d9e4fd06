//! The command line: what was typed, who carries it out, and how it ends.

mod args;
mod ask;
mod completions;
mod exec;
mod exit;
mod file;
mod print;
mod progress;
mod read;
mod reference;
mod route;
mod secret;
mod status;
mod top;
mod trust;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use prumo_api::ask::SiteStatus;
use prumo_api::client::Client;
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use prumo_drain::{Drain, Stage};

use crate::{daemon, demo, keep, state};
use args::{AuditAction, Command, CommandLine, EdgeAction};
pub(crate) use args::{Common, Demo as DemoArguments};
pub(crate) use exit::Exit;
pub(crate) use file::count;
pub(crate) use print::{Outcome, Printer};

/// How long a command waits for its own tasks when it ends.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Reads the command line and carries it out.
pub(crate) fn run() -> ExitCode {
    if std::env::args_os().len() <= 1 {
        drop(read::command().print_help());
        return Exit::Usage.into();
    }
    let line = read::read(std::env::args_os(), &|name| std::env::var_os(name)).unwrap_or_else(|error| error.exit());
    let printer = Printer::new(&line.common);
    let outcome = carry_out(line, printer);
    let exit = outcome.unwrap_or_else(|refusal| {
        printer.refusal(&refusal);
        refusal.kind.into()
    });
    exit.into()
}

fn carry_out(line: CommandLine, printer: Printer) -> Outcome {
    let common = line.common;
    match line.command {
        Command::Check => file::check(&common, printer),
        Command::Explain { key } => file::explain(key.as_deref(), printer),
        Command::Completions { shell } => completions::print(shell),
        Command::HelpMarkdown => reference::print(),
        Command::DemoApp => demo::app(),
        Command::Exec { service, command } => exec::run(&common, &service, &command),
        Command::Trust(arguments) => trust::carry_out(&common, &arguments, printer),
        Command::Secret { action } => secret::carry_out(&common, action, printer),
        Command::AuditLog { action: AuditAction::Verify } => ask::audit_verify(&common, printer),
        other => on_runtime(|clock, drain| asynchronous(common, other, printer, clock, drain)),
    }
}

async fn asynchronous(common: Common, command: Command, printer: Printer, clock: Clock, drain: Drain) -> Outcome {
    let console = Console { common, printer, clock, stage: drain.stage("command") };
    match command {
        Command::Up { keep: true, .. } => {
            Box::pin(keep::keep(&daemon::Options::from_common(&console.common), console.clock)).await
        }
        Command::Up { inherit, .. } => {
            let options = daemon::Options::from_common(&console.common);
            Box::pin(daemon::up(options, inherit, printer, console.clock)).await
        }
        Command::Demo(options) => demo::run(&options, printer, console.clock).await,
        Command::Plan => file::plan(&console).await,
        Command::Route { request, headers, from } => route::route(&console, &request, &headers, from).await,
        Command::Status { service, short } => status::status(&console, service.as_deref(), short).await,
        Command::Edge { action: EdgeAction::Top { once } } => top::top(&console, once).await,
        Command::Health => status::health(&console).await,
        other => ask::carry_out(&console, other).await,
    }
}

/// What a command that talks to a running prumo needs.
pub(crate) struct Console {
    pub common: Common,
    pub printer: Printer,
    pub clock: Clock,
    stage: Stage,
}

impl Console {
    /// The way to the running prumo.
    pub(crate) async fn connect(&self) -> Result<Client, Refusal> {
        Client::connect(&self.state(), &self.clock, &self.stage).await
    }

    /// The same; nothing when no prumo runs.
    pub(crate) async fn find(&self) -> Result<Option<Client>, Refusal> {
        Client::find(&self.state(), &self.clock, &self.stage).await
    }

    fn state(&self) -> PathBuf {
        state::locate(self.common.state.as_deref(), &self.common.file)
    }

    /// The same for a command about the file: refuses a file or an overlay that is not the one that runs.
    pub(crate) async fn connect_about_file(&self) -> Result<Client, Refusal> {
        let mut client = self.connect().await?;
        if self.common.env.is_none() && !self.common.file_is_named {
            return Ok(client);
        }
        let running: SiteStatus = client.document("GET", "/api/v1/status", &()).await?;
        let file = state::absolute(&self.common.file);
        if self.common.file_is_named && !is_same(&running.file, &file) {
            let message = format!("prumo runs {}, not {}", running.file.display(), file.display());
            return Err(Refusal::new(RefusalKind::Refused, message)
                .hint("it is the file of `prumo up --file FILE` that is deployed and planned; leave `--file` out here, or name its state folder with `--state DIR`"));
        }
        let Some(named) = &self.common.env else { return Ok(client) };
        if running.overlay.as_ref() == Some(named) {
            return Ok(client);
        }
        let running = running
            .overlay
            .map_or_else(|| "without an overlay".to_owned(), |name| format!("with the overlay `{name}`"));
        Err(Refusal::new(RefusalKind::Refused, format!("prumo runs {running}, not with `{named}`"))
            .hint("an overlay is chosen at `prumo up --env NAME`; leave `--env` out here"))
    }
}

/// Whether both are one file, by whatever way. One of another prumo that does not say is not doubted.
fn is_same(running: &Path, named: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    running.as_os_str().is_empty() || real(running) == real(named)
}

/// Runs a future on a runtime of its own, with everything it started stopped at the end.
pub(crate) fn on_runtime<F: Future<Output = Outcome>>(make: impl FnOnce(Clock, Drain) -> F) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Refusal::new(RefusalKind::Failed, format!("prumo cannot start its event loop: {error}")))?;
    runtime.block_on(async {
        let clock = Clock::system();
        let drain = Drain::new(clock.clone());
        let outcome = Box::pin(make(clock, drain.clone())).await;
        drain.stop(END_WITHIN).await;
        outcome
    })
}
