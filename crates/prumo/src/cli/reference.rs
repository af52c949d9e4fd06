//! The reference of the command line, made from the same words that are parsed.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Arg, Command};

use super::read::command;
use super::{Exit, Outcome};

/// `prumo help-markdown`
pub(crate) fn print() -> Outcome {
    drop(std::io::stdout().write_all(markdown().as_bytes()));
    Ok(Exit::Done)
}

fn markdown() -> String {
    let mut root = command();
    root.build();
    let mut page = String::from(
        "# The command line\n\nMade by `cargo xtask docs` from the definitions in `crates/prumo/src/cli/args.rs`.\n\n",
    );
    page.push_str("```text\n");
    page.push_str(&root.render_help().to_string());
    page.push_str("```\n\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        row(&mut page, &(exit as u8).to_string(), meaning);
    }
    for command in visible(&root) {
        describe(&mut page, command, "prumo");
    }
    page
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn describe(page: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    write!(page, "\n## `{name}`\n\n{about}\n").expect("a String takes every write");
    let arguments: Vec<&Arg> =
        command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set()).collect();
    let arguments: Vec<&&Arg> =
        arguments.iter().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")).collect();
    if !arguments.is_empty() {
        page.push_str("\n| argument | meaning |\n|---|---|\n");
    }
    for argument in arguments {
        row(page, &format!("`{}`", spelling(argument)), &meaning(argument));
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let lines = examples.lines().skip(1).map(str::trim_start);
        write!(page, "\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n")).expect("a String takes every write");
    }
    for sub in visible(command) {
        describe(page, sub, &name);
    }
}

fn spelling(argument: &Arg) -> String {
    let value =
        argument.get_value_names().and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default();
    match (argument.get_long(), argument.get_action().takes_values()) {
        (Some(long), true) => format!("--{long} {value}"),
        (Some(long), false) => format!("--{long}"),
        (None, _) => value,
    }
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        write!(text, " (default `{}`)", defaults.join(" ")).expect("a String takes every write");
    }
    text
}

fn row(page: &mut String, left: &str, right: &str) {
    writeln!(page, "| {left} | {} |", right.replace('|', "\\|")).expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every command that a user can reach is in the reference with an example of its use.
    #[test]
    fn every_command_has_an_example() {
        let mut root = command();
        root.build();
        for command in visible(&root) {
            let has_subcommands = visible(command).next().is_some();
            assert!(has_subcommands || command.get_after_help().is_some(), "{} has no example", command.get_name());
        }
        assert!(markdown().contains("## `prumo secret set`"));
    }

    /// Goal: clap finds no contradiction in the definitions.
    #[test]
    fn the_definitions_are_sound() {
        command().debug_assert();
    }
}
