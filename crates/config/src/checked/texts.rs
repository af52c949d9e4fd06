//! Values that are written as texts, most of them with a parser of their own.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toml::de::DeValue;

use super::variables::{self, Refusal};
use super::{Entry, Kind, Reader};
use crate::secrecy::smells_secret;
use crate::value::{Cidr, Cron, Percent, Rate, Size, Template, duration};

impl Reader<'_> {
    /// The value as a text with its variables filled in.
    pub(super) fn text<K: Kind>(&mut self, entry: &Entry<'_>) -> Option<String> {
        match entry.node.get_ref() {
            DeValue::String(raw) => self.expand(entry, raw),
            _ => self.refuse_type::<K, _>(entry),
        }
    }

    /// Fills in the variables of `raw`, a text that is (a part of) the value.
    pub(super) fn expand(&mut self, entry: &Entry<'_>, raw: &str) -> Option<String> {
        if !variables::has_variables(raw) {
            return Some(raw.to_owned());
        }
        match variables::expand(raw, self.env) {
            Ok(text) => Some(text),
            Err(refusal) if refusal.unset && !self.is_whole() => None,
            Err(Refusal { part, message, hint, .. }) => {
                let span = self.part_span(entry, &part);
                self.report(span, message, hint);
                None
            }
        }
    }

    /// The same for a word of a command. Commands stand in the ledger, in the list of processes and in messages, so a
    /// variable that smells like a secret is refused.
    pub(super) fn expand_word(&mut self, entry: &Entry<'_>, raw: &str) -> Option<String> {
        let word = self.expand(entry, raw)?;
        let Some(secret) = variables::names(raw).into_iter().find(|name| smells_secret(name)) else {
            return Some(word);
        };
        let span = self.part_span(entry, raw);
        let message = format!("{} would show the secret `{secret}` to everybody who can list processes", self.here());
        self.report(span, message, "put it into `environment` and let the program read it there");
        None
    }

    /// Whether the environment has a value for this variable.
    pub(super) fn is_set(&self, name: &str) -> bool {
        (self.env)(name).is_some_and(|value| !value.is_empty())
    }

    /// The value as a text, parsed. What a parser quotes must be in the file, so that no variable is shown.
    pub(super) fn parsed<K: Kind, T>(&mut self, entry: &Entry<'_>, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text::<K>(entry)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(_) if entry.node.get_ref().as_str() != Some(&text) => {
                self.refuse::<K, _>(entry, &format!("is not {}, once its variables are filled in", K::NAME))
            }
            Err(why) => self.refuse::<K, _>(entry, &why),
        }
    }

    /// The place of a part of a text, or of all of it where escapes hide the part.
    pub(super) fn part_span(&self, entry: &Entry<'_>, part: &str) -> std::ops::Range<usize> {
        let span = entry.node.span();
        match self.written(entry.node).find(part) {
            Some(offset) if !part.is_empty() => span.start + offset..span.start + offset + part.len(),
            _ => span,
        }
    }
}

/// A text that is not empty.
pub(crate) struct Text;

impl Kind for Text {
    type Value = String;
    const NAME: &'static str = "a text";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, |text| match text {
            "" => Err("is empty".to_owned()),
            text if text.contains('\0') => Err("has a zero character".to_owned()),
            text => Ok(text.to_owned()),
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// A text that is sent as it is. It may be empty.
pub(crate) struct Body;

/// A larger one belongs into a file.
const BODY_BYTES_MAX: usize = 64 * 1024;

impl Kind for Body {
    type Value = String;
    const NAME: &'static str = "a text";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, |text| match text.len() > BODY_BYTES_MAX {
            true => Err(format!("has more than {BODY_BYTES_MAX} bytes")),
            false => Ok(text.to_owned()),
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// A path of a file or folder.
pub(crate) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;
    const NAME: &'static str = "a path";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<PathBuf> {
        Text::read(entry, reader).map(PathBuf::from)
    }

    fn schema() -> serde_json::Value {
        Text::schema()
    }
}

