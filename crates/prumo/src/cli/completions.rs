//! Completions for shells, made from the same words that are parsed.

use super::read::command;
use super::{Exit, Outcome};

/// `prumo completions SHELL`
pub(crate) fn print(shell: clap_complete::Shell) -> Outcome {
    clap_complete::generate(shell, &mut command(), "prumo", &mut std::io::stdout());
    Ok(Exit::Done)
}
