//! The commands of a scenario: those of prumo as they are, and a few of our own that set the scene.

use std::net::TcpListener;
use std::path::Path;

use super::normal::normal;
use super::{Done, Scenario};
use crate::process::{self, Signal};
use crate::site::{Said, Site};

/// Plays a scenario on a site of its own and says what each step did.
pub fn run(scenario: &Scenario) -> Vec<Done> {
    let file = |wanted: &str| scenario.files.iter().find(|(name, _)| name == wanted).map_or("", |(_, text)| text);
    let site = Site::new(file("prumo.toml"));
    for (name, text) in scenario.files.iter().filter(|(name, _)| name != "prumo.toml") {
        site.write(name, text);
    }
    if file("prumo.toml").is_empty() {
        std::fs::remove_file(site.root().join("prumo.toml")).unwrap();
    }
    let mut scene = Scene { site, held: Vec::new() };
    scenario.steps().map(|step| scene.play(&step.command)).collect()
}

/// A site and what the scenario did around it.
struct Scene {
    site: Site,
    /// Ports that the test itself occupies.
    held: Vec<TcpListener>,
}

impl Scene {
    fn play(&mut self, line: &str) -> Done {
        let (command, filter) =
            line.split_once(" | ").map_or((line, None), |(command, filter)| (command, Some(filter)));
        let said = self.act(&words(&self.site.filled(command)));
        let text = format!("{}{}", said.out, said.err);
        let text = filter.map_or(text.clone(), |filter| filtered(&text, &words(filter)));
        let mut says = normal(&text, &self.site.placeholders());
        if !says.is_empty() && !says.ends_with('\n') {
            says.push('\n');
        }
        Done { says, exit: said.code.unwrap_or(-1) }
    }

    fn act(&mut self, words: &[String]) -> Said {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["prumo", ref arguments @ .., "<<<", input] => return self.site.prumo_with_input(arguments, input),
            ["prumo", ref arguments @ ..] => return self.site.prumo(arguments),
            ["up"] => self.site.up(),
            ["stop"] => return Said { code: self.site.stop(), out: String::new(), err: String::new() },
            ["reload"] => process::signal(self.site.pid(), Signal::HUP),
            ["kill", "-9", "prumo"] => self.site.kill(),
            ["kill", "-9", service] => self.kill_replica(service),
            ["wait", "healthy", service] => drop(self.site.await_healthy(service)),
            ["wait", "log", text] => self.await_log(text),
            ["curl", path] => return self.curl(path),
            ["log"] => return ok(self.site.log()),
            ["copy", from, to] => self.copy(from, to),
            ["hold", port] => self.hold(port),
            _ => panic!("no such command in a scenario: {words:?}; tests/scenarios/README.md lists them"),
        }
        ok(String::new())
    }

    fn curl(&self, path: &str) -> Said {
        match self.site.get(path) {
            Ok(answer) => ok(format!("{}\n{}", answer.status, answer.body)),
            Err(error) => Said { code: Some(7), out: String::new(), err: format!("no answer: {}\n", error.kind()) },
        }
    }

    /// Kills the first replica of a service and waits until the kernel has seen it go.
    fn kill_replica(&self, service: &str) {
        let status = self.site.status(service).expect("the service is known");
        let pid = *status.pids().first().expect("a replica runs");
        process::signal(pid, Signal::KILL);
        assert!(process::eventually(std::time::Duration::from_secs(60), || !process::lives(pid)));
    }

    fn await_log(&self, text: &str) {
        let told = process::eventually(std::time::Duration::from_secs(60), || self.site.log().contains(text));
        assert!(told, "prumo never printed {text:?}\n{}", self.site.story());
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.site.root().join(Path::new(to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(self.site.root().join(Path::new(from)), to).unwrap();
    }

    fn hold(&mut self, port: &str) {
        self.held.push(TcpListener::bind(format!("127.0.0.1:{port}")).unwrap());
    }
}

fn ok(out: String) -> Said {
    Said { code: Some(0), out, err: String::new() }
}

/// `| json /a/b` picks a value from each line that is JSON; `| find TEXT` keeps lines with this text.
fn filtered(text: &str, filter: &[String]) -> String {
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    match filter[..] {
        ["find", part] => text.lines().filter(|line| line.contains(part)).map(|line| format!("{line}\n")).collect(),
        ["json", ref pointers @ ..] => text.lines().map(|line| format!("{}\n", picked(line, pointers))).collect(),
        _ => panic!("no such filter in a scenario: {filter:?}; tests/scenarios/README.md lists them"),
    }
}

fn picked(line: &str, pointers: &[&str]) -> String {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(line) else { return format!("not JSON: {line}") };
    let pick = |pointer: &&str| document.pointer(pointer).map_or_else(|| "absent".to_owned(), ToString::to_string);
    pointers.iter().map(pick).collect::<Vec<_>>().join(" ")
}

/// Splits a line at blanks; single quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: words are split at blanks and kept together by quotes.
    #[test]
    fn words_are_split() {
        assert_eq!(words("prumo secret set db <<< 'hunter 2'"), ["prumo", "secret", "set", "db", "<<<", "hunter 2"]);
        assert_eq!(words("  up "), ["up"]);
    }

    /// Goal: filters pick values and lines.
    #[test]
    fn filters_pick() {
        let check = |text: &str, filter: &str, expected: &str| assert_eq!(filtered(text, &words(filter)), expected);
        check("{\"a\":{\"b\":[1,\"x\"]}}\n", "json /a/b/1 /a/b/0 /c", "\"x\" 1 absent\n");
        check("oops\n", "json /a", "not JSON: oops\n");
        check("one\ntwo\n", "find 'w'", "two\n");
    }
}
