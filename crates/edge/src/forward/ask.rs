//! Asking upstreams until one answers, or none can be asked without risking that a request is served twice.
//!
//! What was not sent, because no connection could be made, is always asked of another: that costs nobody anything. What
//! may have been served is asked again only when the request may be repeated, the route says so, and the service's
//! budget allows it.

mod hedge;

use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use prumo_clock::Moment;

use super::Journey;
use crate::body::{BodyCut, Meter, Upload};
use crate::client::{Again, HeldAnswer, Pace, Phase};
use crate::link::{Failure, Link, NoLink};
use crate::record::Record;
use crate::respond::Refusal;
use crate::upstream::{NoSeat, Outcome, Seat, Upstream, Wish};

/// How long a request waits for a service without upstreams: as long as a usual restart, shorter than clients' patience.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a request looks again at upstreams that refuse connections.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Connections tried for one request before giving up.
const ATTEMPTS_MAX: u32 = 64;

/// Declines of one request that cost nothing of the budget: a burst at a new connection meets one before the upstream has
/// said how many streams it takes, and perhaps another before all have heard.
const FREE_DECLINES: u32 = 3;

/// What is to be done next with a request.
enum Next {
    Answer(Asked),
    Again(Request<Upload>),
}

impl Journey<'_> {
    /// Asks until there is an answer to pass on.
    pub(super) async fn ask(&self, mut request: Request<Upload>, record: &mut Record) -> Result<Asked, Refusal> {
        let wish = self.wish(&request);
        let mut attempts = Attempts::default();
        if let Some(mut again) = self.pace.take_again() {
            attempts.held = match again.held.take() {
                Some(held) => self.take_up(*held, &request).await,
                None => None,
            };
            attempts.go_on(again);
            attempts.count(record)?;
        }
        loop {
            let Some(mut seat) = self.next_seat(&wish, &mut attempts).await? else {
                return attempts.held.take().map(|held| held.pass_on(record)).ok_or(Refusal::NO_UPSTREAM);
            };
            record.choose(&seat.upstream);
            let Some(link) = self.find_link(&mut seat, attempts.wants_fresh).await else {
                if let Some(held) = attempts.held.take() {
                    return Ok(held.pass_on(record));
                }
                attempts.tried.push(Rc::clone(&seat.upstream));
                continue;
            };
            if !link.is_reused {
                record.connected(self.core.clock.now().since(link.idle_since));
            }
            match self.run_and_judge(request, Errand::new(seat, link, self), &wish, &mut attempts, record).await? {
                Next::Answer(asked) => return Ok(asked.pass_on(record)),
                Next::Again(again) => request = again,
            }
            attempts.count(record)?;
        }
    }

    /// An answer that has begun on the fast path, as this path knows answers.
    async fn take_up(&self, held: HeldAnswer, request: &Request<Upload>) -> Option<Asked> {
        let HeldAnswer { seat, stream, read, asked } = held;
        let mut link = Box::new(Link::begun(self.core, stream, read).await.ok()?);
        // All that counts is how its answer is to be read.
        let mut asked_before = Request::new(Upload::Empty);
        asked_before.method_mut().clone_from(request.method());
        // Its head is whole, so nothing is waited for; but nobody waits without a limit.
        self.pace.await_answer(self.forward.timeout);
        let response = link.exchange(asked_before, self.pace).await.ok()?;
        Some(Asked { response, link, seat, asked, now: self.core.clock.now() })
    }

    /// Where to ask next. Who holds an answer already does not wait for another place: then there is none.
    async fn next_seat(&self, wish: &Wish<'_>, attempts: &mut Attempts) -> Result<Option<Seat>, Refusal> {
        // The limit of the attempt before does not count for the next one's connection.
        self.pace.enter(Phase::Upstream);
        if let Some(seat) = attempts.seat.take() {
            return Ok(Some(seat));
        }
        if attempts.held.is_some() {
            return Ok(self.route.service.look_for_seat(wish, self.core.clock.now(), &attempts.tried).ok());
        }
        self.find_seat(wish, attempts).await.map(Some)
    }

    fn wish(&self, request: &Request<Upload>) -> Wish<'_> {
        let client = self.client.facts.address.as_bytes();
        Wish::of(&self.forward.balance, request.headers(), request.uri().path(), client)
    }

    /// Asks one upstream, or with a hedge two, and says what follows from how that went.
    async fn run_and_judge(
        &self,
        request: Request<Upload>,
        errand: Errand,
        wish: &Wish<'_>,
        attempts: &mut Attempts,
        record: &Record,
    ) -> Result<Next, Refusal> {
        let is_reused = errand.link.is_reused;
        let hedge = hedge::delay(self, &request);
        let may_repeat = is_reused || hedge.is_some() || attempts.retries < self.forward.retry.times;
        let spare = if may_repeat { spare_copy(&request) } else { None };
        // On a shared connection also what may not be repeated may come back unread.
        let unread = if errand.link.is_shared() && spare.is_none() { copy(&request) } else { None };
        self.start_clock(&request, &errand.link);
        let Done { result, mut errand } = match (hedge, &spare) {
            (Some(delay), Some(spare)) => {
                Box::pin(hedge::race(
                    self,
                    errand,
                    request,
                    hedge::Beside { spare, delay, wish, tried: &attempts.tried },
                ))
                .await
            }
            _ => errand.run(request, self.pace).await,
        };
        let now = self.core.clock.now();
        let latency = now.since(errand.asked);
        match result {
            Ok(response) => {
                errand.seat.finished(Outcome::Answered(response.status()), latency, now);
                if self.forward.hedge.is_some() {
                    errand.seat.remember(latency);
                }
                let asked = Asked { response, link: errand.link, seat: errand.seat, asked: errand.asked, now };
                Ok(self.judge_answer(asked, spare, wish, attempts))
            }
            Err(Failure::NotSent(unsent)) => Ok(Next::Again(*unsent)),
            Err(Failure::Declined(error)) => {
                tracing::debug!(replica = errand.seat.upstream.id(), %error, "upstream declines a request");
                // That costs an upstream little, but not nothing, and what declines all is not asked on.
                attempts.declines += 1;
                let is_free = attempts.declines <= FREE_DECLINES;
                match spare.or(unread).filter(|_| is_free || self.route.service.may_ask_again(now)) {
                    Some(request) => {
                        attempts.tried.push(Rc::clone(&errand.seat.upstream));
                        Ok(Next::Again(request))
                    }
                    None => attempts.held_or(why_died(&error, record.meter())),
                }
            }
            Err(Failure::Expired) => {
                let refusal = self.why_expired();
                if refusal == Refusal::TIMEOUT {
                    errand.seat.finished(Outcome::Expired, latency, now);
                }
                attempts.held_or(refusal)
            }
            // Its upstream may have closed a kept connection in the same instant.
            Err(Failure::Died(_)) if is_reused && !attempts.wants_fresh && spare.is_some() => {
                attempts.wants_fresh = true;
                spare.map(Next::Again).ok_or(Refusal::UPSTREAM)
            }
            Err(Failure::Died(error)) => {
                let refusal = why_died(&error, record.meter());
                if refusal == Refusal::UPSTREAM {
                    errand.seat.finished(Outcome::Died, latency, now);
                }
                self.judge_death(refusal, &errand.seat.upstream, spare, attempts)
            }
        }
    }

    /// An answer is passed on, unless its status is one for which the route asks another upstream.
    fn judge_answer(
        &self,
        asked: Asked,
        spare: Option<Request<Upload>>,
        wish: &Wish<'_>,
        attempts: &mut Attempts,
    ) -> Next {
        let (retry, service) = (&self.forward.retry, &self.route.service);
        let is_wanted = retry.on_status.contains(&asked.response.status().as_u16()) && attempts.retries < retry.times;
        let Some(spare) = spare.filter(|_| is_wanted) else { return Next::Answer(asked) };
        attempts.tried.push(Rc::clone(&asked.seat.upstream));
        match service.look_for_seat(wish, asked.now, &attempts.tried) {
            Ok(seat) if service.may_ask_again(asked.now) => {
                attempts.retries += 1;
                attempts.seat = Some(seat);
                // Passed on when the other one has none at all.
                attempts.held = Some(asked);
                Next::Again(spare)
            }
            Ok(_) | Err(_) => Next::Answer(asked),
        }
    }

    /// A request whose connection ended is asked again, if the route and the budget say so.
    fn judge_death(
        &self,
        refusal: Refusal,
        upstream: &Rc<Upstream>,
        spare: Option<Request<Upload>>,
        attempts: &mut Attempts,
    ) -> Result<Next, Refusal> {
        let retry = &self.forward.retry;
        match spare.filter(|_| attempts.held.is_none()) {
            Some(spare)
                if retry.on_reset
                    && attempts.retries < retry.times
                    && self.route.service.may_ask_again(self.core.clock.now()) =>
            {
                attempts.retries += 1;
                attempts.tried.push(Rc::clone(upstream));
                Ok(Next::Again(spare))
            }
            _ => attempts.held_or(refusal),
        }
    }

    /// The limit that now counts: the client's for sending the body, or the upstream's for beginning its answer.
    fn start_clock(&self, request: &Request<Upload>, link: &Link) {
        if request.body().is_end_stream() {
            self.pace.await_answer(self.forward.timeout);
        } else if self.pace.holds_body() && !link.is_shared() {
            self.pace.await_continue();
        } else {
            self.pace.release_body();
        }
    }

    fn why_expired(&self) -> Refusal {
        let is_the_clients = self.pace.phase() == Phase::Upload && self.pace.deadline.is_for_body();
        if is_the_clients { Refusal::SLOW_CLIENT } else { Refusal::TIMEOUT }
    }

    /// A seat at an upstream; waits a little while the service has none.
    async fn find_seat(&self, wish: &Wish<'_>, attempts: &mut Attempts) -> Result<Seat, Refusal> {
        let service = &self.route.service;
        let mut waiting = None;
        loop {
            let now = self.core.clock.now();
            match service.take_seat(wish, now, &attempts.tried) {
                Ok(seat) => return Ok(seat),
                Err(NoSeat::Full) => return Err(Refusal::FULL),
                Err(NoSeat::Nobody) => {}
            }
            // All were tried, or there are none. However often a request begins to wait, its first wait bounds them all.
            let since = *attempts.waits_since.get_or_insert(now);
            let left = (since + WAIT_MAX.min(self.forward.timeout)).since(now);
            if left.is_zero() || self.core.stopping.is_stopping() {
                return Err(Refusal::NO_UPSTREAM);
            }
            if waiting.is_none() {
                waiting = Some(service.wait().ok_or(Refusal::FULL)?);
            }
            let changed = self.core.view_changed.notified();
            let look_again = if attempts.tried.is_empty() { left } else { LOOK_AGAIN.min(left) };
            // Elapsed or changed: look again either way.
            let _ = self.core.clock.timeout(look_again, changed).await;
            attempts.tried.clear();
        }
    }

    /// A connection to the seat's upstream; `None` when it refuses and another is to be asked.
    async fn find_link(&self, seat: &mut Seat, wants_fresh: bool) -> Option<Box<Link>> {
        let upstream = Rc::clone(&seat.upstream);
        let now = self.core.clock.now();
        if !wants_fresh && let Some(link) = upstream.take_idle(now) {
            return Some(link);
        }
        match upstream.open(self.core).await {
            Ok(mut link) => {
                link.idle_since = now;
                return Some(Box::new(link));
            }
            Err(NoLink::Refused(error)) => {
                tracing::debug!(replica = upstream.id(), %error, "upstream refuses a connection");
            }
            Err(NoLink::NoPlace) => {
                tracing::debug!(replica = upstream.id(), "all places at the upstream are taken");
                return None;
            }
            Err(NoLink::Shortage(error)) => {
                tracing::debug!(replica = upstream.id(), %error, "no connection can be made to an upstream");
                return None;
            }
        }
        let refused = self.core.clock.now();
        seat.finished(Outcome::Refused, refused.since(now), refused);
        None
    }
}

