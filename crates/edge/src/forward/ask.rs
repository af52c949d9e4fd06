//! Asking upstreams until one answers, or none can be asked without risking that a request is served twice.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use prumo_clock::Moment;

use super::Journey;
use crate::body::{BodyCut, Meter, Upload};
use crate::client::Phase;
use crate::core::Core;
use crate::link::{Failure, Link};
use crate::record::Record;
use crate::respond::Refusal;
use crate::upstream::{NoSeat, Outcome, Seat, Upstream, Wish};

/// How long a connection to an upstream may take: they are on this machine or next to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a request waits for a service without upstreams: as long as a usual restart, shorter than clients' patience.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a request looks again at upstreams that refuse connections.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Requests that one core lets wait. They hold memory, and a service that is gone should fail fast under load.
const WAITING_MAX: usize = 512;

/// Connections tried for one request before giving up.
const ATTEMPTS_MAX: u32 = 64;

impl Journey<'_> {
    /// Asks upstreams until one answers, or none can be asked without risking that a request is served twice.
    pub(super) async fn ask(&self, mut request: Request<Upload>, record: &mut Record) -> Result<Asked, Refusal> {
        let mut attempts = Attempts::new(record.started());
        let wish = Wish::new(self.forward.balance);
        loop {
            let mut seat = self.find_seat(&wish, &mut attempts).await?;
            record.choose(&seat.upstream);
            let Some(mut link) = self.find_link(&mut seat, &mut attempts).await else { continue };
            let spare = if link.is_reused { spare_copy(&request) } else { None };
            let asked = self.core.clock.now();
            if !link.is_reused {
                record.connected(asked.since(link.idle_since));
            }
            self.start_clock(&request);
            let exchanged = link.exchange(request, self.pace).await;
            let now = self.core.clock.now();
            match exchanged {
                Ok(response) => {
                    seat.finished(Outcome::Answered(response.status()), now.since(asked), now);
                    record.answered(response.status(), asked, now);
                    return Ok(Asked { response, link, seat });
                }
                Err(Failure::NotSent(unsent)) => request = *unsent,
                Err(Failure::Expired) => {
                    let refusal = self.why_expired();
                    if refusal == Refusal::TIMEOUT {
                        seat.finished(Outcome::Expired, now.since(asked), now);
                    }
                    return Err(refusal);
                }
                Err(Failure::Died(error)) => match spare {
                    Some(spare) => {
                        attempts.wants_fresh = true;
                        request = spare;
                    }
                    None => {
                        let refusal = why_died(&error, record.meter());
                        if refusal == Refusal::UPSTREAM {
                            seat.finished(Outcome::Died, now.since(asked), now);
                        }
                        return Err(refusal);
                    }
                },
            }
            attempts.count(record)?;
        }
    }

    /// The limit that now counts: the client's for sending the body, or the upstream's for beginning its answer.
    fn start_clock(&self, request: &Request<Upload>) {
        if request.body().is_end_stream() {
            self.pace.await_answer(self.forward.timeout);
        } else {
            self.pace.enter(Phase::Upload);
        }
    }

    fn why_expired(&self) -> Refusal {
        if self.pace.phase() == Phase::Upload { Refusal::SLOW_CLIENT } else { Refusal::TIMEOUT }
    }

    /// A seat at an upstream; waits a little while the service has none.
    async fn find_seat(&self, wish: &Wish, attempts: &mut Attempts) -> Result<Seat, Refusal> {
        self.pace.enter(Phase::Upstream);
        let mut waiting = None;
        loop {
            let now = self.core.clock.now();
            match self.route.service.take_seat(wish, now, &attempts.tried) {
                Ok(seat) => return Ok(seat),
                Err(NoSeat::Nobody) => {}
            }
            // All were tried, or there are none. A wait that began under load stays bounded by the first.
            let left = (attempts.started + WAIT_MAX.min(self.forward.timeout)).since(now);
            if left.is_zero() || self.core.stopping.is_stopping() {
                return Err(Refusal::NO_UPSTREAM);
            }
            if waiting.is_none() {
                waiting = Some(Waiting::begin(self.core).ok_or(Refusal::NO_UPSTREAM)?);
            }
            let changed = self.core.view_changed.notified();
            let look_again = if attempts.tried.is_empty() { left } else { LOOK_AGAIN.min(left) };
            // Elapsed or changed: look again either way.
            let _ = self.core.clock.timeout(look_again, changed).await;
            attempts.tried.clear();
        }
    }

    /// A connection to the seat's upstream; `None` when it refuses and another is to be asked.
    async fn find_link(&self, seat: &mut Seat, attempts: &mut Attempts) -> Option<Box<Link>> {
        let upstream = Rc::clone(&seat.upstream);
        let now = self.core.clock.now();
        if !attempts.wants_fresh
            && let Some(link) = upstream.take_idle(now)
        {
            return Some(link);
        }
        let opening = Link::open(&upstream.address, &self.core.protocols.upstream, self.core.scratch.clone(), now);
        match self.core.clock.timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok(link)) => return Some(Box::new(link)),
            Ok(Err(error)) => tracing::debug!(replica = upstream.id, %error, "upstream refuses a connection"),
            Err(_) => tracing::debug!(replica = upstream.id, "upstream does not accept a connection in time"),
        }
        let refused = self.core.clock.now();
        seat.finished(Outcome::Refused, refused.since(now), refused);
        attempts.tried.push(upstream);
        None
    }
}

/// An answer's head, with what its body needs.
pub(super) struct Asked {
    pub(super) response: Response<Incoming>,
    pub(super) link: Box<Link>,
    pub(super) seat: Seat,
}

/// What has been tried for one request.
struct Attempts {
    started: Moment,
    tried: Vec<Rc<Upstream>>,
    wants_fresh: bool,
    count: u32,
}

impl Attempts {
    fn new(started: Moment) -> Attempts {
        Attempts { started, tried: Vec::new(), wants_fresh: false, count: 0 }
    }

    fn count(&mut self, record: &mut Record) -> Result<(), Refusal> {
        self.count += 1;
        record.retry();
        if self.count < ATTEMPTS_MAX { Ok(()) } else { Err(Refusal::UPSTREAM) }
    }
}

/// A request that waits for an upstream, counted so that not all of them can.
struct Waiting<'a>(&'a Core);

impl Waiting<'_> {
    fn begin(core: &Core) -> Option<Waiting<'_>> {
        if core.waiting.get() >= WAITING_MAX {
            return None;
        }
        core.waiting.set(core.waiting.get() + 1);
        Some(Waiting(core))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// A second copy of a request that may be asked twice without harm: should the upstream have closed the reused
/// connection in the same instant, the request is asked again on a fresh one.
fn spare_copy(request: &Request<Upload>) -> Option<Request<Upload>> {
    let is_idempotent =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !is_idempotent || !request.body().is_end_stream() {
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
        Some(BodyCut::Client) => Refusal::CLIENT_GONE,
        _ => {
            tracing::debug!(%error, "upstream gives no answer");
            Refusal::UPSTREAM
        }
    }
}
