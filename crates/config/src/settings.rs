//! Every setting of the file, each defined in one place.
//!
//! One entry of a [`table!`] is all there is to know about a setting: its key, its type, its default and the
//! reason for it, its bounds, its text and an example. The struct that holds it, the reading, the reference,
//! the JSON schema and `prumo explain` all come from that entry.

use crate::checked::Shape;

mod certificate;
mod edge;
mod files;
mod headers;
mod health;
mod maintenance;
mod outside;
mod record;
mod route;
mod service;
mod site;

pub use certificate::{Certificate, ClientCertificate};
pub use edge::{Admin, Edge, Socket};
pub use files::Files;
pub use headers::{EdgeHeaders, RouteHeaders};
pub(crate) use health::HealthTable;
pub use maintenance::Maintenance;
pub(crate) use outside::OutsideTable;
pub use record::{AccessLog, Trace};
pub use route::{Answer, Mirror, Retry};
pub(crate) use route::{RedirectTable, RouteTable};
pub use service::{Restart, Stop, Traffic};
pub(crate) use service::{SecretTable, ServiceTable};
pub use site::Site;
pub(crate) use site::{ROOT, Root};

/// What there is to know about a table.
#[derive(Debug)]
pub(crate) struct TableDefinition {
    /// How `prumo explain` calls it: `service.health`; empty for the file itself.
    pub(crate) name: &'static str,
    /// How the file begins it: `[service.NAME.health]`.
    pub(crate) header: &'static str,
    pub(crate) text: &'static str,
    /// Keys of which each table has exactly one; empty where there is no such choice.
    pub(crate) one_of: &'static [&'static str],
    pub(crate) settings: &'static [Setting],
}

impl TableDefinition {
    /// The setting of this key.
    pub(crate) fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Its keys, for the middle of a sentence.
    pub(crate) fn key_list(&self) -> String {
        self.settings.iter().map(|setting| format!("`{}`", setting.key)).collect::<Vec<_>>().join(", ")
    }
}

/// What there is to know about a setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// The name of its kind: "a duration".
    pub(crate) kind: &'static str,
    /// How its kind is written.
    pub(crate) form: &'static str,
    pub(crate) text: &'static str,
    /// The default as TOML.
    pub(crate) default: Option<&'static str>,
    /// Its least and most, as TOML.
    pub(crate) bounds: Option<(&'static str, &'static str)>,
    /// Why the default is what it is, or what it means that there is none.
    pub(crate) why: &'static str,
    /// A value as TOML.
    pub(crate) example: &'static str,
    /// Whether absence means something without a default.
    pub(crate) may_be_absent: bool,
    pub(crate) shape: Shape,
    pub(crate) schema: fn() -> serde_json::Value,
}

impl Setting {
    /// Whether a table without this key is a mistake.
    pub(crate) fn is_required(&self) -> bool {
        self.default.is_none() && !self.may_be_absent
    }

    /// The example as a hint.
    pub(crate) fn for_example(&self) -> String {
        format!("for example: `{} = {}`", self.key, self.example)
    }
}

/// Defines a table of the file: a struct with one field for each setting, and everything that is known about it.
///
/// A setting reads `key: Type as Kind = default, from least to most, because "…", example …;`. The kind is left
/// out where it is the type, the default where there is none, the bounds where any value will do. Defaults,
/// bounds and examples are TOML. `one of` names the keys of which each table has exactly one, `check` a rule that is
/// applied to the table once it is read.
macro_rules! table {
    (
        $(#[doc = $text:literal])+
        $visibility:vis struct $name:ident as $table:literal, $header:literal
            $(, one of $($one:literal)|+)? $(, check $check:path)?
        {
            $(
                $(#[doc = $setting_text:literal])+
                $key:ident: $type:ty $(as $kind:ty)? $(= $default:tt)? $(, from $least:tt to $most:tt)?,
                    because $why:literal,
                    example $example:tt;
            )+
        }
    ) => {
        $(#[doc = $text])+
        #[derive(Clone, Debug, PartialEq)]
        $visibility struct $name {
            $($(#[doc = $setting_text])+ pub $key: $type,)+
        }

        impl $name {
            /// All that is known about this table.
            pub(crate) const DEFINITION: $crate::settings::TableDefinition = $crate::settings::TableDefinition {
                name: $table,
                header: $header,
                text: concat!($($text),+),
                one_of: &[$($($one),+)?],
                settings: &[$($crate::settings::Setting {
                    key: stringify!($key),
                    kind: <kind!($type $(as $kind)?) as $crate::checked::Kind>::NAME,
                    form: <kind!($type $(as $kind)?) as $crate::checked::Kind>::FORM,
                    text: concat!($($setting_text),+),
                    default: optional!($(stringify!($default))?),
                    bounds: optional!($((stringify!($least), stringify!($most)))?),
                    why: $why,
                    example: stringify!($example),
                    may_be_absent: <kind!($type $(as $kind)?) as $crate::checked::Kind>::MAY_BE_ABSENT,
                    shape: <kind!($type $(as $kind)?) as $crate::checked::Kind>::SHAPE,
                    schema: <kind!($type $(as $kind)?) as $crate::checked::Kind>::schema,
                }),+],
            };
        }

        impl $crate::checked::Kind for $name {
            type Value = $name;
            const NAME: &'static str = "a table";
            const SHAPE: $crate::checked::Shape = $crate::checked::Shape::One(&$name::DEFINITION);

            fn read(
                entry: &$crate::checked::Entry<'_>,
                reader: &mut $crate::checked::Reader<'_>,
            ) -> Option<$name> {
                let section = reader.section::<Self>(&$name::DEFINITION, entry)?;
                $crate::checked::rules::one_of(&section, reader);
                $crate::checked::rules::as_typed(&section, reader);
                // All settings are read before any is given up, so that all mistakes are found at once.
                $(let $key = reader.setting::<kind!($type $(as $kind)?)>(&section, stringify!($key));)+
                let table = $name { $($key: $key?),+ };
                $($check(&table, &section, reader);)?
                Some(table)
            }

            fn schema() -> serde_json::Value {
                $crate::reference::schema::table(&$name::DEFINITION)
            }
        }
    };
}

/// The kind of a setting: its type, unless it says otherwise.
macro_rules! kind {
    ($type:ty as $kind:ty) => {
        $kind
    };
    ($type:ty) => {
        $type
    };
}

/// What may have been left out.
macro_rules! optional {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}

use {kind, optional, table};

#[cfg(test)]
mod tests;
