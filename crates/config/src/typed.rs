//! The first step: the text as a tree in which every key and value knows its place.
//!
//! TOML is the only thing judged here. The chosen `[env.NAME]` overlay is laid over the rest, so that
//! the steps that follow see one tree and need not know about overlays.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::mistake::Draft;
use crate::nearest::nearest;

mod syntax;

/// A value and its place.
pub(crate) type Node<'t> = Spanned<DeValue<'t>>;

/// The largest file that is read. A site of a thousand services needs a tenth of it.
pub(crate) const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The longest dotted key, `a.b.c` having three parts. The longest useful one has six; without a bound, a
/// hostile file could nest tables until the stack ends. Brackets and braces are bounded by the TOML parser.
const KEY_PARTS_MAX: usize = 16;

/// A file as it was typed, with the chosen overlay laid over it.
pub(crate) struct Typed<'t> {
    /// What is to be run.
    pub(crate) tree: DeTable<'t>,
    /// What is not: overlays that were not chosen, and the file without the one that was. Mistakes in them are
    /// told today, because the day they are needed is a bad day to find them.
    pub(crate) parts: Vec<Part<'t>>,
    pub(crate) drafts: Vec<Draft>,
}

/// A part of a file, and the name of the table that holds it.
pub(crate) struct Part<'t> {
    pub(crate) path: Vec<String>,
    pub(crate) tree: DeTable<'t>,
}

/// Reads TOML as far as it can be understood, says what could not be, and lays the chosen overlay over the rest.
pub(crate) fn read<'t>(text: &'t str, overlay: Option<&str>) -> Typed<'t> {
    let (mut tree, mut drafts) = parse(text);
    let mut overlays = take_overlays(&mut tree, &mut drafts);
    let chosen = overlay.and_then(|name| overlays.remove(name));
    if let (Some(name), None, true) = (overlay, &chosen, drafts.is_empty()) {
        drafts.push(no_such_overlay(name, &overlays));
    }
    let of_overlay = |(name, tree)| Part { path: vec!["env".to_owned(), name], tree };
    let mut parts: Vec<Part<'t>> = overlays.into_iter().map(of_overlay).collect();
    if let Some(chosen) = chosen {
        parts.push(Part { path: Vec::new(), tree: tree.clone() });
        merge(&mut tree, &chosen);
    }
    Typed { tree, parts, drafts }
}

fn parse(text: &str) -> (DeTable<'_>, Vec<Draft>) {
    if let Some(draft) = too_large(text).or_else(|| too_deep(text)) {
        return (DeTable::new(), vec![draft]);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    (tree.into_inner(), syntax::drafts(text, &errors))
}

/// The overlays of the file by name, taken out of the tree.
fn take_overlays<'t>(tree: &mut DeTable<'t>, drafts: &mut Vec<Draft>) -> BTreeMap<String, DeTable<'t>> {
    const HINT: &str = "an overlay begins with `[env.staging]`, or with the table it changes: `[env.staging.edge]`";
    let overlays = match tree.remove("env").map(|node| (node.span(), node.into_inner())) {
        None => DeTable::new(),
        Some((_, DeValue::Table(overlays))) => overlays,
        Some((span, _)) => {
            drafts.push(Draft::new(span, "`env` must be a table of overlays", HINT));
            DeTable::new()
        }
    };
    let mut tables = BTreeMap::new();
    for (name, node) in overlays {
        match (node.span(), node.into_inner()) {
            (_, DeValue::Table(mut table)) => {
                if let Some((inner, _)) = table.remove_entry("env") {
                    drafts.push(Draft::new(inner.span(), "an overlay cannot hold overlays", HINT));
                }
                tables.insert(name.into_inner().into_owned(), table);
            }
            (span, _) => drafts.push(Draft::new(span, format!("`env.{}` must be a table", name.get_ref()), HINT)),
        }
    }
    tables
}

/// It is not in the file, so the mistake stands at the beginning.
fn no_such_overlay(name: &str, overlays: &BTreeMap<String, DeTable<'_>>) -> Draft {
    let names: Vec<String> = overlays.keys().map(|name| format!("`{name}`")).collect();
    let hint = match (nearest(name, overlays.keys().map(String::as_str)), names.is_empty()) {
        (_, true) => format!("the file has no overlays; one begins with `[env.{name}]`"),
        (Some(meant), _) => format!("did you mean `{meant}`? The overlays of this file are {}", names.join(", ")),
        (None, _) => format!("the overlays of this file are {}", names.join(", ")),
    };
    Draft::new(0..0, format!("there is no overlay `{name}`"), hint)
}

/// Lays `overlay` over `tree`: tables are merged key by key, everything else is replaced.
pub(crate) fn merge<'t>(tree: &mut DeTable<'t>, overlay: &DeTable<'t>) {
    merge_at(tree, overlay, &mut Vec::new());
}

fn merge_at<'t>(tree: &mut DeTable<'t>, overlay: &DeTable<'t>, path: &mut Vec<String>) {
    if is_health(path) && CHECKS.iter().any(|check| overlay.contains_key(*check)) {
        CHECKS.iter().for_each(|check| drop(tree.remove(*check)));
    }
    for (key, value) in overlay {
        path.push(key.get_ref().to_string());
        match (tree.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(below)), DeValue::Table(above)) if !is_variable(path) => merge_at(below, above, path),
            _ => {
                // Removed first, because inserting would keep the place of the old key.
                tree.remove(key.get_ref().as_ref());
                tree.insert(key.clone(), value.clone());
            }
        }
        path.pop();
    }
}

/// What may be asked of a replica. An overlay that chooses one replaces whatever was chosen below it.
const CHECKS: [&str; 7] = ["path", "grpc", "web_socket", "tcp", "run", "status", "body"];

fn is_health(path: &[String]) -> bool {
    matches!(path, [service, _, health] if service == "service" && health == "health")
}

/// One variable of an environment: its source is replaced as a whole, because two sources make no sense.
fn is_variable(path: &[String]) -> bool {
    matches!(path, [service, _, environment, _] if service == "service" && environment == "environment")
}

fn too_large(text: &str) -> Option<Draft> {
    let message = format!("the file has {} bytes, more than the 1 MiB that prumo reads", text.len());
    let hint = "is this the right file? A `prumo.toml` is written by hand and rarely passes 10 KiB";
    (text.len() > TEXT_BYTES_MAX).then(|| Draft::new(0..0, message, hint))
}

fn too_deep(text: &str) -> Option<Draft> {
    let mut parts = 1;
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => parts += 1,
            TokenKind::Atom | TokenKind::Whitespace | TokenKind::BasicString | TokenKind::LiteralString => {}
            _ => parts = 1,
        }
        if parts > KEY_PARTS_MAX {
            let place: Range<usize> = token.span().start()..token.span().end();
            let message = format!("a key with more than {KEY_PARTS_MAX} parts");
            return Some(Draft::new(
                place,
                message,
                "no setting is nested that deep; `prumo explain` lists the tables",
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests;
