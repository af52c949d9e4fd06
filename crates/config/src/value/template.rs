//! A text with places that each request fills in: `https://shop.dev$path$query`.

use std::fmt;

/// A text with places that each request fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its pieces, in order.
    pub parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This, as it is.
    Text(String),
    /// `$host`
    Host,
    /// `$path`
    Path,
    /// `$rest`
    Rest,
    /// `$query`
    Query,
    /// `$1` or `$name`
    Group(String),
}

impl Template {
    /// Reads a text. Which places a setting allows is for others to say.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            let (before, after) = (&rest[..dollar], &rest[dollar + 1..]);
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "" => return Err("has a `$` without a name after it".to_owned()),
                "host" => Part::Host,
                "path" => Part::Path,
                "rest" => Part::Rest,
                "query" => Part::Query,
                group => Part::Group(group.to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let has_bad_text = |part: &Part| matches!(part, Part::Text(text) if !text.chars().all(is_address_character));
        match parts.iter().any(has_bad_text) {
            true => Err("has a character that an address cannot have; encode it, as %20 for a space".to_owned()),
            false if parts.is_empty() => Err("is empty".to_owned()),
            false => Ok(Template { parts }),
        }
    }
}

fn is_address_character(character: char) -> bool {
    character.is_ascii_graphic() && !"\"<>\\^`{|}".contains(character)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| part.fmt(f))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Text(text) => f.write_str(text),
            Part::Host => f.write_str("$host"),
            Part::Path => f.write_str("$path"),
            Part::Rest => f.write_str("$rest"),
            Part::Query => f.write_str("$query"),
            Part::Group(name) => write!(f, "${name}"),
        }
    }
}
