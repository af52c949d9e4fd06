//! `prumo edge top`: the front door, second by second.

use std::time::Duration;

use prumo_api::Refusal;
use prumo_api::client::Client;
use prumo_api::counters::EdgeCounters;
use prumo_clock::Moment;
use prumo_drain::{Signal, Signals};

use super::ask::nobody_reads;
use super::{Console, Exit, Outcome};

mod screen;
mod view;

use screen::Screen;
use view::View;

/// What is shown is what happened within this time.
const EVERY: Duration = Duration::from_secs(1);

/// How often to look for a key, and whether somebody still reads: quick enough to feel at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `prumo edge top`
pub(crate) async fn top(console: &Console, once: bool) -> Outcome {
    let mut signals = prumo_drain::signals();
    let mut client = console.connect().await?;
    let mut before = counters(&mut client).await?;
    let mut screen = if once || !console.printer.is_live() { None } else { Screen::open() };
    loop {
        if wait(console, &mut signals, screen.as_ref()).await == Wish::Leave {
            return Ok(Exit::Done);
        }
        let now = counters(&mut client).await?;
        let view = View::between(&before, &now);
        before = now;
        match &mut screen {
            Some(screen) => screen.draw(&view.lines()),
            None => {
                console.printer.document(&view);
                view.lines().iter().for_each(|line| console.printer.answer(line));
            }
        }
        if once || console.printer.is_json() {
            return Ok(Exit::Done);
        }
        if screen.is_none() {
            console.printer.answer("");
        }
    }
}

async fn counters(client: &mut Client) -> Result<EdgeCounters, Refusal> {
    client.document("GET", "/api/v1/edge/counters", &()).await
}

#[derive(PartialEq, Eq)]
enum Wish {
    GoOn,
    Leave,
}

/// Waits for the next second, or for whoever watches to leave.
async fn wait(console: &Console, signals: &mut Signals, screen: Option<&Screen>) -> Wish {
    let until: Moment = console.clock.now() + EVERY;
    while console.clock.now() < until {
        let left = until.since(console.clock.now());
        tokio::select! {
            signal = signals.next() => if signal == Signal::Stop { return Wish::Leave },
            () = console.clock.sleep(LOOK_EVERY.min(left)) => {}
        }
        if nobody_reads() || screen.is_some_and(Screen::wants_to_leave) {
            return Wish::Leave;
        }
    }
    Wish::GoOn
}
