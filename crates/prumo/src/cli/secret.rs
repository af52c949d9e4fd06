//! `prumo secret`: through the running prumo, so that it is audited, or straight in the state folder before the first start.

use std::io::{BufRead, IsTerminal, Read};
use std::os::fd::AsFd;

use prumo_api::ask::SecretNames;
use prumo_api::route::encode;
use prumo_api::{Refusal, RefusalKind};
use rustix::process::Signal;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use super::args::{Common, SecretAction};
use super::{Console, Exit, Outcome, Printer, on_runtime};
use crate::secrets::Secrets;
use crate::state;

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
    let ctrl_c = shown.special_codes[SpecialCodeIndex::VINTR];
    let mut hidden = shown.clone();
    // Ctrl-C ends the line first and this program after that: at once, it would leave the terminal without its echo.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    hidden.local_modes.insert(LocalModes::ICANON);
    hidden.special_codes[SpecialCodeIndex::VEOL] = ctrl_c;
    eprint_now(&format!("value of {name} (not shown): "));
    tcsetattr(input.as_fd(), OptionalActions::Now, &hidden)?;
    let read = read_line(&mut input.lock(), ctrl_c);
    tcsetattr(input.as_fd(), OptionalActions::Now, &shown)?;
    eprint_now("\n");
    let line = read?;
    if line.last() == Some(&ctrl_c) {
        // What the terminal would have done; a shell script around this one ends with it.
        rustix::process::kill_current_process_group(Signal::INT)?;
        return Err(std::io::Error::new(std::io::ErrorKind::Interrupted, "Ctrl-C was pressed"));
    }
    let value = String::from_utf8(line).map_err(|_| std::io::Error::other("it is not UTF-8"))?;
    Ok(without_line_break(value))
}

/// Up to the end of the line, of the input, or to Ctrl-C, which is then the last byte.
fn read_line(input: &mut impl BufRead, ctrl_c: u8) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let part = input.fill_buf()?;
        let end = part.iter().position(|&byte| byte == b'\n' || byte == ctrl_c).map(|last| last + 1);
        let taken = end.unwrap_or(part.len());
        line.extend_from_slice(&part[..taken]);
        input.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(line);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a hidden line ends with the line break, with the input, and at once with Ctrl-C.
    #[test]
    fn a_hidden_line_ends() {
        let check = |input: &[u8], expected: &[u8]| assert_eq!(read_line(&mut &*input, 3).unwrap(), expected);
        check(b"value\nmore", b"value\n");
        check(b"value", b"value");
        check(b"", b"");
        check(b"val\x03ue\n", b"val\x03");
        check(b"\x03", b"\x03");
    }
}
