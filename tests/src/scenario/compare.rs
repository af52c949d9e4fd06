//! Whether a command said what was expected of it.

/// The mark for "anything": a line of its own for any lines, inside a line for any text.
const ANYTHING: char = '…';

/// Compares line by line.
pub(super) fn matches(expected: &str, actual: &str) -> bool {
    let expected: Vec<&str> = expected.lines().collect();
    let actual: Vec<&str> = actual.lines().collect();
    lines_match(&expected, &actual)
}

fn lines_match(expected: &[&str], actual: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return actual.is_empty() };
    if first.trim().chars().eq([ANYTHING]) {
        return (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..]));
    }
    match actual.split_first() {
        Some((line, more)) => line_matches(first, line) && lines_match(rest, more),
        None => false,
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let Some((before, after)) = expected.split_once(ANYTHING) else { return expected == actual };
    let Some(rest) = actual.strip_prefix(before) else { return false };
    let mut places = rest.char_indices().map(|(place, _)| place).chain([rest.len()]);
    places.any(|place| line_matches(after, &rest[place..]))
}
