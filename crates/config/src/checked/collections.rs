//! Lists, tables under names, and overlays.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, Shape, shown_key};
use crate::typed::Node;

impl<K: Kind> Kind for Vec<K> {
    type Value = Vec<K::Value>;
    const NAME: &'static str = "a list";
    const FORM: &'static str = K::FORM;
    const SHAPE: Shape = match K::SHAPE {
        Shape::One(table) => Shape::List(table),
        other => other,
    };

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return refuse_single::<Self, K, _>(entry, reader);
        };
        let mut values = Vec::new();
        for (index, node) in items.iter().enumerate() {
            let item = Entry { setting: entry.setting, node };
            values.extend(match K::SHAPE {
                Shape::Plain => K::read(&item, reader),
                _ => reader.inside_item(entry.key(), index, node, |reader| K::read(&item, reader)),
            });
        }
        // Tables that can be read are kept beside others that cannot, so that rules between tables are applied.
        let is_usable = values.len() == items.len() || !matches!(K::SHAPE, Shape::Plain);
        is_usable.then_some(values)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": K::schema() })
    }
}

/// One value or table where a list must be; the likely slip is `[route]` for `[[route]]`.
fn refuse_single<L: Kind, K: Kind, T>(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<T> {
    let hint = match K::SHAPE {
        Shape::One(_) => format!("write double brackets: `[[{}]]`", entry.key()),
        _ => entry.setting.for_example(),
    };
    reader.refuse_type_with::<L, _>(entry, hint)
}

impl Reader<'_> {
    /// Runs `read` inside an item of a list of tables.
    fn inside_item<T>(&mut self, key: &str, index: usize, node: &Node<'_>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.pop();
        let value = self.inside(&describe(key, index, node), read);
        self.path.push(key.to_owned());
        value
    }
}

/// A name for an item that has none: what a reader would call it.
fn describe(key: &str, index: usize, node: &Node<'_>) -> String {
    let text = |key: &str| match node.get_ref() {
        DeValue::Table(table) => table.get(key).and_then(|node| node.get_ref().as_str()).unwrap_or_default(),
        _ => "",
    };
    let name = match text("name") {
        "" => format!("{}{}", text("host"), text("path")),
        name => name.to_owned(),
    };
    if name.is_empty() { format!("{key} {}", index + 1) } else { format!("{key} `{}`", shown_key(&name)) }
}

/// Tables under names that the user chooses.
pub(crate) struct Named<K>(PhantomData<K>);

impl<K: Kind> Kind for Named<K> {
    type Value = BTreeMap<String, K::Value>;
    const NAME: &'static str = "a table of tables";
    const SHAPE: Shape = match K::SHAPE {
        Shape::One(table) => Shape::Named(table),
        other => other,
    };

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Table(tables) = entry.node.get_ref() else {
            let hint = format!("begin each table with its name: `[{}.api]`", entry.key());
            return reader.refuse_type_with::<Self, _>(entry, hint);
        };
        let mut values = BTreeMap::new();
        for (name, node) in tables {
            if !node.get_ref().is_table() {
                reader.report_unnamed(entry, name.get_ref(), name.span());
                continue;
            }
            let is_named_well = reader.check_service_name(name.get_ref(), name.span());
            let item = Entry { setting: entry.setting, node };
            let value = reader.inside(name.get_ref(), |reader| K::read(&item, reader));
            values.extend(value.filter(|_| is_named_well).map(|value| (name.get_ref().to_string(), value)));
        }
        Some(values)
    }

    fn absent() -> Option<Self::Value> {
        Some(BTreeMap::new())
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": K::schema() })
    }
}

impl Reader<'_> {
    /// A key where a name was expected: `[service]` for `[service.api]`.
    fn report_unnamed(&mut self, entry: &Entry<'_>, key: &str, span: std::ops::Range<usize>) {
        let message = format!("`{}` holds tables with names, not the key `{}`", entry.key(), shown_key(key));
        self.report(span, message, format!("give it a name: `[{}.api]`", entry.key()));
    }
}

/// The overlays, which are gone from the tree before it is read; only their definition is left.
pub(crate) struct Overlays;

impl Kind for Overlays {
    type Value = ();
    const NAME: &'static str = "a table of overlays";
    const SHAPE: Shape = Shape::Overlays;
    const MAY_BE_ABSENT: bool = true;

    fn read(_: &Entry<'_>, _: &mut Reader<'_>) -> Option<()> {
        Some(())
    }

    fn absent() -> Option<()> {
        Some(())
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/overlay" } })
    }
}
