//! Values that TOML itself has: whole numbers, numbers, true and false.
//!
//! A text with a variable is accepted in their place, because `${REPLICAS:-2}` can only be written as a text.

use std::cmp::Ordering;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, variables};

impl Reader<'_> {
    /// The value as a scalar: what the file says outright, or what a text with variables comes to.
    fn scalar<K: Kind, T>(
        &mut self,
        entry: &Entry<'_>,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
        why: &str,
    ) -> Option<T> {
        match entry.node.get_ref() {
            DeValue::String(raw) if variables::has_variables(raw) => {
                let text = self.expand(entry, raw)?;
                let value = DeValue::parse(&text).ok().and_then(|node| read(node.get_ref()));
                value.or_else(|| {
                    self.refuse::<K, _>(entry, &format!("is not {}, once its variables are filled in", K::NAME))
                })
            }
            DeValue::String(raw) if DeValue::parse(raw).is_ok_and(|node| read(node.get_ref()).is_some()) => {
                self.refuse_quotes::<K, _>(entry, raw)
            }
            value @ (DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => match read(value) {
                Some(value) => Some(value),
                None if why.is_empty() || value.is_bool() => self.refuse_type::<K, _>(entry),
                None => self.refuse::<K, _>(entry, why),
            },
            _ => self.refuse_type::<K, _>(entry),
        }
    }

    fn refuse_quotes<K: Kind, T>(&mut self, entry: &Entry<'_>, raw: &str) -> Option<T> {
        let message = format!("`{}` must be {}, not a text", entry.key(), K::NAME);
        self.report(entry.node.span(), message, format!("write it without quotes: `{} = {raw}`", entry.key()));
        None
    }
}

/// The number, if it is a whole one.
fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Kind for bool {
    type Value = bool;
    const NAME: &'static str = "true or false";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<bool> {
        reader.scalar::<Self, _>(entry, |value| value.as_bool(), "")
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Kind for u32 {
    type Value = u32;
    const NAME: &'static str = "a whole number";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<u32> {
        let read = |value: &DeValue<'_>| integer(value).and_then(|number| u32::try_from(number).ok());
        let why = match entry.node.get_ref() {
            DeValue::Integer(number) if number.as_str().starts_with('-') => "is negative",
            DeValue::Integer(_) => "is too large a number",
            _ => "",
        };
        reader.scalar::<Self, _>(entry, read, why)
    }

    fn order(a: &u32, b: &u32) -> Option<Ordering> {
        Some(a.cmp(b))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer" })
    }
}

/// A number of processor cores, fractions allowed.
pub(crate) struct Cores;

impl Kind for Cores {
    type Value = f64;
    const NAME: &'static str = "a number";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<f64> {
        let read = |value: &DeValue<'_>| match value {
            DeValue::Float(number) => number.as_str().parse().ok().filter(|number: &f64| number.is_finite()),
            value => integer(value).and_then(|number| i32::try_from(number).ok()).map(f64::from),
        };
        reader.scalar::<Self, _>(entry, read, "is not a usable number of cores")
    }

    fn order(a: &f64, b: &f64) -> Option<Ordering> {
        a.partial_cmp(b)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "number" })
    }
}
