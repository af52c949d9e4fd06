//! The second step: each value read by its type.
//!
//! A [`Kind`] is one type of value that a setting can have; the [`Reader`] goes through a table, hands each
//! value to its kind, and collects every mistake instead of stopping at the first. A setting that could not be
//! read is `None`, so that no rule is ever applied to a guess.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::mistake::{DRAFTS_MAX, Draft};
use crate::nearest::nearest;
use crate::settings::{Certificate, ROOT, Root, ServiceTable, Setting, TableDefinition};
use crate::typed::{Node, Typed};

mod balance;
mod choices;
mod collections;
pub(crate) mod conditions;
mod environment;
mod files;
mod headers;
mod loops;
mod names;
mod numbers;
mod other_words;
mod paths;
mod places;
mod reachable;
mod rewrites;
pub(crate) mod rules;
mod status;
mod switch;
mod targets;
mod texts;
mod variables;
mod words;

pub(crate) use collections::{Named, Overlays};
pub(crate) use environment::Environment;
pub(crate) use files::{FileInside, FileName, FilesOrFolder, PublicFolder};
pub(crate) use headers::{
    Csp, FrameWord, HeaderNames, HeaderText, HeaderValues, OpenerWord, ReferrerWord, ResourceWord,
};
pub(crate) use names::{GrpcService, Host, ServiceName, UrlPath};
pub(crate) use numbers::Cores;
pub(crate) use paths::RoutePath;
pub(crate) use places::{At, Places};
pub(crate) use status::StatusCodes;
pub(crate) use switch::Switch;
pub(crate) use targets::Targets;
pub(crate) use texts::{Addresses, Body, FileMode, FilePath, Text};
pub(crate) use words::Words;

/// Reads the tree and its parts, and gives either all values or all mistakes.
pub(crate) fn read(
    text: &str,
    typed: Typed<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Root, (Vec<Draft>, Good)> {
    // A file that is not TOML is a part of what was meant: what seems to be missing may stand in the broken lines.
    let scope = if typed.drafts.is_empty() { Scope::Whole } else { Scope::Part };
    let mut drafts = Vec::new();
    for part in typed.parts {
        let mut reader = Reader { path: part.path, ..Reader::new(text, env, Scope::Part) };
        reader.read_root(part.tree);
        drafts.append(&mut reader.drafts);
    }
    let mut reader = Reader::new(text, env, scope);
    let root = reader.read_root(typed.tree);
    drafts.append(&mut reader.drafts);
    let good = reader.good;
    drop_echoes(text, &typed.drafts, &mut drafts);
    drafts.extend(typed.drafts);
    match root {
        Some(root) if drafts.is_empty() => Ok(root),
        _ if drafts.is_empty() => Err((vec![unexplained()], good)),
        _ => Err((drafts, good)),
    }
}

/// Drops mistakes on lines that are not even TOML: they come from the parser's guesses.
fn drop_echoes(text: &str, syntax: &[Draft], drafts: &mut Vec<Draft>) {
    let line_start = |draft: &Draft| text.get(..draft.span.start).and_then(|before| before.rfind('\n'));
    let broken: HashSet<_> = syntax.iter().map(line_start).collect();
    drafts.retain(|draft| !broken.contains(&line_start(draft)));
}

/// Whoever gives up a value reports why, so this is never seen; but a message is better than a panic.
fn unexplained() -> Draft {
    Draft::new(
        0..0,
        "the file cannot be used, and prumo does not know why",
        "please report this as a bug, with the file",
    )
}

/// One type of value that a setting can have.
pub(crate) trait Kind {
    /// What reading it gives.
    type Value;
    /// What it is called, with its article: "a duration".
    const NAME: &'static str;
    /// How it is written, as a whole hint; empty when the example says it all.
    const FORM: &'static str = "";
    /// How the setting holds tables, if it does.
    const SHAPE: Shape = Shape::Plain;
    /// Whether it means something that the key is absent and has no default.
    const MAY_BE_ABSENT: bool = false;

    /// Reads the value, or reports why it cannot be read.
    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value>;

    /// What it means that the key is absent and has no default; `None` if that is a mistake.
    fn absent() -> Option<Self::Value> {
        None
    }

    /// Compares two values, for kinds that have a least and a most.
    fn order(_: &Self::Value, _: &Self::Value) -> Option<Ordering> {
        None
    }

    /// The JSON schema of the value.
    fn schema() -> serde_json::Value;
}

/// How a setting holds tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// It holds none.
    Plain,
    /// It is a table.
    One(&'static TableDefinition),
    /// It holds tables under names that the user chooses: `[service.NAME]`.
    Named(&'static TableDefinition),
    /// It is a list of tables: `[[route]]`.
    List(&'static TableDefinition),
    /// It holds whole files under names: `[env.NAME]`.
    Overlays,
}

impl<K: Kind> Kind for Option<K> {
    type Value = Option<K::Value>;
    const NAME: &'static str = K::NAME;
    const FORM: &'static str = K::FORM;
    const SHAPE: Shape = K::SHAPE;
    const MAY_BE_ABSENT: bool = true;

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        K::read(entry, reader).map(Some)
    }

    fn absent() -> Option<Self::Value> {
        Some(None)
    }

    fn order(a: &Self::Value, b: &Self::Value) -> Option<Ordering> {
        K::order(a.as_ref()?, b.as_ref()?)
    }

    fn schema() -> serde_json::Value {
        K::schema()
    }
}

/// A value about to be read: its setting, and where it stands.
pub(crate) struct Entry<'n> {
    pub(crate) setting: &'static Setting,
    pub(crate) node: &'n Node<'n>,
}

impl Entry<'_> {
    /// The key as it is named in messages.
    pub(crate) fn key(&self) -> &'static str {
        self.setting.key
    }
}

