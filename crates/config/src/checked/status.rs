//! Which status codes count: `204`, `"2xx"`, `"200-399"`, or a list of these.

use std::ops::RangeInclusive;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader};

/// Ranges of status codes.
pub(crate) struct StatusCodes;

impl Kind for StatusCodes {
    type Value = Vec<RangeInclusive<u16>>;
    const NAME: &'static str = "a status code";
    const FORM: &'static str = "a status is written like 204, \"2xx\" or \"200-399\", or as a list of these";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return read_range(entry, reader).map(|range| vec![range]);
        };
        let ranges: Vec<_> =
            items.iter().filter_map(|node| read_range(&Entry { setting: entry.setting, node }, reader)).collect();
        if items.is_empty() {
            return reader.refuse::<Self, _>(entry, "is an empty list, which no answer can match");
        }
        (ranges.len() == items.len()).then_some(ranges)
    }

    fn schema() -> serde_json::Value {
        let code = json!({ "type": ["integer", "string"] });
        json!({ "anyOf": [code, { "type": "array", "items": code, "minItems": 1 }] })
    }
}

fn read_range(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<RangeInclusive<u16>> {
    if let DeValue::Integer(number) = entry.node.get_ref() {
        return match parse_code(number.as_str()) {
            Ok(code) => Some(code..=code),
            Err(why) => reader.refuse::<StatusCodes, _>(entry, &why),
        };
    }
    reader.parsed::<StatusCodes, _>(entry, parse_range)
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    if let Some(hundred) = text.strip_suffix("xx") {
        let first = parse_code(&format!("{hundred}00"))?;
        return Ok(first..=first + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_code(first)?, parse_code(last)?);
    if first > last {
        return Err(format!("has the backward range `{text}`"));
    }
    Ok(first..=last)
}

fn parse_code(text: &str) -> Result<u16, String> {
    let code = text.parse().ok().filter(|code| (100..=599).contains(code));
    code.ok_or_else(|| "is not a status code from 100 to 599".to_owned())
}

#[cfg(test)]
mod tests;
