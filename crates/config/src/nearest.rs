//! Did you mean?

/// The candidate that was probably meant, if any comes close.
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if typed.chars().count() > LENGTH_MAX {
        return None;
    }
    let typed = typed.to_lowercase();
    let scored = candidates.into_iter().filter_map(|candidate| Some((score(&typed, candidate)?, candidate)));
    scored.min_by_key(|(score, _)| *score).map(|(_, candidate)| candidate)
}

/// Longer words are not compared: nobody mistypes a name of fifty letters, and the cost is quadratic.
const LENGTH_MAX: usize = 50;

/// How far the candidate is, or `None` when it is too far to be meant.
fn score(typed: &str, candidate: &str) -> Option<usize> {
    let candidate = &*candidate.to_lowercase();
    let distance = distance(typed, candidate);
    let tolerated = (typed.chars().count().max(candidate.chars().count()) / 3).max(1);
    if distance <= tolerated {
        return Some(distance);
    }
    // `time` for `timeout`, `client_timeout` for `timeout`
    let contained =
        typed.len() >= 3 && (candidate.contains(typed) || (candidate.len() >= 4 && typed.contains(candidate)));
    contained.then_some(distance + tolerated)
}

/// Edits from one word to the other: insert, delete, replace, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests;
