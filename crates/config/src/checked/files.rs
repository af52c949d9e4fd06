//! Files that answer requests: a folder, and names in it.

use std::path::{Component, Path, PathBuf};

use serde_json::json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Kind, Reader, Shape, Text};
use crate::settings::Files;

/// A folder, or a table with a folder and more.
pub(crate) struct FilesOrFolder;

impl Kind for FilesOrFolder {
    type Value = Files;
    const NAME: &'static str = "a folder";
    const FORM: &'static str =
        "it is a folder, \"public\", or a table, { folder = \"public\", fallback = \"index.html\" }";
    const SHAPE: Shape = Shape::One(&Files::DEFINITION);

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Files> {
        match entry.node.get_ref() {
            DeValue::Table(_) => Files::read(entry, reader),
            DeValue::String(_) => {
                // The same as a table with this one key, so that the defaults are said once.
                let mut table = DeTable::new();
                table.insert(Spanned::new(entry.node.span(), "folder".into()), entry.node.clone());
                let node = Spanned::new(entry.node.span(), DeValue::Table(table));
                Files::read(&Entry { setting: entry.setting, node: &node }, reader)
            }
            _ => reader.refuse_type::<Self, _>(entry),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [Text::schema(), Files::schema()] })
    }
}

/// A folder whose files strangers may read: never that of the file itself, nor all of the machine.
pub(crate) struct PublicFolder;

impl Kind for PublicFolder {
    type Value = PathBuf;
    const NAME: &'static str = "a path";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<PathBuf> {
        let path = Text::read(entry, reader).map(PathBuf::from)?;
        let has_a_name = path.components().any(|part| matches!(part, Component::Normal(_)));
        if !has_a_name || path.components().next_back() == Some(Component::ParentDir) {
            let message = format!("`{}` would show everybody the program, its settings and more", entry.key());
            reader.report(entry.node.span(), message, "keep what is public in a folder of its own, such as \"public\"");
            return None;
        }
        Some(path)
    }

    fn schema() -> serde_json::Value {
        Text::schema()
    }
}

/// A name without a folder.
pub(crate) struct FileName;

impl Kind for FileName {
    type Value = String;
    const NAME: &'static str = "the name of a file";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, |name| match name.contains('/') {
            true => Err("is the name of a file, without a folder".to_owned()),
            false => inside(name),
        })
    }

    fn schema() -> serde_json::Value {
        Text::schema()
    }
}

/// A file by its path in a folder.
pub(crate) struct FileInside;

impl Kind for FileInside {
    type Value = String;
    const NAME: &'static str = "a path in the folder";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, inside)
    }

    fn schema() -> serde_json::Value {
        Text::schema()
    }
}

fn inside(path: &str) -> Result<String, String> {
    let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    match path {
        "" => Err("is empty".to_owned()),
        path if path.contains('\0') => Err("has a zero character".to_owned()),
        path if !is_inside || path.ends_with('/') => Err("is no file in the folder".to_owned()),
        path => Ok(path.to_owned()),
    }
}