/// A kind whose values are texts with a parser.
macro_rules! parsed {
    ($type:ty, $name:literal, $form:literal, $parse:expr) => {
        impl Kind for $type {
            type Value = $type;
            const NAME: &'static str = $name;
            const FORM: &'static str = $form;

            fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<$type> {
                reader.parsed::<Self, _>(entry, $parse)
            }

            fn schema() -> serde_json::Value {
                json!({ "type": "string" })
            }
        }
    };
}

parsed!(Rate, "a rate", "a rate is written like \"10/s\", \"5/1m\" or \"100/h\"", Rate::parse);
parsed!(
    Cron,
    "a schedule",
    "a schedule is five fields, minute hour day month weekday, like \"17 4 * * *\" or \"0 7 * * MON-FRI\"",
    Cron::parse
);
parsed!(
    Template,
    "a text with places to fill in",
    "places to fill in are `$path`, `$query` with its `?`, `$host`, `$rest` of the path after the route's beginning, and `$1` or `$name` of an expression",
    Template::parse
);
parsed!(Cidr, "a network", "a network is written like \"10.0.0.0/8\", \"2001:db8::/32\" or \"127.0.0.1\"", Cidr::parse);
parsed!(Percent, "a percentage", "a percentage is written like \"5%\" or \"99.5%\"", Percent::parse);
parsed!(
    IpAddr,
    "an IP address",
    "\"127.0.0.1\" is this machine only, \"0.0.0.0\" every IPv4 address, \"::\" every address",
    |text| text.parse().map_err(|_| "is not an IP address".to_owned())
);
parsed!(
    SocketAddr,
    "an address and a port",
    "an address and a port are written like \"127.0.0.1:7700\" or \"[::1]:7700\"",
    |text| text.parse().map_err(|_| "is not an IP address and a port".to_owned())
);

/// One address to listen on, or several.
pub(crate) struct Addresses;

impl Kind for Addresses {
    type Value = Vec<IpAddr>;
    const NAME: &'static str = "an IP address";
    const FORM: &'static str = IpAddr::FORM;

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<IpAddr>> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return IpAddr::read(entry, reader).map(|address| vec![address]);
        };
        let mut addresses = Vec::new();
        for node in items {
            let item = Entry { setting: entry.setting, node };
            let Some(address) = IpAddr::read(&item, reader) else { continue };
            if addresses.contains(&address) {
                return reader.refuse::<Self, _>(&item, "is there twice");
            }
            addresses.push(address);
        }
        if items.is_empty() {
            return reader.refuse::<Self, _>(entry, "is an empty list, so nobody could connect");
        }
        (addresses.len() == items.len()).then_some(addresses)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [IpAddr::schema(), { "type": "array", "items": IpAddr::schema(), "minItems": 1 }] })
    }
}

/// Who may do what with a file, as `chmod` takes it.
pub(crate) struct FileMode;

impl Kind for FileMode {
    type Value = u32;
    const NAME: &'static str = "a file mode";
    const FORM: &'static str = "a file mode is written like \"0660\": owner, group and everybody";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<u32> {
        reader.parsed::<Self, _>(entry, |text| {
            let is_octal = text.len() <= 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
            mode.ok_or_else(|| "is not three octal digits".to_owned())
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^0?[0-7]{3}$" })
    }
}

impl Kind for Duration {
    type Value = Duration;
    const NAME: &'static str = "a duration";
    const FORM: &'static str = "a duration is written like \"250ms\", \"5s\", \"1m30s\", \"2h\" or \"7d\"";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
        reader.parsed::<Self, _>(entry, duration::parse)
    }

    fn order(a: &Duration, b: &Duration) -> Option<Ordering> {
        Some(a.cmp(b))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

impl Kind for Size {
    type Value = Size;
    const NAME: &'static str = "a size";
    const FORM: &'static str = "a size is written like \"512MB\" (10^6 bytes), \"512MiB\" (2^20 bytes) or 1024";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Size> {
        match entry.node.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => match Size::parse(number.as_str()) {
                Ok(size) => Some(size),
                Err(why) => reader.refuse::<Self, _>(entry, &why),
            },
            _ => reader.parsed::<Self, _>(entry, Size::parse),
        }
    }

    fn order(a: &Size, b: &Size) -> Option<Ordering> {
        Some(a.cmp(b))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "integer"], "minimum": 0 })
    }
}
