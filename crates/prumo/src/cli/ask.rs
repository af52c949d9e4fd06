//! Commands that ask the running prumo for something and print its answer.

use std::time::Duration;

use prumo_api::ask::{AuditEntries, AuditEntry, AuditVerdict, LogLine, NewToken, TokenList};
use prumo_api::client::Events;
use prumo_api::route::{DeployBody, MaintenanceBody, RollbackBody, ScaleBody, TokenBody, UpgradeBody, encode};
use prumo_api::{Event, Refusal, RefusalKind, Role};
use serde::Serialize;

use super::args::{AuditAction, Command, Common, Position, TokenAction};
use super::print::{Colour, columns, printable};
use super::{Console, Exit, Outcome, Printer, on_runtime, progress};
use crate::state;

/// How often to look whether somebody still reads what is printed.
const LOOK_FOR_READER: Duration = Duration::from_secs(1);

/// Carries out a command that is a question.
pub(crate) async fn carry_out(console: &Console, command: Command) -> Outcome {
    match command {
        Command::Deploy { services } => change(console, "deploy", "/api/v1/deploys", &DeployBody { services }).await,
        Command::Upgrade { program, within } => {
            let program = program.as_deref().map(crate::state::absolute);
            change(console, "upgrade", "/api/v1/upgrade", &UpgradeBody { program, within: Some(within) }).await
        }
        Command::Rollback { service, to } => {
            change(console, "rollback", &of_service(&service, "rollback"), &RollbackBody { to }).await
        }
        Command::Scale { service, replicas } => {
            change(console, "scaling", &of_service(&service, "scale"), &ScaleBody { replicas }).await
        }
        Command::Restart { service } => change(console, "restart", &of_service(&service, "restart"), &()).await,
        Command::Stop { service } => change(console, "stop", &of_service(&service, "stop"), &()).await,
        Command::Maintenance { to, routes } => {
            let body = MaintenanceBody { on: to == Position::On, routes };
            change(console, "change", "/api/v1/maintenance", &body).await
        }
        Command::Logs { service, follow, lines } => logs(console, &service, follow, lines).await,
        Command::Token { action } => token(console, action).await,
        Command::AuditLog { action: AuditAction::List { after, limit } } => audit_list(console, after, limit).await,
        other => unreachable!("{other:?} is carried out elsewhere"),
    }
}

fn of_service(service: &str, verb: &str) -> String {
    format!("/api/v1/services/{}/{verb}", encode(service))
}

/// Asks for a change and waits for its end. It is prumo's once it is asked for: Ctrl-C ends the waiting alone.
async fn change(console: &Console, name: &str, path: &str, body: &impl Serialize) -> Outcome {
    let events = console.connect_about_file().await?.events("POST", path, body).await?;
    let finished = tokio::select! {
        // First, so that it is heard from the first line on.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            console.printer.live("");
            console.printer.farewell(&format!("the {name} goes on; `prumo status` shows it"));
            return Ok(Exit::Interrupted);
        }
        finished = progress::follow(console, events) => finished?,
    };
    for message in &finished.messages {
        console.printer.line(message);
    }
    Ok(Exit::Done)
}

async fn logs(console: &Console, service: &str, follow: bool, lines: usize) -> Outcome {
    let path = format!("{}?lines={lines}&follow={follow}", of_service(service, "logs"));
    let mut events = console.connect().await?.events("GET", &path, &()).await?;
    while let Some(event) = next_while_read(console, &mut events).await? {
        match event {
            Event::Line(line) => {
                console.printer.document(&line);
                console.printer.answer(log_line(console.printer, &line));
            }
            Event::Skipped { lines } => {
                let text = format!("… {lines} lines passed over: this reader was too slow");
                console.printer.answer(console.printer.paint(Colour::Yellow, &text));
            }
            Event::Refused(refusal) => return Err(refusal),
            Event::Step(_) | Event::Finished(_) => {}
        }
    }
    Ok(Exit::Done)
}

/// The next event; nothing when whoever reads our output, such as `head`, has left: a quiet app would not let us notice.
async fn next_while_read(console: &Console, events: &mut Events) -> Result<Option<Event>, Refusal> {
    let mut coming = std::pin::pin!(events.next());
    loop {
        tokio::select! {
            event = &mut coming => return event,
            () = console.clock.sleep(LOOK_FOR_READER) => {}
        }
        if nobody_reads() {
            return Ok(None);
        }
    }
}

