//! Names that must have a certain form or must exist: hosts, paths of requests, services.

use std::ops::Range;

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, shown_key};
use crate::nearest::nearest;

/// The longest name of a service: with a release and a replica it still fits a cgroup and a metric label.
const SERVICE_NAME_MAX: usize = 40;

/// Whether a service may have this name.
pub(crate) fn is_service_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= SERVICE_NAME_MAX && name.chars().all(letters)
}

/// The name of a service that the file has.
pub(crate) struct ServiceName;

impl Kind for ServiceName {
    type Value = String;
    const NAME: &'static str = "the name of a service";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let name = reader.text::<Self>(entry)?;
        if reader.is_whole() && !reader.services().contains(&name) {
            let written = entry.node.get_ref().as_str().unwrap_or_default().to_owned();
            reader.report_no_service(&written, entry.node.span());
            return None;
        }
        Some(name)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

impl Reader<'_> {
    /// Whether the file has this service; if not, says so.
    pub(super) fn check_service_exists(&mut self, name: &str, span: Range<usize>) -> bool {
        let exists = !self.is_whole() || self.services().contains(name);
        if !exists {
            self.report_no_service(name, span);
        }
        exists
    }

    /// Names the route or table that is wrong, because a service is most often mistyped far from its definition.
    fn report_no_service(&mut self, written: &str, span: Range<usize>) {
        let message = format!("{} names service `{}`, which does not exist", self.here(), shown_key(written));
        let hint = match nearest(written, self.services().iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => match self.services().iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            {
                names if names.is_empty() => format!("add a table `[service.{}]`", shown_key(written)),
                names => format!("the services of this file are {names}"),
            },
        };
        self.report(span, message, hint);
    }
}

/// A host name, or `*.` and a host name.
pub(crate) struct Host;

impl Kind for Host {
    type Value = String;
    const NAME: &'static str = "a host name";
    const FORM: &'static str =
        "a host is written like \"shop.example.com\" or \"*.example.com\", without scheme, port or path";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, parse_host)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

pub(super) fn parse_host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty; leave the key out to match any host".to_owned());
    }
    if text == "*" {
        return Err("is only a star; leave the key out to match any host".to_owned());
    }
    if text.contains("://") {
        return Err("has a scheme".to_owned());
    }
    if text.contains('/') {
        return Err("has a path".to_owned());
    }
    if text.contains(':') {
        return Err("has a port".to_owned());
    }
    if !text.is_ascii() {
        return Err("has letters outside ASCII; write it in its `xn--` form".to_owned());
    }
    if text.len() > 253 {
        return Err("is longer than 253 characters".to_owned());
    }
    let host = text.to_ascii_lowercase();
    let labels = host.strip_prefix("*.").unwrap_or(&host);
    labels.split('.').try_for_each(check_label)?;
    Ok(host)
}

/// One part between two dots, by the rules of DNS and with the underscore that some networks use.
fn check_label(label: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.is_empty() {
        return Err("has a dot too many".to_owned());
    }
    if label.contains('*') {
        return Err("has a star that is not a whole first part".to_owned());
    }
    if let Some(other) = label.chars().find(|c| !allowed(*c)) {
        return Err(format!("has the character `{}`", other.escape_default()));
    }
    if label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
        return Err("has a part that begins or ends with `-`, or is longer than 63 characters".to_owned());
    }
    Ok(())
}

/// The path of a request, perhaps with a query.
pub(crate) struct UrlPath;

impl Kind for UrlPath {
    type Value = String;
    const NAME: &'static str = "a path";
    const FORM: &'static str = "a path is written like \"/\" or \"/health\", without scheme and host";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, parse_path)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^/" })
    }
}

/// The full name of a gRPC service, `package.Service`, or `true` for the program as a whole.
pub(crate) struct GrpcService;

impl Kind for GrpcService {
    type Value = String;
    const NAME: &'static str = "the name of a gRPC service";
    const FORM: &'static str = "it is the full name of a service, \"shop.Cart\", or true for the whole program";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        if let DeValue::Boolean(true) = entry.node.get_ref() {
            return Some(String::new());
        }
        reader.parsed::<Self, _>(entry, |text| {
            let is_word = |word: &str| {
                let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
                word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && word.chars().all(letters)
            };
            match text.len() <= 200 && text.split('.').all(is_word) {
                true => Ok(text.to_owned()),
                false => Err("is not the name of a gRPC service".to_owned()),
            }
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string" }, { "const": true }] })
    }
}

/// The beginning of the paths that a route takes.
pub(crate) struct PathPrefix;

impl Kind for PathPrefix {
    type Value = String;
    const NAME: &'static str = "a path";
    const FORM: &'static str =
        "a path is written like \"/\" or \"/api\"; it takes everything below it, so it needs no `*`";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
        reader.parsed::<Self, _>(entry, |text| match text.contains('?') {
            true => Err("has a query, which no route looks at".to_owned()),
            false => parse_path(text),
        })
    }

    fn schema() -> serde_json::Value {
        UrlPath::schema()
    }
}

pub(super) fn parse_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("does not begin with `/`".to_owned());
    }
    if let Some(other) = text.chars().find(|c| c.is_ascii_control() || !c.is_ascii() || " \"<>\\^`{|}#*".contains(*c)) {
        return Err(format!("has the character `{}`", other.escape_default()));
    }
    if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("has an empty segment, `.` or `..`".to_owned());
    }
    Ok(text.to_owned())
}

impl Reader<'_> {
    /// Whether the name of a service is well-formed; if not, says so at its key.
    pub(super) fn check_service_name(&mut self, name: &str, span: Range<usize>) -> bool {
        let good = is_service_name(name);
        if !good {
            let message = format!("a service cannot be called `{}`", shown_key(name));
            let hint = format!(
                "use lower-case letters, digits and `-`, beginning with a letter, at most {SERVICE_NAME_MAX} characters"
            );
            self.report(span, message, hint);
        }
        good
    }
}

#[cfg(test)]
mod tests;