/// A table about to be read: its definition, and where it stands.
pub(crate) struct Section<'n> {
    pub(crate) definition: &'static TableDefinition,
    pub(crate) table: &'n DeTable<'n>,
    span: Range<usize>,
}

impl Section<'_> {
    /// The place of a key's value, or of the table when the key is absent.
    pub(crate) fn place(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(self.span.clone(), |node| node.span())
    }
}

/// How much of a file is in front of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it: what is absent is missing, and every rule applies.
    Whole,
    /// A part, such as an overlay that was not chosen: only what is there is judged.
    Part,
}

/// Tables in which nothing is wrong, in a file in which something is: what they name can be looked at all the same.
#[derive(Default)]
pub(crate) struct Good {
    pub(crate) services: Vec<(String, ServiceTable)>,
    pub(crate) certificates: Vec<Certificate>,
}

/// Goes through the tree and collects mistakes.
pub(crate) struct Reader<'t> {
    text: &'t str,
    env: &'t dyn Fn(&str) -> Option<String>,
    scope: Scope,
    /// The services of the file, also those that cannot be read.
    services: BTreeSet<String>,
    /// The name of the table being read, part by part.
    path: Vec<String>,
    /// What may be there only once, and the line where it was.
    seen: HashMap<(&'static str, String), usize>,
    /// The routes that were read so far.
    places: reachable::Places,
    /// Where redirects lead.
    ways: loops::Ways,
    good: Good,
    drafts: Vec<Draft>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str, env: &'t dyn Fn(&str) -> Option<String>, scope: Scope) -> Reader<'t> {
        Reader {
            text,
            env,
            scope,
            services: BTreeSet::new(),
            path: Vec::new(),
            seen: HashMap::new(),
            places: reachable::Places::default(),
            ways: loops::Ways::default(),
            good: Good::default(),
            drafts: Vec::new(),
        }
    }

    /// Reads a tree from its root.
    fn read_root(&mut self, tree: DeTable<'t>) -> Option<Root> {
        if let Some(DeValue::Table(services)) = tree.get("service").map(|node| node.get_ref()) {
            self.services = services.keys().map(|name| name.get_ref().to_string()).collect();
        }
        self.ways.note_edge(&tree);
        let routes = tree.get("route").and_then(|node| node.get_ref().as_array()).map_or(0, |routes| routes.len());
        let node = Node::new(0..0, DeValue::Table(tree));
        let root = Root::read(&Entry { setting: &ROOT, node: &node }, self);
        if self.is_whole() {
            loops::check_rest(routes, self);
        }
        // What was found last may be a mistake.
        root.filter(|_| self.drafts.is_empty())
    }

    /// Whether rules between settings apply: they make no sense for a part of a file.
    pub(crate) fn is_whole(&self) -> bool {
        self.scope == Scope::Whole
    }

    /// The names of the services of the file.
    pub(crate) fn services(&self) -> &BTreeSet<String> {
        &self.services
    }

    /// The line where something of this sort and name was before; if there was none, it is here.
    pub(crate) fn seen_before(&mut self, sort: &'static str, name: &str, place: &Range<usize>) -> Option<usize> {
        if let Some(line) = self.seen.get(&(sort, name.to_owned())) {
            return Some(*line);
        }
        self.seen.insert((sort, name.to_owned()), self.line_of(place));
        None
    }

    /// The line of the file where something begins.
    fn line_of(&self, place: &Range<usize>) -> usize {
        self.text.get(..place.start).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// Notes a mistake.
    pub(crate) fn report(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        if self.drafts.len() < DRAFTS_MAX {
            self.drafts.push(Draft::new(span, message, hint));
        }
    }

    /// How many mistakes were found so far.
    pub(crate) fn found(&self) -> usize {
        self.drafts.len()
    }

    /// Notes that a value cannot be used, with the form of its kind as the hint.
    pub(crate) fn refuse<K: Kind, T>(&mut self, entry: &Entry<'_>, why: &str) -> Option<T> {
        let hint = if K::FORM.is_empty() { entry.setting.for_example() } else { K::FORM.to_owned() };
        self.report(entry.node.span(), format!("`{}` {why}", entry.key()), hint);
        None
    }

    /// Notes that a value has the wrong TOML type.
    pub(crate) fn refuse_type<K: Kind, T>(&mut self, entry: &Entry<'_>) -> Option<T> {
        let hint = if K::FORM.is_empty() { entry.setting.for_example() } else { K::FORM.to_owned() };
        self.refuse_type_with::<K, T>(entry, hint)
    }

    /// The same, with a hint for the case.
    pub(crate) fn refuse_type_with<K: Kind, T>(&mut self, entry: &Entry<'_>, hint: impl Into<String>) -> Option<T> {
        let message = format!("`{}` must be {}, not {}", entry.key(), K::NAME, type_name(entry.node.get_ref()));
        self.report(entry.node.span(), message, hint);
        None
    }

    /// The value as a table whose keys are all known, or known to have been reported.
    pub(crate) fn section<'n, K: Kind>(
        &mut self,
        definition: &'static TableDefinition,
        entry: &'n Entry<'n>,
    ) -> Option<Section<'n>> {
        let table = match entry.node.get_ref() {
            DeValue::Table(table) => table,
            DeValue::Array(_) => {
                return self
                    .refuse_type_with::<K, _>(entry, format!("write single brackets: `[{}]`", self.path.join(".")));
            }
            _ => return self.refuse_type::<K, _>(entry),
        };
        for key in table.keys() {
            if definition.setting(key.get_ref()).is_none() {
                self.report_unknown(definition, key.get_ref(), key.span());
            }
        }
        Some(Section { definition, table, span: entry.node.span() })
    }

    fn report_unknown(&mut self, definition: &TableDefinition, key: &str, span: Range<usize>) {
        // Beside a broken header, the keys below it seem to stand at the top of the file.
        if self.path.is_empty() && !self.is_whole() {
            return;
        }
        let keys = definition.settings.iter().map(|setting| setting.key);
        let ours = other_words::ours(key).filter(|ours| definition.setting(ours).is_some());
        let hint = match nearest(key, keys).or(ours) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if definition.name.is_empty() => format!("the tables of a file are {}", definition.key_list()),
            None => format!("`prumo explain {}` lists its keys", definition.name),
        };
        let message = match self.path.is_empty() {
            true => format!("there is no table or key `{}`", shown_key(key)),
            false => format!("{} has no key `{}`", self.here(), shown_key(key)),
        };
        self.report(span, message, hint);
    }

    /// Reads one setting of a table: what the file says, else the default, else what absence means.
    pub(crate) fn setting<K: Kind>(&mut self, section: &Section<'_>, key: &str) -> Option<K::Value> {
        let setting = section.definition.setting(key).expect("the table! macro passes its own keys");
        if let Some(node) = section.table.get(key) {
            let entry = Entry { setting, node };
            return match K::SHAPE {
                Shape::Plain => K::read(&entry, self).filter(|value| self.is_in_bounds::<K>(value, &entry)),
                _ => self.inside(key, |reader| K::read(&entry, reader)),
            };
        }
        let value = setting.default.map_or_else(K::absent, |default| self.constant::<K>(setting, default));
        if value.is_none() && self.is_whole() {
            let message = format!("{} needs the key `{key}`", self.here());
            self.report(section.span.clone(), message, setting.for_example());
        }
        value
    }

    /// The table being read, as it is named in messages.
    pub(crate) fn here(&self) -> String {
        let name = self.path.join(".");
        // Items of a list bring a description of their own.
        if name.contains(' ') { name } else { format!("`{name}`") }
    }

    /// Runs `read` one table deeper.
    pub(crate) fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }

    /// Reads TOML text of a definition, such as a default. A test reads them all once.
    pub(crate) fn constant<K: Kind>(&mut self, setting: &'static Setting, text: &'static str) -> Option<K::Value> {
        let node = DeValue::parse(text).expect("the texts in definitions are TOML");
        K::read(&Entry { setting, node: &node }, self)
    }

    fn is_in_bounds<K: Kind>(&mut self, value: &K::Value, entry: &Entry<'_>) -> bool {
        let Some((least, most)) = entry.setting.bounds else {
            return true;
        };
        let beyond = |bound: Option<K::Value>, order| bound.is_some_and(|bound| K::order(value, &bound) == Some(order));
        let below = beyond(self.constant::<K>(entry.setting, least), Ordering::Less);
        let above = beyond(self.constant::<K>(entry.setting, most), Ordering::Greater);
        if below || above {
            let (limit, bound) = if below { ("at least", least) } else { ("at most", most) };
            let message = format!("`{}` must be {limit} {}", entry.key(), bare(bound));
            let mut hint = format!("`{}` goes from {} to {}", entry.key(), bare(least), bare(most));
            let number = self.written(entry.node).trim_matches('"');
            if below && bare(least).ends_with('B') && number.bytes().all(|byte| byte.is_ascii_digit()) {
                hint = format!("`{number}` without a unit is bytes: `{number}MB` has one; {hint}");
            }
            self.report(entry.node.span(), message, hint);
        }
        !below && !above
    }

    /// The value as the file has it, quotes and all.
    pub(crate) fn written(&self, node: &Node<'_>) -> &'t str {
        self.text.get(node.span()).unwrap_or_default()
    }
}

/// A TOML text without its quotes, for the middle of a sentence.
pub(crate) fn bare(toml: &str) -> &str {
    toml.trim_matches('"')
}

/// A key in a sentence: long ones are cut, the line is shown anyway.
fn shown_key(key: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let plain: String = key.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(SHOWN_MAX).collect();
    if key.chars().count() > SHOWN_MAX { format!("{plain}…") } else { plain }
}

/// What a TOML value is called.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