/// A seat and a connection, ready to carry a request.
struct Errand {
    seat: Seat,
    link: Box<Link>,
    asked: Moment,
}

/// How an errand ended.
struct Done {
    result: Result<Response<Incoming>, Failure>,
    errand: Errand,
}

impl Errand {
    fn new(seat: Seat, link: Box<Link>, journey: &Journey<'_>) -> Errand {
        Errand { seat, link, asked: journey.core.clock.now() }
    }

    async fn run(mut self, mut request: Request<Upload>, pace: &Pace) -> Done {
        if let Some(host) = &self.seat.upstream.settings.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        // On a shared connection hyper tells nothing of what comes before an answer.
        if !self.link.is_shared() {
            if let Some(interims) = pace.interims() {
                hyper::ext::on_informational(&mut request, move |said| interims.note(said.status(), said.headers()));
            }
            if pace.holds_body() {
                request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
            }
        }
        let result = self.link.exchange(request, pace).await;
        Done { result, errand: self }
    }
}

impl Done {
    /// Remembers how it went at its upstream, when nobody else judges it. What the upstream never looked at says nothing.
    fn note(&mut self, now: Moment) {
        let outcome = match &self.result {
            Ok(response) => Outcome::Answered(response.status()),
            Err(Failure::Died(_)) if !self.errand.link.is_reused => Outcome::Died,
            Err(Failure::Expired) => Outcome::Expired,
            Err(Failure::Died(_) | Failure::Declined(_) | Failure::NotSent(_)) => return,
        };
        self.errand.seat.finished(outcome, now.since(self.errand.asked), now);
    }

