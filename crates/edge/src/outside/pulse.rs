//! What the probes of one address have shown so far, and what follows from that.

use crate::settings::Probe;

/// What came of asking once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    /// Why not.
    Bad(String),
    /// Prumo had not what it takes to ask, which says nothing of the service.
    NotAsked(String),
}

/// How an address is, by its probes.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    is_well: bool,
    was_bad: bool,
    good_in_a_row: u32,
    bad_in_a_row: u32,
    /// What was wrong the last time that something was.
    why: String,
}

impl Pulse {
    /// A well one stays so until it was bad as often as `unhealthy` says, and any other one until it was good as often as
    /// `healthy` does. One that was never bad is well at once: there is nothing that it must recover from.
    pub(super) fn note(&mut self, answer: Answer, probe: &Probe) {
        match answer {
            Answer::Good => {
                (self.good_in_a_row, self.bad_in_a_row) = (self.good_in_a_row.saturating_add(1), 0);
                self.is_well |= !self.was_bad || self.good_in_a_row >= probe.healthy;
            }
            Answer::Bad(why) => {
                (self.good_in_a_row, self.bad_in_a_row) = (0, self.bad_in_a_row.saturating_add(1));
                self.is_well &= self.bad_in_a_row < probe.unhealthy;
                self.was_bad = true;
                self.why = why;
            }
            Answer::NotAsked(why) if !self.is_well => self.why = format!("could not be asked: {why}"),
            Answer::NotAsked(_) => {}
        }
    }

    /// What keeps the address from being used.
    pub(super) fn refusal(&self, probe: &Probe) -> Option<String> {
        match self.good_in_a_row {
            _ if self.is_well => None,
            0 => Some(self.why.clone()),
            good => Some(format!("well {good} of {} times", probe.healthy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an address is well after its first good answer, no longer after `unhealthy` bad ones, and again after `healthy`
    /// good ones in a row; what could not be asked counts for neither.
    #[test]
    fn answers_in_a_row_decide() {
        let check = |answers: &str, expected: &[Option<&str>]| {
            let probe = Probe { healthy: 2, unhealthy: 3, ..Probe::default() };
            let mut pulse = Pulse::default();
            let standings = answers.chars().map(|answer| {
                let answer = match answer {
                    '+' => Answer::Good,
                    '-' => Answer::Bad("bad".to_owned()),
                    _ => Answer::NotAsked("no descriptors".to_owned()),
                };
                pulse.note(answer, &probe);
                pulse.refusal(&probe)
            });
            let standings: Vec<Option<String>> = standings.collect();
            assert_eq!(standings.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{answers}");
        };
        let (half, bad, not_asked) =
            (Some("well 1 of 2 times"), Some("bad"), Some("could not be asked: no descriptors"));
        check("++", &[None, None]);
        check("-++", &[bad, half, None]);
        check("+-++", &[None, None, None, None]);
        check("++--+", &[None, None, None, None, None]);
        check("+---+", &[None, None, None, bad, half]);
        check("+---++", &[None, None, None, bad, half, None]);
        check("+-?--", &[None, None, None, None, bad]);
        check("?++?", &[not_asked, None, None, None]);
        check("?-++", &[not_asked, bad, half, None]);
    }
}