pub(super) fn nobody_reads() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let output = std::io::stdout();
    let mut watched = [PollFd::new(&output, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok() && watched[0].revents().intersects(PollFlags::ERR)
}

fn log_line(printer: Printer, line: &LogLine) -> String {
    let colour = if line.stream == "err" { Colour::Red } else { Colour::Dim };
    let head = format!("{} {} release {}", line.at, line.replica, line.release);
    format!(
        "{} {} {}",
        printer.paint(Colour::Dim, &head),
        printer.paint(colour, if line.stream == "err" { "!" } else { "|" }),
        printable(&line.text)
    )
}

async fn token(console: &Console, action: TokenAction) -> Outcome {
    let mut client = console.connect().await?;
    let list: TokenList = match action {
        TokenAction::Create { name, role } => {
            let body = TokenBody { name, role: Role::from(role) };
            let made: NewToken = client.document("POST", "/api/v1/tokens", &body).await?;
            console.printer.document(&made);
            console.printer.answer(&made.token);
            console.printer.line("it is shown this once and not kept: only its hash is");
            return Ok(Exit::Done);
        }
        TokenAction::Revoke { name } => {
            let list: TokenList = client.document("DELETE", &format!("/api/v1/tokens/{}", encode(&name)), &()).await?;
            console.printer.document(&list);
            console.printer.line(format!("token {name} is useless now"));
            return Ok(Exit::Done);
        }
        TokenAction::List => client.document("GET", "/api/v1/tokens", &()).await?,
    };
    console.printer.document(&list);
    let rows = list.tokens.iter().map(|row| vec![row.name.clone(), row.role.word().to_owned(), row.created.clone()]);
    columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| console.printer.answer(line));
    Ok(Exit::Done)
}

async fn audit_list(console: &Console, after: u64, limit: u32) -> Outcome {
    let path = format!("/api/v1/audit-log?after={after}&limit={limit}");
    let list: AuditEntries = console.connect().await?.document("GET", &path, &()).await?;
    console.printer.document(&list);
    let cells = |entry: &AuditEntry| {
        vec![
            entry.seq.to_string(),
            entry.at.clone(),
            printable(&entry.actor),
            printable(&entry.action),
            printable(&entry.subject),
            printable(&entry.detail),
        ]
    };
    columns(&list.entries.iter().map(cells).collect::<Vec<_>>()).iter().for_each(|line| console.printer.answer(line));
    Ok(Exit::Done)
}

/// `prumo audit-log verify`: by the running prumo, or straight from the ledger of a stopped one.
pub(crate) fn audit_verify(common: &Common, printer: Printer) -> Outcome {
    let common = common.clone();
    on_runtime(|clock, drain| async move {
        let console = Console { common, printer, clock, stage: drain.stage("command") };
        let verdict: AuditVerdict = match console.connect().await {
            Ok(mut client) => client.document("GET", "/api/v1/audit-log/verify", &()).await?,
            Err(_) => verify_offline(&console.common)?,
        };
        console.printer.document(&verdict);
        if verdict.intact {
            console
                .printer
                .answer(format!("the audit log is whole: {} entries, head {}", verdict.entries, verdict.message));
            return Ok(Exit::Done);
        }
        console.printer.answer(format!("the audit log was altered: {}", verdict.message));
        Ok(Exit::Failed)
    })
}

fn verify_offline(common: &Common) -> Result<AuditVerdict, Refusal> {
    let ledger = state::locate(common.state.as_deref(), &common.file).join("ledger.db");
    if let Err(error) = std::fs::metadata(&ledger)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        return Err(Refusal::new(RefusalKind::Forbidden, format!("{} belongs to another user", ledger.display()))
            .hint("run the command as the user who runs prumo, or as root"));
    }
    if !ledger.exists() {
        return Err(Refusal::new(RefusalKind::NoSuchThing, format!("there is no ledger at {}", ledger.display()))
            .hint("`--state DIR` names the state folder"));
    }
    Ok(crate::wire::audit_verdict(prumo_ledger::audit::verify_file(&ledger)))
}
