//! A second request beside a slow first one: the first answer counts, the other request is given up.

use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Request, header};

use super::{Done, Errand, spare_copy};
use crate::body::Upload;
use crate::forward::Journey;
use crate::upstream::{Seat, Upstream, Wish};

/// What a hedge needs beside the first request.
pub(super) struct Beside<'a> {
    pub(super) spare: &'a Request<Upload>,
    pub(super) delay: Duration,
    pub(super) wish: &'a Wish<'a>,
    pub(super) tried: &'a [Rc<Upstream>],
}

/// After which time this request is asked of a second upstream as well. Only what reads is: an app may mean well with
/// PUT and DELETE, but two of them at once are more than it was built for.
pub(super) fn delay(journey: &Journey<'_>, request: &Request<Upload>) -> Option<Duration> {
    let hedge = journey.forward.hedge?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_plain = reads && !request.headers().contains_key(header::UPGRADE);
    if is_plain { journey.route.service.hedge_after(hedge) } else { None }
}

/// Runs the errand, after the delay a second one beside it, and gives the first good outcome; the first errand's when
/// none is good.
pub(super) async fn race(journey: &Journey<'_>, errand: Errand, request: Request<Upload>, beside: Beside<'_>) -> Done {
    let (upstream, asked) = (Rc::clone(&errand.seat.upstream), errand.asked);
    let service = &journey.route.service;
    let clock = &journey.core.clock;
    let mut first = pin!(errand.run(request, journey.pace));
    {
        let mut delay = pin!(clock.sleep(beside.delay));
        tokio::select! {
            biased;
            done = &mut first => return done,
            () = &mut delay => {}
        }
    }
    let Some(seat) = second_seat(journey, &beside, &upstream) else { return first.await };
    let Some(copy) = spare_copy(beside.spare) else { return first.await };
    service.count(|count| count.hedges.add(1));
    let mut second = pin!(run_second(journey, seat, copy));
    let mut failed = None;
    let mut second_is_over = false;
    let (done, is_second) = std::future::poll_fn(|cx| {
        if failed.is_none()
            && let Poll::Ready(done) = first.as_mut().poll(cx)
        {
            if done.is_good() {
                return Poll::Ready((done, false));
            }
            failed = Some(done);
        }
        if !second_is_over && let Poll::Ready(done) = second.as_mut().poll(cx) {
            second_is_over = true;
            match done {
                Some(done) if done.is_good() => return Poll::Ready((done, true)),
                Some(mut done) => done.note(clock.now()),
                None => {}
            }
        }
        match second_is_over {
            true => failed.take().map_or(Poll::Pending, |failed| Poll::Ready((failed, false))),
            false => Poll::Pending,
        }
    })
    .await;
    if is_second {
        let now = clock.now();
        service.count(|count| count.hedges_won.add(1));
        match &mut failed {
            Some(failed) => failed.note(now),
            None => service.overtaken(&upstream, now.since(asked), now),
        }
    }
    done
}

/// A seat for the second request at another upstream, if there is one and the budget allows it.
fn second_seat(journey: &Journey<'_>, beside: &Beside<'_>, first: &Rc<Upstream>) -> Option<Seat> {
    let now = journey.core.clock.now();
    let tried: Vec<_> = beside.tried.iter().chain([first]).cloned().collect();
    let seat = journey.route.service.look_for_seat(beside.wish, now, &tried).ok()?;
    // A quicker answer once is no reason to move a client's session.
    journey.route.service.may_ask_again(now).then(|| seat.without_cookie())
}

async fn run_second(journey: &Journey<'_>, mut seat: Seat, request: Request<Upload>) -> Option<Done> {
    let link = journey.find_link(&mut seat, false).await?;
    Some(Errand::new(seat, link, journey).run(request, journey.pace).await)
}
