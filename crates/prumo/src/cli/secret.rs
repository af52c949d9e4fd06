//! `prumo secret`: through the running prumo, so that it is audited, or straight in the state folder before the first start.

use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;

use prumo_api::ask::SecretNames;
use prumo_api::route::encode;
use prumo_api::{Refusal, RefusalKind};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use super::args::{Common, SecretAction};
use super::{Console, Exit, Outcome, Printer, on_runtime};
use crate::secrets::Secrets;
use crate::state;

/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 3;

/// The largest value that is read.
const VALUE_BYTES_MAX: u64 = 64 * 1024;

/// Carries out `prumo secret …`.
pub(crate) fn carry_out(common: &Common, action: SecretAction, printer: Printer) -> Outcome {
    // The value is read before anything else, so that a prompt comes at once.
    let value = match &action {
        SecretAction::Set { name } => Some(read_value(name)?),
        _ => None,
    };
    let common = common.clone();
    on_runtime(|clock, drain| async move {
        let console = Console { common, printer, clock, stage: drain.stage("command") };
        let names = apply(&console, &action, value.as_deref()).await?;
        console.printer.document(&SecretNames { secrets: names.clone() });
        match action {
            SecretAction::Set { name } => {
                console
                    .printer
                    .line(format!("secret {name} is stored; replicas get it when they start: `prumo restart SERVICE` gives it to all of a service"));
            }
            SecretAction::Remove { name } => console.printer.line(format!("secret {name} is gone")),
            SecretAction::List => names.iter().for_each(|name| console.printer.answer(name)),
        }
        Ok(Exit::Done)
    })
}

async fn apply(console: &Console, action: &SecretAction, value: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Ok(mut client) = console.connect().await else { return apply_offline(console, action, value) };
    let (method, path, body) = match action {
        SecretAction::Set { name } => ("PUT", format!("/api/v1/secrets/{}", encode(name)), json!({ "value": value })),
        SecretAction::Remove { name } => ("DELETE", format!("/api/v1/secrets/{}", encode(name)), Value::Null),
        SecretAction::List => ("GET", "/api/v1/secrets".to_owned(), Value::Null),
    };
    let names: SecretNames = client.document(method, &path, &body).await?;
    Ok(names.secrets)
}

fn apply_offline(console: &Console, action: &SecretAction, value: Option<&str>) -> Result<Vec<String>, Refusal> {
    let secrets = Secrets::new(&state::locate(console.common.state.as_deref(), &console.common.file));
    match action {
        SecretAction::Set { name } => secrets.set(name, value.unwrap_or_default())?,
        SecretAction::Remove { name } => secrets.remove(name)?,
        SecretAction::List => {}
    }
    secrets.names()
}

/// The value from standard input, without echo on a terminal, without the line break at its end.
fn read_value(name: &str) -> Result<String, Refusal> {
    let input = std::io::stdin();
    let failed =
        |error: std::io::Error| Refusal::new(RefusalKind::Failed, format!("the value cannot be read: {error}"));
    if input.is_terminal() {
        return read_hidden(name).map_err(failed);
    }
    let mut value = String::new();
    input.lock().take(VALUE_BYTES_MAX + 1).read_to_string(&mut value).map_err(failed)?;
    Ok(without_line_break(value))
}

fn read_hidden(name: &str) -> std::io::Result<String> {
    let input = std::io::stdin();
    let shown = tcgetattr(input.as_fd())?;
    let mut hidden = shown.clone();
    // Ctrl-C ends the line instead of this program, which would leave the terminal without its echo.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    eprint_now(&format!("value of {name} (not shown): "));
    tcsetattr(input.as_fd(), OptionalActions::Now, &hidden)?;
    let mut value = String::new();
    let read = input.read_line(&mut value);
    tcsetattr(input.as_fd(), OptionalActions::Now, &shown)?;
    eprint_now("\n");
    read?;
    if value.as_bytes().contains(&CTRL_C) {
        return Err(std::io::Error::new(std::io::ErrorKind::Interrupted, "Ctrl-C was pressed"));
    }
    Ok(without_line_break(value))
}

fn eprint_now(text: &str) {
    use std::io::Write;
    let mut error = std::io::stderr().lock();
    drop(error.write_all(text.as_bytes()).and_then(|()| error.flush()));
}

fn without_line_break(mut value: String) -> String {
    let kept = value.trim_end_matches(['\n', '\r']).len();
    value.truncate(kept);
    value
}
