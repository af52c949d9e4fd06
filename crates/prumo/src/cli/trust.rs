//! `prumo trust`: lets this machine's browsers and programs trust the local authority.

use std::path::Path;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use serde_json::json;

use super::args::{Common, Trust};
use super::{Exit, Outcome, Printer};
use crate::state;
use crate::trust::{self, Authority, Wish};

/// Carries out `prumo trust`.
pub(crate) fn carry_out(common: &Common, trust: &Trust, printer: Printer) -> Outcome {
    let state = state::locate(common.state.as_deref(), &common.file);
    let authority = Authority::of(&state).map_err(|error| no_authority(&state, &error))?;
    if trust.print {
        printer.document(&json!({ "certificate": authority.pem }));
        printer.answer(authority.pem.trim_end());
        return Ok(Exit::Done);
    }
    let wish = if trust.remove { Wish::Forget } else { Wish::Trust };
    let home = std::env::var_os("HOME");
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for store in trust::stores(&trust.root, home.as_deref().map(Path::new)) {
        match store.apply(&authority, wish, &Clock::system()) {
            trust::Outcome::Done(what) => done.push(what),
            trust::Outcome::Left(why) => left.push(why),
        }
    }
    if printer.is_json() {
        printer.document(&json!({ "done": done, "left": left }));
        return Ok(if left.is_empty() { Exit::Done } else { Exit::Refused });
    }
    done.iter().for_each(|what| printer.line(what));
    if left.is_empty() {
        return Ok(Exit::Done);
    }
    let refusal = Refusal::new(RefusalKind::Refused, format!("not everything was changed:\n  {}", left.join("\n  ")));
    if rustix::process::geteuid().is_root() {
        return Err(refusal);
    }
    let remove = if trust.remove { " --remove" } else { "" };
    Err(refusal.hint(format!("for what is root's: `sudo prumo trust{remove} --state {}`", state.display())))
}

fn no_authority(state: &Path, error: &std::io::Error) -> Refusal {
    let message = format!("there is no local authority in {}: {error}", state.display());
    Refusal::new(RefusalKind::NoSuchThing, message).hint(
        "`prumo up` makes it when it first serves HTTPS; for a state folder elsewhere, name it with `--state DIR`",
    )
}
