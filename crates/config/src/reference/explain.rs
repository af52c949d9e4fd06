//! `prumo explain KEY`

use std::fmt;
use std::fmt::Write;

use crate::checked::Shape;
use crate::nearest::nearest;
use crate::reference::{all_tables, facts, inner_table};
use crate::settings::{Root, Setting, TableDefinition};

/// What a setting or a table means: `route.timeout`, `service.memory`, `service.api.memory`, `edge`.
/// An empty key lists the tables.
pub fn explain(key: &str) -> Result<String, NoSuchKey> {
    let parts: Vec<&str> = key.split('.').map(|part| part.trim_matches(['[', ']', ' '])).collect();
    match find(&Root::DEFINITION, if key.is_empty() { &[] } else { &parts }) {
        Some(Found::Table(table)) => Ok(describe_table(table)),
        Some(Found::Setting(table, setting)) => Ok(describe_setting(table, setting)),
        None => Err(NoSuchKey { key: key.to_owned(), did_you_mean: suggest(key) }),
    }
}

/// There is no such setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchKey {
    /// The key that was asked for.
    pub key: String,
    /// The one that was perhaps meant.
    pub did_you_mean: Option<String>,
}

impl fmt::Display for NoSuchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no setting `{}`", self.key)
    }
}

impl std::error::Error for NoSuchKey {}

impl NoSuchKey {
    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        match &self.did_you_mean {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`prumo explain` lists the tables, `prumo explain service` the keys of one".to_owned(),
        }
    }
}

enum Found {
    Table(&'static TableDefinition),
    Setting(&'static TableDefinition, &'static Setting),
}

fn find(table: &'static TableDefinition, path: &[&str]) -> Option<Found> {
    let Some((key, rest)) = path.split_first() else {
        return Some(Found::Table(table));
    };
    let setting = table.setting(key)?;
    match (setting.shape, rest) {
        (_, []) => Some(inner_table(setting).map_or(Found::Setting(table, setting), Found::Table)),
        (Shape::One(inner) | Shape::List(inner), rest) => find(inner, rest),
        // The name between may be left out. A service could be called like a key, and then the key is meant.
        (Shape::Named(inner), [_, after_name @ ..]) => find(inner, rest).or_else(|| find(inner, after_name)),
        (Shape::Overlays, [_, after_name @ ..]) => find(&Root::DEFINITION, after_name),
        _ => None,
    }
}

/// The whole name that comes closest, or the name whose last part does.
fn suggest(key: &str) -> Option<String> {
    let names = all_names();
    let last = key.rsplit('.').next().unwrap_or(key);
    let whole = nearest(key, names.iter().map(String::as_str)).map(str::to_owned);
    whole.or_else(|| {
        let meant = nearest(last, names.iter().filter_map(|name| name.rsplit('.').next()))?;
        names.iter().find(|name| name.rsplit('.').next() == Some(meant)).cloned()
    })
}

/// Every table and every setting.
fn all_names() -> Vec<String> {
    let mut names = Vec::new();
    for table in all_tables() {
        names.extend(table.settings.iter().map(|setting| name_of(table, setting)));
    }
    names
}

fn name_of(table: &TableDefinition, setting: &Setting) -> String {
    if table.name.is_empty() { setting.key.to_owned() } else { format!("{}.{}", table.name, setting.key) }
}

fn describe_setting(table: &TableDefinition, setting: &Setting) -> String {
    let mut page = format!("{} ({})\n\n", name_of(table, setting), facts(setting).replace('`', ""));
    let _ = writeln!(page, "{}\n", wrapped(setting.text));
    let _ = writeln!(page, "Why: {}\n", wrapped(setting.why));
    if !setting.form.is_empty() {
        let _ = writeln!(page, "Form: {}\n", wrapped(setting.form));
    }
    let _ = write!(page, "Example:\n  {}\n  {} = {}", table.header, setting.key, setting.example);
    page
}

fn describe_table(table: &TableDefinition) -> String {
    let mut page = format!("{}\n\n{}\n", table.header, wrapped(table.text));
    let width = table.settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    for setting in table.settings {
        let text = setting.text.trim();
        let first_sentence = text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.');
        let _ = write!(page, "\n  {:width$}  {first_sentence}", setting.key);
    }
    page
}

/// The text in lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut line_len = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if line_len > 0 && line_len + 1 + len > WIDTH {
            lines.push('\n');
            line_len = 0;
        } else if line_len > 0 {
            lines.push(' ');
            line_len += 1;
        }
        lines.push_str(word);
        line_len += len;
    }
    lines
}

#[cfg(test)]
mod tests;
