//! A request on its way to an upstream and its answer on the way back.
//!
//! [`answer`] reads as the flow: route, admit, balance, forward, respond; the record writes itself.

use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use prumo_clock::Moment;

use crate::admit;
use crate::body::{Body, BodyCut, Meter, Passage, Upload};
use crate::client::{Client, Pace, Phase};
use crate::core::Core;
use crate::forwarded;
use crate::host;
use crate::link::{Failure, Link};
use crate::record::{Head, Record};
use crate::respond::{self, Refusal};
use crate::table::RouteView;
use crate::tunnel::Tunnel;
use crate::upstream::{Seat, Upstream};

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

/// Answers one request.
pub(crate) async fn answer(
    core: Rc<Core>,
    client: Rc<Client>,
    pace: Rc<Pace>,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut record = Record::begin(&core);
    pace.enter(Phase::Upstream);
    let (parts, incoming) = request.into_parts();
    let id = forwarded::choose_request_id(&parts.headers, client.facts.trusted, || fresh_id(&core));
    let has_body = !incoming.is_end_stream();
    let is_h1 = parts.version != Version::HTTP_2;
    let accept = parts.headers.get(header::ACCEPT).cloned();
    let found = find_route(&core, &client, &parts);
    record.describe(&Head::of(&parts, found.as_ref().ok()), &client, &id);
    let passed = match found {
        Ok((authority, route)) => {
            record.route = Some(Rc::clone(&route));
            let journey = Journey { core: &core, client: &client, pace: &pace, route: &route, id: &id };
            journey.pass(parts, incoming, &authority, record).await
        }
        Err(refusal) => Err((refusal, record)),
    };
    match passed {
        Ok(mut response) => {
            response.headers_mut().insert(forwarded::REQUEST_ID, id);
            response
        }
        Err((refusal, mut record)) => {
            record.refuse(refusal.status, refusal.reason);
            pace.enter(Phase::Waiting);
            // The rest of a body must never be taken for the next head.
            let is_unread = record.meter.as_ref().map_or(has_body, |meter| !meter.has_ended.get());
            respond::refuse(refusal, accept.as_ref(), &id, is_h1 && (is_unread || refusal.closes()))
        }
    }
}

type Found = (HeaderValue, Rc<RouteView>);

fn find_route(core: &Core, client: &Client, parts: &Parts) -> Result<Found, Refusal> {
    if parts.version != Version::HTTP_2 && !client.take_head_is_safe() {
        return Err(Refusal::FRAMING);
    }
    admit::check_method(&parts.method)?;
    let authority = admit::find_authority(parts)?;
    let host = host::normalise(authority.to_str().map_err(|_| Refusal::HOST)?).map_err(|_| Refusal::HOST)?;
    let route = core.view.find(&host, parts.uri.path()).ok_or(Refusal::NO_ROUTE)?;
    admit::check_declared_length(&parts.headers, route.route.body_max)?;
    Ok((authority, route))
}

fn fresh_id(core: &Core) -> HeaderValue {
    HeaderValue::from_bytes(&core.request_id()).expect("hexadecimal digits are a header value")
}

/// One request's way through the edge.
struct Journey<'a> {
    core: &'a Rc<Core>,
    client: &'a Client,
    pace: &'a Rc<Pace>,
    route: &'a Rc<RouteView>,
    id: &'a HeaderValue,
}

type Passed = Result<Response<Body>, (Refusal, Record)>;

