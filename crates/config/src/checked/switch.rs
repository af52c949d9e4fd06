//! What is on or off, and when it is on has settings of its own: `false`, `true` or a table.

use std::marker::PhantomData;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, Shape};

/// `false` for nothing, `true` for the table with its defaults, or the table.
pub(crate) struct Switch<K>(PhantomData<K>);

impl<K: Kind> Kind for Switch<K> {
    type Value = Option<K::Value>;
    const NAME: &'static str = "true, false or a table";
    const SHAPE: Shape = K::SHAPE;

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let node = entry.node.get_ref();
        if node.is_table() {
            return K::read(entry, reader).map(Some);
        }
        if !matches!(node, DeValue::Boolean(_) | DeValue::String(_)) {
            return reader.refuse_type::<Self, _>(entry);
        }
        match bool::read(entry, reader)? {
            true => reader.constant::<K>(entry.setting, "{}").map(Some),
            false => Some(None),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "boolean" }, K::schema()] })
    }
}
