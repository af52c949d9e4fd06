//! Which paths a route takes: everything below one, exactly one, or those that an expression describes.

use serde_json::json;
use toml::de::DeValue;

use super::names::{PathPrefix, UrlPath, parse_path};
use super::{Entry, Kind, Reader, shown_key};
use crate::nearest::nearest;
use crate::resolved::PathMatch;

/// A longer expression is not read by anybody, and neither understood.
const EXPRESSION_BYTES_MAX: usize = 500;

/// As the edge has it: the most memory of a compiled expression.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A path, `{ exact = "…" }` or `{ regex = "…" }`.
pub(crate) struct RoutePath;

impl Kind for RoutePath {
    type Value = PathMatch;
    const NAME: &'static str = "a path";
    const FORM: &'static str = "the path of a route is written like \"/api\" for everything below it, { exact = \"/login\" }, or { regex = \"/users/[0-9]+\" }";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<PathMatch> {
        let DeValue::Table(table) = entry.node.get_ref() else {
            return PathPrefix::read(entry, reader).map(PathMatch::Prefix);
        };
        let mut keys = table.iter();
        let (Some((key, node)), None) = (keys.next(), keys.next()) else {
            return reader.refuse::<Self, _>(entry, "must be one of `exact` and `regex`");
        };
        let value = Entry { setting: entry.setting, node };
        match &**key.get_ref() {
            "exact" => reader.parsed::<UrlPath, _>(&value, parse_exact).map(PathMatch::Exact),
            "regex" => read_expression(&value, reader).map(PathMatch::Regex),
            other => {
                let hint = match nearest(other, ["exact", "regex"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => Self::FORM.to_owned(),
                };
                let message = format!("`path` has no key `{}`", shown_key(other));
                reader.report(key.span(), message, hint);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        let one = |key: &str, value: serde_json::Value| {
            let properties = json!({ key: value });
            json!({ "type": "object", "properties": properties, "required": [key], "additionalProperties": false })
        };
        json!({ "anyOf": [PathPrefix::schema(), one("exact", UrlPath::schema()), one("regex", json!({ "type": "string" }))] })
    }
}

fn parse_exact(text: &str) -> Result<String, String> {
    match text.contains('?') {
        true => Err("has a query; `when.query` looks at that".to_owned()),
        false => parse_path(text),
    }
}

fn read_expression(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let DeValue::String(raw) = entry.node.get_ref() else {
        return reader.refuse_type_with::<super::Text, _>(entry, RoutePath::FORM);
    };
    // A dollar sign has a meaning of its own here, so variables are not looked for.
    let text = raw.to_string();
    if text.len() > EXPRESSION_BYTES_MAX {
        let why = format!("has more than {EXPRESSION_BYTES_MAX} bytes");
        return reader.refuse::<RoutePath, _>(entry, &why);
    }
    if ["", ".*", "/.*", "^.*$", "^/.*$", "/.*$", "^/.*", ".+", "^/"].contains(&text.as_str()) {
        return reader.refuse::<RoutePath, _>(entry, "takes every path; write `path = \"/\"`, or leave it out");
    }
    if let Err((part, why)) = check_syntax(&text) {
        let span = reader.part_span(entry, part);
        let hint = "it must describe the whole path, in ASCII; `prumo explain route.path` has an example";
        reader.report(span, format!("`path` is no regular expression: {why}"), hint);
        return None;
    }
    let whole = format!("^(?:{text})$");
    let mut builder = regex::bytes::RegexBuilder::new(&whole);
    builder.unicode(false).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).nest_limit(50);
    if builder.build().is_err() {
        let hint = "the numbers in `{…}` multiply when they stand in one another: use smaller ones, or `*`";
        reader.report(entry.node.span(), "`path` is a regular expression that needs too much memory", hint);
        return None;
    }
    Some(text)
}

/// The first mistake in an expression, and the part that it is about.
fn check_syntax(text: &str) -> Result<(), (&str, String)> {
    use regex_syntax::ast::parse::ParserBuilder;
    use regex_syntax::hir::translate::TranslatorBuilder;
    let part = |span: &regex_syntax::ast::Span| text.get(span.start.offset..span.end.offset).unwrap_or_default();
    let ast = ParserBuilder::new()
        .nest_limit(50)
        .build()
        .parse(text)
        .map_err(|error| (part(error.span()), error.kind().to_string()))?;
    // Paths are bytes: an expression may describe some that are no text.
    let mut translator = TranslatorBuilder::new().unicode(false).utf8(false).build();
    translator.translate(text, &ast).map_err(|error| (part(error.span()), error.kind().to_string()))?;
    Ok(())
}
