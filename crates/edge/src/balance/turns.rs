//! One after the other; those that are still warming up less often.

use std::rc::Rc;

use super::Candidate;

/// Who is next. While all have the same weight it is the next usable one at or after `turn`. Else it is smooth weighted
/// round robin: everybody gains its weight, who has most goes and pays for all, so that turns are spread evenly instead
/// of coming in a row.
pub(super) fn choose<C: Candidate>(
    candidates: &[Rc<C>],
    turn: usize,
    weight: impl Fn(usize) -> f64,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    let count = candidates.len();
    let first = (0..count).map(|step| turn.wrapping_add(step) % count).find(|&index| usable(index))?;
    let usual = weight(first);
    if (0..count).all(|index| !usable(index) || weight(index) == usual) {
        return Some(first);
    }
    let mut total = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for index in (0..count).filter(|&index| usable(index)) {
        let credit = gain(&candidates[index], weight(index));
        total += weight(index);
        if best.is_none_or(|(_, most)| credit > most) {
            best = Some((index, credit));
        }
    }
    let (chosen, _) = best?;
    gain(&candidates[chosen], -total);
    Some(chosen)
}

fn gain<C: Candidate>(candidate: &Rc<C>, by: f64) -> f64 {
    let mut standing = candidate.standing().get();
    standing.credit += by;
    candidate.standing().set(standing);
    standing.credit
}

#[cfg(test)]
mod tests;
