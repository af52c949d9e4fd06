//! `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for a dollar sign.
//!
//! Anything else after a `$` is left alone: `$PORT` and its like are for the driver.

/// Whether a text would be changed by [`expand`].
pub(super) fn has_variables(text: &str) -> bool {
    text.contains("${") || text.contains("$$")
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The part of the text that is wrong, for the caret.
    pub(super) part: String,
    pub(super) message: String,
    pub(super) hint: String,
    /// The variable is not set, which is no mistake in an overlay that was not chosen.
    pub(super) unset: bool,
}

/// Fills in the variables. Values are not expanded again.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Refusal> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            after
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = inside.find('}').ok_or_else(|| unclosed(&rest[dollar..]))?;
            expanded.push_str(&value_of(&inside[..end], env)?);
            &inside[end + 1..]
        } else {
            expanded.push('$');
            after
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The names of the variables in a text that [`expand`] accepts.
pub(super) fn names(text: &str) -> Vec<&str> {
    let plain = text.split("$$");
    let inside = plain.flat_map(|part| part.split("${").skip(1));
    inside.map(|inside| inside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or("")).collect()
}

/// Whether the whole text is one variable.
pub(super) fn is_one(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| !inside.contains(['$', '}']))
}

/// The value of what stands between the braces.
fn value_of(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Refusal> {
    let name_len = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (name, rule) = inside.split_at(name_len);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(malformed(inside, "needs the name of a variable between its braces"));
    }
    // As in a shell, the colon makes an empty variable count as unset.
    let set = env(name).filter(|value| !(rule.starts_with(':') && value.is_empty()));
    match (set, rule.strip_prefix(":-"), rule.strip_prefix(":?")) {
        (None, Some(default), _) => Ok(default.to_owned()),
        (None, _, Some(message)) => Err(unset(inside, name, message)),
        (None, _, _) if rule.is_empty() => Err(unset(inside, name, "")),
        (Some(value), default, message) if rule.is_empty() || default.is_some() || message.is_some() => Ok(value),
        _ => Err(malformed(inside, "has something else than `:-` or `:?` after the name")),
    }
}

fn unset(inside: &str, name: &str, said: &str) -> Refusal {
    let message = match said {
        "" => format!("the environment variable `{name}` is not set"),
        said => format!("the environment variable `{name}` is not set: {said}"),
    };
    let hint = format!("set it where prumo starts, or give a default: `${{{name}:-value}}`; `$$` is a plain `$`");
    Refusal { part: format!("${{{inside}}}"), message, hint, unset: true }
}

fn malformed(inside: &str, why: &str) -> Refusal {
    let part = format!("${{{inside}}}");
    Refusal { message: format!("`{part}` {why}"), part, hint: FORM.to_owned(), unset: false }
}

fn unclosed(part: &str) -> Refusal {
    let message = "`${` has no closing `}`".to_owned();
    Refusal { part: part.to_owned(), message, hint: FORM.to_owned(), unset: false }
}

const FORM: &str = "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a plain `$`";

#[cfg(test)]
mod tests;
