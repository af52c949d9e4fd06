//! Which names smell like secrets, and how to keep the values beside them out of messages.

/// Parts of a name that say that the value is nobody's business.
const SMELLS: [&str; 9] = ["PASSWORD", "PASSWD", "_PASS", "PGPASS", "_PWD", "SECRET", "TOKEN", "_KEY", "CREDENTIAL"];

/// Whether a variable of this name probably holds a secret.
///
/// `secret` itself does not: in `{ secret = "db" }` it stands before the name of one.
pub fn smells_secret(name: &str) -> bool {
    let capital = name.to_ascii_uppercase();
    name == "KEY" || name != "secret" && SMELLS.iter().any(|smell| capital.contains(smell))
}

/// The line with every quoted text after such a name replaced by stars of the same length.
pub(crate) fn mask(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(equals) = rest.find('=') {
        let (before, after) = rest.split_at(equals + 1);
        masked.push_str(before);
        rest = after;
        if smells_secret(last_name(before)) {
            let (value, left) = rest.split_at(quoted_len(rest));
            masked.extend(value.chars().map(|c| if matches!(c, '"' | '\'' | ' ' | '\t') { c } else { '*' }));
            rest = left;
        }
    }
    masked.push_str(rest);
    masked
}

/// The name before the `=`.
fn last_name(before_equals: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let trimmed = before_equals.trim_end_matches(|c: char| !is_part(c));
    trimmed.rsplit(|c| !is_part(c)).next().unwrap_or_default()
}

/// How many bytes of `text` are white space and a quoted text; 0 when it begins with something else.
fn quoted_len(text: &str) -> usize {
    let trimmed = text.trim_start();
    let lead = text.len() - trimmed.len();
    let Some(quote) = trimmed.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return 0;
    };
    // An escaped quote must not end the text early; masking too much is harmless.
    let mut escaped = false;
    for (index, character) in trimmed.char_indices().skip(1) {
        if character == quote && !escaped {
            return lead + index + 1;
        }
        escaped = character == '\\' && quote == '"' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests;