    /// An answer that is no server error.
    fn is_good(&self) -> bool {
        self.result.as_ref().is_ok_and(|response| !response.status().is_server_error())
    }
}

/// An answer's head, with what its body needs.
pub(super) struct Asked {
    pub(super) response: Response<Incoming>,
    pub(super) link: Box<Link>,
    pub(super) seat: Seat,
    asked: Moment,
    now: Moment,
}

impl Asked {
    fn pass_on(self, record: &mut Record) -> Asked {
        record.choose(&self.seat.upstream);
        record.answered(self.response.status(), self.asked, self.now);
        self
    }
}

/// What has been tried for one request.
#[derive(Default)]
struct Attempts {
    /// When there was nobody to ask for the first time.
    waits_since: Option<Moment>,
    tried: Vec<Rc<Upstream>>,
    wants_fresh: bool,
    count: u32,
    /// Those after which something may have been served twice.
    retries: u32,
    /// How often an upstream has said that it did not look at the request.
    declines: u32,
    /// Already taken for the next attempt.
    seat: Option<Seat>,
    /// An answer that another upstream may better.
    held: Option<Asked>,
}

impl Attempts {
    /// When nobody has a better answer than the one that is held, that one is passed on.
    fn held_or(&mut self, refusal: Refusal) -> Result<Next, Refusal> {
        self.held.take().map(Next::Answer).ok_or(refusal)
    }

