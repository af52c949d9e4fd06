//! The progress of a deploy: lines as steps end, and on a terminal one live line with the time that the present step has taken.

use std::time::Duration;

use prumo_api::ask::{Finished, Step};
use prumo_api::client::Events;
use prumo_api::{Event, Refusal, RefusalKind};
use prumo_clock::Moment;

use super::Console;
use super::print::Colour;

/// How often the live line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// How long nothing is printed, where no line can be drawn anew, until what is waited for is.
const SAY_AFTER: Duration = Duration::from_secs(5);

/// The pause before the next such line is this share of the whole time, so that a long wait does not fill a log.
const SHARE_OF_PAUSE: u32 = 6;

/// Follows a stream of steps to its end.
pub(crate) async fn follow(console: &Console, mut events: Events) -> Result<Finished, Refusal> {
    let began = console.clock.now();
    let mut present: Option<Step> = None;
    let mut waits_for: Option<Step> = None;
    let mut printed = began;
    loop {
        let event = next(console, &mut events, waits_for.as_ref().or(present.as_ref()), began).await?;
        match event {
            Some(Event::Step(step)) if step.waiting => {
                let now = console.clock.now();
                if !console.printer.is_live() && is_due(now.since(began), now.since(printed)) {
                    console.printer.line(line(console, &step, began));
                    printed = now;
                }
                waits_for = Some(step);
            }
            Some(Event::Step(step)) => {
                (waits_for, printed) = (None, console.clock.now());
                show_done(console, present.as_ref(), began);
                console.printer.document(&Event::Step(step.clone()));
                if !console.printer.is_live() {
                    console.printer.line(line(console, &step, began));
                }
                present = Some(step);
            }
            Some(Event::Finished(finished)) => {
                show_done(console, present.as_ref(), began);
                console.printer.document(&Event::Finished(finished.clone()));
                return Ok(finished);
            }
            Some(Event::Refused(refusal)) => {
                show_done(console, present.as_ref(), began);
                return Err(refusal);
            }
            Some(Event::Line(_) | Event::Skipped { .. }) => {}
            None => return Err(cut_short()),
        }
    }
}

/// Whether it is time for another line that says what is waited for. Pure.
fn is_due(whole: Duration, since_last: Duration) -> bool {
    since_last >= SAY_AFTER.max(whole / SHARE_OF_PAUSE)
}

async fn next(
    console: &Console,
    events: &mut Events,
    present: Option<&Step>,
    began: Moment,
) -> Result<Option<Event>, Refusal> {
    let mut coming = std::pin::pin!(events.next());
    loop {
        if let Some(step) = present {
            console.printer.live(&line(console, step, began));
        }
        tokio::select! {
            event = &mut coming => return event,
            () = console.clock.sleep(TICK), if console.printer.is_live() => {}
        }
    }
}

fn show_done(console: &Console, step: Option<&Step>, began: Moment) {
    // What was waited for is over; it may have been all there was to show.
    console.printer.live("");
    // Elsewhere than on a terminal it was printed when it began.
    let Some(step) = step.filter(|_| console.printer.is_live()) else { return };
    console.printer.line(line(console, step, began));
}

fn line(console: &Console, step: &Step, began: Moment) -> String {
    let elapsed = format!("{:5.1}s", console.clock.now().since(began).as_secs_f64());
    let release = step.release.map(|number| format!("release {number}  ")).unwrap_or_default();
    format!("{}  {}  {release}{}", console.printer.paint(Colour::Dim, &elapsed), step.service, step.message)
}

fn cut_short() -> Refusal {
    Refusal::new(RefusalKind::Failed, "prumo ended before the change did").hint(
        "when prumo runs again it finishes or abandons the deploy by itself; `prumo status` shows which release serves",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a wait is told after five seconds of silence, then ever more seldom: a line a minute after six minutes.
    #[test]
    fn waits_are_told_ever_more_seldom() {
        let check = |whole, since_last, expected| {
            let is_due = is_due(Duration::from_secs(whole), Duration::from_secs(since_last));
            assert_eq!(is_due, expected, "{whole} {since_last}");
        };
        check(4, 4, false);
        check(5, 5, true);
        check(300, 5, false);
        check(36, 6, true);
        check(360, 59, false);
        check(360, 60, true);
    }
}
