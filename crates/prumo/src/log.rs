//! prumo's own log: one line an event on standard error, a lowercase fragment and its fields.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use prumo_clock::Clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Prints events of this level and above. Spans are not used in this program.
struct Log {
    clock: Clock,
    colour: bool,
    most: Level,
}

/// Sends events to standard error from here on. With `quiet` only warnings and errors.
pub(crate) fn start(clock: Clock, quiet: bool) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let most = if quiet { Level::WARN } else { Level::INFO };
    // A second call, as in tests, keeps the first.
    drop(tracing::subscriber::set_global_default(Log { clock, colour, most }));
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most && metadata.target().starts_with("prumo")
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let part = metadata.target().split("::").next().unwrap_or("prumo");
        let mut line = Line { message: String::new(), fields: String::new() };
        event.record(&mut line);
        let level = level_word(*metadata.level(), self.colour);
        let part = part.strip_prefix("prumo_").unwrap_or(part);
        // One write a line, so that lines of several threads do not mix. A closed standard error is nobody's fault.
        let text = format!("{} {level} {part}: {}{}\n", self.clock.wall().rfc3339(), line.message, line.fields);
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level_word(level: Level, colour: bool) -> &'static str {
    match (level, colour) {
        (Level::ERROR, true) => "\x1b[31mERROR\x1b[0m",
        (Level::ERROR, false) => "ERROR",
        (Level::WARN, true) => "\x1b[33mWARN \x1b[0m",
        (Level::WARN, false) => "WARN ",
        _ => "INFO ",
    }
}

/// The message and the fields of an event. Line breaks are escaped: an event is one line, whatever a field holds.
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn add(&mut self, name: &str, value: &str) {
        if name == "message" {
            self.message.push_str(&one_line(value));
            return;
        }
        let plain = !value.is_empty() && !value.contains(|c: char| c.is_control() || matches!(c, ' ' | '"' | '='));
        let written =
            if plain { write!(self.fields, " {name}={value}") } else { write!(self.fields, " {name}={value:?}") };
        written.expect("a String takes every write");
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\x1b', "\\e")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)], expected: &str) {
        let mut line = Line { message: String::new(), fields: String::new() };
        fields.iter().for_each(|(name, value)| line.add(name, value));
        assert_eq!(format!("{}{}", line.message, line.fields), expected);
    }

    /// Goal: an event is one line that can be read again, whatever its fields hold.
    #[test]
    fn an_event_is_one_line() {
        check(&[("message", "replica started"), ("pid", "12")], "replica started pid=12");
        check(&[("service", "api"), ("message", "x")], "x service=api");
        check(&[("message", "x"), ("why", "no such file")], "x why=\"no such file\"");
        check(&[("message", "x"), ("why", "")], "x why=\"\"");
        check(&[("message", "one\ntwo"), ("why", "\x1b[31mred\r\n")], "one\\ntwo why=\"\\u{1b}[31mred\\r\\n\"");
        check(&[("message", "x"), ("why", "a \"b\"\nc")], r#"x why="a \"b\"\nc""#);
    }
}
