//! From what was typed to what is meant: options that a command has no use for are refused, and what was not typed is
//! taken from the environment.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::args::{CommandLine, Common};

/// The common options that a command does not use. It neither lists nor takes them, so that nobody relies on them.
const UNUSED: [(&str, &[&str]); 3] = [
    ("demo", &["file", "state", "env", "json"]),
    ("explain", &["file", "state", "env"]),
    ("completions", &["file", "state", "env", "json", "quiet"]),
];

/// Everything that can be typed. The environment changes nothing in it.
pub(crate) fn command() -> Command {
    let mut command = CommandLine::command();
    for (name, unused) in UNUSED {
        command = command.mut_subcommand(name, |sub| {
            // An argument of its own keeps the common one of the same name out of the help.
            unused.iter().fold(sub, |sub, option| sub.arg(hidden(option)))
        });
    }
    command
}

fn hidden(option: &'static str) -> Arg {
    let action = if matches!(option, "json" | "quiet") { ArgAction::SetTrue } else { ArgAction::Set };
    Arg::new(option).long(option).action(action).hide(true)
}

/// Reads the arguments and, where they say nothing, the environment.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<CommandLine, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    refuse_unused(&mut command, &matches)?;
    let mut line = CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    fill_in(&mut line.common, &matches, environment);
    Ok(line)
}

fn refuse_unused(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, sub)) = matches.subcommand() else { return Ok(()) };
    let unused = UNUSED.iter().find(|(command, _)| *command == name).map_or(&[][..], |(_, unused)| unused);
    let Some(option) = unused.iter().find(|option| is_typed(sub, option)) else { return Ok(()) };
    let message = format!("`prumo {name}` has no use for `--{option}`");
    let sub = command.find_subcommand_mut(name).expect("it was just parsed");
    Err(sub.error(ErrorKind::UnknownArgument, message))
}

fn is_typed(matches: &ArgMatches, option: &str) -> bool {
    matches.value_source(option) == Some(ValueSource::CommandLine)
}

/// Not left to clap, which would then show the variables that are set as if they had been typed.
fn fill_in(common: &mut Common, matches: &ArgMatches, environment: &dyn Fn(&str) -> Option<OsString>) {
    let wanted = |option: &str, variable: &str| {
        environment(variable).filter(|value| !value.is_empty() && !is_typed(matches, option))
    };
    common.file_is_named = is_typed(matches, "file");
    if let Some(file) = wanted("file", "PRUMO_FILE") {
        common.file = file.into();
        common.file_is_named = true;
    }
    if let Some(state) = wanted("state", "PRUMO_STATE") {
        common.state = Some(state.into());
    }
    if let Some(overlay) = wanted("env", "PRUMO_ENV") {
        common.env = Some(overlay.to_string_lossy().into_owned());
    }
}

#[cfg(test)]
mod tests;
