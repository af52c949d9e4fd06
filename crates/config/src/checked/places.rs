//! Where a service outside is: a URL, several, or a table with more about it.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, Shape};
use crate::resolved::Place;
use crate::settings::OutsideTable;

/// One place, or several.
pub(crate) struct Places;

impl Kind for Places {
    type Value = Vec<Place>;
    const NAME: &'static str = "a place";
    const FORM: &'static str =
        "a place is written like \"https://legacy.internal:8443\", \"http://10.0.0.5:8000\" or \"unix:/run/app.sock\"";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<Place>> {
        let DeValue::Array(items) = entry.node.get_ref() else {
            return reader.parsed::<Self, _>(entry, parse_place).map(|place| vec![place]);
        };
        let mut places = Vec::new();
        for node in items {
            let item = Entry { setting: entry.setting, node };
            let Some(place) = reader.parsed::<Self, _>(&item, parse_place) else { continue };
            if places.contains(&place) {
                return reader.refuse::<Self, _>(&item, "is there twice");
            }
            places.push(place);
        }
        if items.is_empty() {
            return reader.refuse::<Self, _>(entry, "is an empty list, so there is nobody to ask");
        }
        (places.len() == items.len()).then_some(places)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

/// Places, or a table that holds them beside other settings.
pub(crate) struct At;

impl Kind for At {
    type Value = OutsideTable;
    const NAME: &'static str = "a place";
    const FORM: &'static str = Places::FORM;
    const SHAPE: Shape = Shape::One(&OutsideTable::DEFINITION);

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<OutsideTable> {
        if entry.node.get_ref().is_table() {
            return OutsideTable::read(entry, reader);
        }
        let url = Places::read(entry, reader)?;
        let usual = reader.constant::<OutsideTable>(entry.setting, "{ url = \"http://localhost\" }")?;
        Some(OutsideTable { url, ..usual })
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [Places::schema(), OutsideTable::schema()] })
    }
}

fn parse_place(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let is_usable = path.starts_with('/') && !path.contains('\0') && path.len() <= 107;
        return if is_usable {
            Ok(Place::Unix(path.into()))
        } else {
            Err("is no absolute path of at most 107 bytes after `unix:`".to_owned())
        };
    }
    let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("does not begin with `https://`, `http://` or `unix:`".to_owned()),
    };
    let named = rest.strip_suffix('/').unwrap_or(rest);
    if named.contains('@') {
        return Err("names a user, which would be sent to nobody".to_owned());
    }
    if named.contains(['/', '?', '#']) {
        return Err("has a path; a route's path is passed on as it is".to_owned());
    }
    let (host, port) = split_port(named, if tls { 443 } else { 80 })?;
    check_host(host)?;
    Ok(Place::Host { host: host.to_ascii_lowercase(), port, tls })
}

fn split_port(named: &str, usual: u16) -> Result<(&str, u16), String> {
    let (host, port) = match named.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("has something behind its address")?)),
        None => named.split_once(':').map_or((named, None), |(host, port)| (host, Some(port))),
    };
    let Some(port) = port else { return Ok((host, usual)) };
    match port.parse() {
        Ok(0) | Err(_) => Err("has a port that is no number from 1 to 65535".to_owned()),
        Ok(port) => Ok((host, port)),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if host.contains('*') {
        return Err("has a star; it must name one host".to_owned());
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        // Resolvers make addresses of these, and each its own.
        return Err("is neither an address nor a name: its last part is a number".to_owned());
    }
    super::names::parse_host(host).map(drop)
}

#[cfg(test)]
mod tests;