    /// What the fast path tried is tried.
    fn go_on(&mut self, again: Again) {
        self.wants_fresh = again.wants_fresh;
        if !again.wants_fresh {
            self.retries = 1;
        }
        self.tried.extend(again.tried);
    }

    fn count(&mut self, record: &mut Record) -> Result<(), Refusal> {
        self.count += 1;
        record.retry();
        if self.count < ATTEMPTS_MAX { Ok(()) } else { Err(Refusal::UPSTREAM) }
    }
}

/// A second copy of a request that may be asked twice without harm.
fn spare_copy(request: &Request<Upload>) -> Option<Request<Upload>> {
    let is_idempotent =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if is_idempotent { copy(request) } else { None }
}

/// A copy, of a request without a body: what streams is there only once.
fn copy(request: &Request<Upload>) -> Option<Request<Upload>> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut spare = Request::new(Upload::Empty);
    spare.method_mut().clone_from(request.method());
    spare.uri_mut().clone_from(request.uri());
    spare.headers_mut().clone_from(request.headers());
    Some(spare)
}

fn why_died(error: &hyper::Error, meter: Option<&Meter>) -> Refusal {
    match meter.and_then(|meter| meter.cut.get()) {
        Some(BodyCut::TooLarge) => Refusal::BODY_TOO_LARGE,
        Some(BodyCut::Framing) => Refusal::FRAMING,
        Some(BodyCut::Client) => Refusal::CLIENT_GONE,
        _ => {
            tracing::debug!(%error, "upstream gives no answer");
            Refusal::UPSTREAM
        }
    }
}
