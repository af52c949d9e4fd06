use std::path::Path;

use super::*;

fn typed(words: &[&str], environment: &[(&str, &str)]) -> Result<CommandLine, String> {
    let arguments = ["prumo"].iter().chain(words).map(OsString::from);
    let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
    read(arguments, &variable).map_err(|error| error.to_string())
}

/// Goal: what is typed counts, before or after the command; else the environment; an empty variable says nothing.
#[test]
fn the_environment_fills_in() {
    let check =
        |words: &[&str], environment: &[(&str, &str)], file: &str, state: Option<&str>, overlay: Option<&str>| {
            let common = typed(words, environment).unwrap().common;
            assert_eq!(common.file, Path::new(file), "{words:?} {environment:?}");
            assert_eq!(common.state.as_deref(), state.map(Path::new), "{words:?} {environment:?}");
            assert_eq!(common.env.as_deref(), overlay, "{words:?} {environment:?}");
        };
    let set = [("PRUMO_FILE", "e.toml"), ("PRUMO_STATE", "/e"), ("PRUMO_ENV", "e")];
    check(&["status"], &[], "prumo.toml", None, None);
    check(&["status"], &set, "e.toml", Some("/e"), Some("e"));
    check(&["status", "--file", "t.toml", "--state", "/t"], &set, "t.toml", Some("/t"), Some("e"));
    check(&["--state", "/t", "--env", "t", "status"], &set, "e.toml", Some("/t"), Some("t"));
    check(&["status"], &[("PRUMO_STATE", "")], "prumo.toml", None, None);
}

/// Goal: an option that a command would ignore is refused wherever it stands, and one in the environment is not typed.
#[test]
fn unused_options_are_refused() {
    let check = |words: &[&str], expected: Option<&str>| {
        let refused = typed(words, &[("PRUMO_STATE", "/e"), ("PRUMO_ENV", "e")]).map(|_| ());
        match expected {
            None => assert_eq!(refused, Ok(()), "{words:?}"),
            Some(expected) => assert!(refused.as_ref().is_err_and(|said| said.contains(expected)), "{refused:?}"),
        }
    };
    check(&["demo"], None);
    check(&["demo", "--quiet", "--replicas", "2"], None);
    check(&["demo", "--state", "/t"], Some("`prumo demo` has no use for `--state`\n\nUsage: prumo demo [OPTIONS]"));
    check(&["--file", "a.toml", "demo"], Some("no use for `--file`"));
    check(&["demo", "--json"], Some("no use for `--json`"));
    check(&["explain", "route", "--env", "staging"], Some("no use for `--env`"));
    check(&["explain", "route", "--json"], None);
    check(&["completions", "bash", "-q"], Some("unexpected argument '-q'"));
}

/// Goal: help lists no option that its command refuses, and every one that it takes.
#[test]
fn help_lists_what_is_used() {
    let mut whole = command();
    whole.build();
    for sub in whole.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let name = sub.get_name().to_owned();
        let help = sub.render_long_help().to_string();
        let unused = UNUSED.iter().find(|(command, _)| *command == name).map_or(&[][..], |(_, unused)| unused);
        for option in ["file", "state", "env", "json", "quiet"] {
            assert_eq!(help.contains(&format!("--{option}")), !unused.contains(&option), "{name} {option}\n{help}");
        }
    }
}