impl Journey<'_> {
    async fn pass(&self, mut parts: Parts, incoming: Incoming, authority: &HeaderValue, mut record: Record) -> Passed {
        let upgrade = self.rewrite(&mut parts, authority);
        let upload = self.upload(incoming, &mut record);
        let request = Request::from_parts(parts, upload);
        match self.ask(request, &mut record).await {
            Ok(Asked { response, link, seat }) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if upgrade {
                    Ok(self.switch(response, link, seat, record))
                } else {
                    Err((Refusal::UPSTREAM, record))
                }
            }
            Ok(Asked { mut response, link, seat }) => {
                admit::clean_answer(response.headers_mut());
                Ok(Passage::wrap(response, link, seat, record, Rc::clone(self.pace)))
            }
            Err(refusal) => Err((refusal, record)),
        }
    }

    /// Makes the client's head the upstream's. True when it asks for an upgrade.
    fn rewrite(&self, parts: &mut Parts, authority: &HeaderValue) -> bool {
        let upgrade = admit::take_hop_by_hop(&mut parts.headers, parts.version);
        // After that, because a client may name any header in `Connection`.
        forwarded::write(&mut parts.headers, &self.client.facts, authority);
        parts.headers.insert(forwarded::REQUEST_ID, self.id.clone());
        if parts.version == Version::HTTP_2 {
            admit::join_cookies(&mut parts.headers);
        }
        if parts.uri.authority().is_some() {
            parts.headers.insert(header::HOST, authority.clone());
            parts.uri = origin_form(&parts.uri);
        }
        parts.version = Version::HTTP_11;
        let Some(upgrade) = upgrade else { return false };
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, upgrade);
        true
    }

    fn upload(&self, incoming: Incoming, record: &mut Record) -> Upload {
        if incoming.is_end_stream() {
            return Upload::Empty;
        }
        let route = &self.route.route;
        let meter = Rc::new(Meter::new(route.body_max, Rc::clone(self.pace), route.timeout));
        record.meter = Some(Rc::clone(&meter));
        Upload::Stream { incoming, meter }
    }

    /// Asks upstreams until one answers, or none can be asked without risking that a request is served twice.
    async fn ask(&self, mut request: Request<Upload>, record: &mut Record) -> Result<Asked, Refusal> {
        let mut attempts = Attempts::new(record.started());
        loop {
            let seat = self.find_seat(&mut attempts).await?;
            record.replica = Some(Rc::clone(&seat.upstream));
            let Some(mut link) = self.find_link(&seat, &mut attempts).await? else { continue };
            let spare = if link.is_reused { spare_copy(&request) } else { None };
            let asked = self.core.clock.now();
            self.start_clock(&request);
            match link.exchange(request, self.pace).await {
                Ok(response) => return Ok(self.answered(response, link, seat, asked, record)),
                Err(Failure::NotSent(unsent)) => request = *unsent,
                Err(Failure::Expired) => return Err(self.why_expired()),
                Err(Failure::Died(error)) => match spare {
                    Some(spare) => {
                        attempts.wants_fresh = true;
                        request = spare;
                    }
                    None => return Err(why_died(&error, record.meter.as_deref())),
                },
            }
            attempts.count(record)?;
        }
    }

    fn answered(
        &self,
        response: Response<Incoming>,
        link: Box<Link>,
        mut seat: Seat,
        asked: Moment,
        record: &mut Record,
    ) -> Asked {
        let now = self.core.clock.now();
        record.answered(response.status(), asked, now);
        seat.stamp(now);
        Asked { response, link, seat }
    }

    /// The limit that now counts: the client's for sending the body, or the upstream's for beginning its answer.
    fn start_clock(&self, request: &Request<Upload>) {
        if request.body().is_end_stream() {
            self.pace.await_answer(self.route.route.timeout);
        } else {
            self.pace.enter(Phase::Upload);
        }
    }

    fn why_expired(&self) -> Refusal {
        if self.pace.phase() == Phase::Upload { Refusal::SLOW_CLIENT } else { Refusal::TIMEOUT }
    }

    /// A seat at an upstream; waits a little while the service has none.
    async fn find_seat(&self, attempts: &mut Attempts) -> Result<Seat, Refusal> {
        self.pace.enter(Phase::Upstream);
        let route = &self.route.route;
        let mut waiting = None;
        loop {
            let now = self.core.clock.now();
            if let Some(seat) = self.route.service.take_seat(route.balance, now, &attempts.tried) {
                return Ok(seat);
            }
            // All were tried, or there are none. A wait that began under load stays bounded by the first.
            let left = (attempts.started + WAIT_MAX.min(route.timeout)).since(now);
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
    async fn find_link(&self, seat: &Seat, attempts: &mut Attempts) -> Result<Option<Box<Link>>, Refusal> {
        let upstream = &seat.upstream;
        let now = self.core.clock.now();
        if !attempts.wants_fresh
            && let Some(link) = upstream.take_idle(now)
        {
            return Ok(Some(link));
        }
        let opening = Link::open(&upstream.address, &self.core.protocols.upstream, self.core.scratch.clone(), now);
        match self.core.clock.timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok(link)) => Ok(Some(Box::new(link))),
            Ok(Err(error)) => {
                tracing::debug!(replica = upstream.id, %error, "upstream refuses a connection");
                self.avoid(upstream, attempts)
            }
            Err(_) => {
                tracing::debug!(replica = upstream.id, "upstream does not accept a connection in time");
                self.avoid(upstream, attempts)
            }
        }
    }

    fn avoid(&self, upstream: &Rc<Upstream>, attempts: &mut Attempts) -> Result<Option<Box<Link>>, Refusal> {
        upstream.avoid(self.core.clock.now());
        attempts.tried.push(Rc::clone(upstream));
        Ok(None)
    }

    /// Passes the 101 on; the rest happens when hyper has let go of the client's socket.
    fn switch(&self, response: Response<Incoming>, link: Box<Link>, seat: Seat, mut record: Record) -> Response<Body> {
        record.becomes_tunnel();
        self.pace.enter(Phase::Download);
        *self.client.tunnel.borrow_mut() = Some(Tunnel { link, seat: seat.into_tunnel(), record });
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(header::SERVER);
        parts.headers.remove("x-powered-by");
        Response::from_parts(parts, Body::Empty)
    }
}

/// An answer's head, with what its body needs.
struct Asked {
    response: Response<Incoming>,
    link: Box<Link>,
    seat: Seat,
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
        record.retries += 1;
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

/// `/path?query` of an absolute URI, byte for byte.
fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    }
}

impl<'a> Head<'a> {
    fn of(parts: &'a Parts, found: Option<&'a Found>) -> Head<'a> {
        let written = parts.headers.get(header::HOST);
        let headers: &HeaderMap = &parts.headers;
        let authority = found.map(|(authority, _)| authority).or(written);
        Head { method: &parts.method, uri: &parts.uri, version: parts.version, headers, authority }
    }
}
