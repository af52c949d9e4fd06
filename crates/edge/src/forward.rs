//! A request on its way to an upstream and its answer on the way back.
//!
//! [`answer`] reads as the flow: route, admit, balance, forward, respond; the record writes itself. Which upstream is
//! asked, and whether another one is asked again, is in `forward/ask.rs`.

mod ask;
mod hold;
mod mirror;
mod own;

use std::rc::Rc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use self::ask::Asked;
use self::mirror::Copy;
pub(crate) use self::mirror::{Carbon, Copies};
use crate::admit;
use crate::body::{Body, ClientBody, Meter, Passage, Upload};
use crate::client::{Client, Pace, Phase};
use crate::core::Core;
use crate::files::Ask;
use crate::forwarded;
use crate::head;
use crate::host;
use crate::record::{Head, Record};
use crate::respond::{self, Asker, Reason, Refusal};
use crate::route::{Question, Rewriting};
use crate::secure::Terms;
use crate::settings::{Action, Balance, Forward};
use crate::table::RouteView;
use crate::trace::Trace;
use crate::tunnel::{self, Tunnel};
use crate::web_socket::{self, Handover};

/// Answers one request.
pub(crate) async fn answer(
    core: Rc<Core>,
    client: Rc<Client>,
    pace: Rc<Pace>,
    request: Request<ClientBody>,
    handover: Option<Handover>,
) -> Response<Body> {
    let mut record = Record::begin(&core, core.clock.now());
    pace.enter(Phase::Upstream);
    let (mut parts, incoming) = request.into_parts();
    let id = forwarded::choose_request_id(&parts.headers, client.facts.trusted, || fresh_id(&core));
    let trace = core.trace(&parts.headers, client.facts.trusted);
    let has_body = !incoming.is_end_stream();
    let is_h1 = parts.version != Version::HTTP_2;
    pace.begin(parts.version >= Version::HTTP_11);
    let waits = has_body && parts.version >= Version::HTTP_11 && !client.has_begun_body();
    if waits && admit::expects_continue(&parts.headers) {
        pace.hold_body();
    }
    let is_head = parts.method == Method::HEAD;
    let accept = parts.headers.get(header::ACCEPT).cloned();
    let mut terms = Terms::default();
    let found = find_route(&core, &client, &parts, &mut terms);
    record.describe(
        &Head::of(&parts, found.as_ref().ok().map(|(authority, _)| authority)),
        &client,
        id.as_bytes(),
        trace.as_ref(),
    );
    let found = match found {
        Ok(found) => hold::hold(&core, &client, &parts, found, record.started()).await.map_err(|(refusal, route)| {
            record.route(&route);
            refusal
        }),
        Err(refusal) => Err(refusal),
    };
    let passed = match found {
        Ok((authority, route)) => {
            record.route(&route);
            match &route.route.action {
                Action::Forward(forward) => match own::readdress(&route, &mut parts) {
                    Err(refusal) => Err((refusal, record)),
                    Ok(()) => {
                        let (core, client, pace, route, id, trace) =
                            (&core, &client, &pace, &route, &id, trace.as_ref());
                        let terms = &terms;
                        let journey = Journey { core, client, pace, route, terms, forward, id, trace };
                        journey.pass(parts, incoming, handover, &authority, record).await
                    }
                },
                Action::Redirect(_) | Action::Answer(_) => {
                    let answer = own::answer(&route, &authority, &parts, &terms);
                    own::finish(answer, record, &pace, is_h1 && has_body)
                }
                Action::Files(_) => match Ask::new(&core, &terms, &pace, &route, &parts) {
                    Some(ask) => ask.answer(record, is_h1 && has_body).await,
                    None => Err((Refusal::NO_FILE, record)),
                },
            }
        }
        Err(refusal) => Err((refusal, record)),
    };
    // What the fast path tried, it tried for this request; one that was refused before it was asked has not heard of it.
    drop(pace.take_again());
    match passed {
        Ok(mut response) => {
            response.headers_mut().insert(forwarded::REQUEST_ID, id);
            response
        }
        Err((refusal, mut record)) => {
            record.refuse(refusal.status, refusal.reason);
            pace.enter(Phase::Waiting);
            // The rest of a body must never be taken for the next head.
            let is_unread = record.meter().map_or(has_body, |meter| !meter.has_ended.get());
            let close = is_h1 && (is_unread || refusal.closes());
            if is_unread {
                pace.leave_unread();
            }
            let asker = Asker { accept: accept.as_ref(), id: Some(&id), is_head, tls: terms.tls_only, close };
            let mut response = refuse(refusal, &asker, &core, record.its_route());
            if let Some(location) = terms.location {
                response.headers_mut().insert(header::LOCATION, location);
            }
            record.send(response.body().size_hint().lower());
            response
        }
    }
}

/// A refusal, with the route's own page where it has one for this.
pub(crate) fn refuse(
    refusal: Refusal,
    asker: &Asker<'_>,
    core: &Core,
    route: Option<&Rc<RouteView>>,
) -> Response<Body> {
    let answer = route.map_or(&core.answer, |route| &route.answer);
    let maintenance = route.and_then(|route| route.route.maintenance.as_ref());
    match maintenance.and_then(|maintenance| maintenance.page.as_deref()) {
        Some(page) if refusal.reason == Reason::Maintenance => respond::refuse_with_page(refusal, asker, answer, page),
        _ => respond::refuse(refusal, asker, answer),
    }
}

type Found = (HeaderValue, Rc<RouteView>);

fn find_route(core: &Core, client: &Client, parts: &Parts, terms: &mut Terms) -> Result<Found, Refusal> {
    if parts.version != Version::HTTP_2 && client.has_unsafe_head() {
        return Err(Refusal::FRAMING);
    }
    if parts.version == Version::HTTP_2 {
        admit::check_headers(parts, core.settings().headers_max)?;
    }
    admit::check_method(&parts.method)?;
    admit::check_target(&parts.uri)?;
    let authority = admit::find_authority(parts)?;
    let host = host::normalise(authority.to_str().map_err(|_| Refusal::HOST)?).map_err(|_| Refusal::HOST)?;
    core.view.secure().settle(terms, client, parts, &authority, &host)?;
    let route = find_admitting(core, client, parts, &host)?;
    Ok((authority, route))
}

/// The same for a request that was let in before, in another table.
fn find_again(core: &Core, client: &Client, parts: &Parts, authority: &HeaderValue) -> Result<Rc<RouteView>, Refusal> {
    let host = host::normalise(authority.to_str().map_err(|_| Refusal::HOST)?).map_err(|_| Refusal::HOST)?;
    find_admitting(core, client, parts, &host)
}

fn find_admitting(core: &Core, client: &Client, parts: &Parts, host: &str) -> Result<Rc<RouteView>, Refusal> {
    let route = core.view.find(&Question::of(host, parts))?;
    if !route.route.access.is_empty() {
        let address = admit::client_address(client.ip, &parts.headers, &core.settings().trusted_proxies);
        admit::check_address(&route.route.access, address)?;
    }
    admit::check_declared_length(&parts.headers, route.route.body_max)?;
    Ok(route)
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
    forward: &'a Forward,
    terms: &'a Terms,
    id: &'a HeaderValue,
    trace: Option<&'a Trace>,
}

type Passed = Result<Response<Body>, (Refusal, Record)>;

impl Journey<'_> {
    async fn pass(
        &self,
        mut parts: Parts,
        incoming: ClientBody,
        handover: Option<Handover>,
        authority: &HeaderValue,
        mut record: Record,
    ) -> Passed {
        let upgrade = self.rewrite(&mut parts, handover.is_some(), authority);
        let copy = if upgrade || handover.is_some() { None } else { self.copy(&parts) };
        let upload = self.upload(incoming, copy, &mut record);
        let cookie = self.cookie(&parts.headers);
        let request = Request::from_parts(parts, upload);
        match self.ask(request, &mut record).await {
            Ok(Asked { response, link, seat, .. }) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if upgrade {
                    let cookie = cookie.and_then(|(name, secure)| seat.set_cookie(name, secure));
                    let kind = response.headers().get(header::UPGRADE);
                    let is_web_socket = kind.is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(b"websocket"));
                    let tunnel = Tunnel { link, seat: seat.into_tunnel(), record, is_web_socket };
                    Ok(self.switch(response, handover, cookie, tunnel))
                } else {
                    Err((Refusal::UPSTREAM, record))
                }
            }
            // To a CONNECT, a success would say that there is a tunnel.
            Ok(Asked { response, .. }) if handover.is_some() && response.status().is_success() => {
                Err((Refusal::UPSTREAM, record))
            }
            Ok(Asked { mut response, link, seat, .. }) => {
                // Which HTTP/1 the app speaks is between it and us.
                *response.version_mut() = Version::HTTP_11;
                admit::clean_answer(response.headers_mut());
                self.route.answer.finish(response.headers_mut(), self.terms.tls_only);
                if self.pace.holds_body() {
                    // Its client may send its body all the same or not: nobody knows what would come next.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                if let Some(cookie) = cookie.and_then(|(name, secure)| seat.set_cookie(name, secure)) {
                    response.headers_mut().append(header::SET_COOKIE, cookie);
                }
                Ok(Passage::wrap(response, link, seat, record, Rc::clone(self.pace), self.forward.idle_timeout))
            }
            Err(refusal) => Err((refusal, record)),
        }
    }

    /// Makes the client's head the upstream's. True when it asks for an upgrade.
    fn rewrite(&self, parts: &mut Parts, is_socket: bool, authority: &HeaderValue) -> bool {
        let version = if is_socket { Version::HTTP_11 } else { parts.version };
        let upgrade = admit::take_hop_by_hop(&mut parts.headers, version);
        if is_socket {
            web_socket::add_key(&mut parts.headers, self.core);
        }
        // After that, because a client may name any header in `Connection`.
        forwarded::write(&mut parts.headers, &self.client.facts, authority);
        if let Some(prefix) = self.route.rewriting.as_ref().and_then(Rewriting::stripped) {
            forwarded::write_prefix(&mut parts.headers, prefix);
        }
        parts.headers.insert(forwarded::REQUEST_ID, self.id.clone());
        if let Some(trace) = self.trace {
            trace.write(&mut parts.headers);
        }
        self.terms.tell(&mut parts.headers);
        if parts.version == Version::HTTP_2 {
            admit::join_cookies(&mut parts.headers);
        }
        if parts.uri.authority().is_some() {
            parts.headers.insert(header::HOST, authority.clone());
            parts.uri = head::origin_form(&parts.uri);
        }
        parts.version = Version::HTTP_11;
        let Some(upgrade) = upgrade else { return false };
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, upgrade);
        true
    }

    /// The cookie that a sticky route sets, and whether it may only travel over TLS.
    fn cookie(&self, headers: &HeaderMap) -> Option<(&str, bool)> {
        let Balance::Sticky(name) = &self.forward.balance else { return None };
        Some((name, self.client.tls || forwarded::is_https(headers)))
    }

    fn upload(&self, incoming: ClientBody, copy: Option<Copy>, record: &mut Record) -> Upload {
        let carbon = Carbon::of(copy);
        if incoming.is_end_stream() {
            carbon.send();
            return Upload::Empty;
        }
        let route = &self.route.route;
        let meter = Rc::new(Meter::new(route.body_max, Rc::clone(self.pace), self.forward.timeout, carbon));
        record.measure(&meter);
        Upload::Stream { incoming, meter }
    }

    /// Passes the 101 on; the rest happens when hyper has let go of the client's socket, or has handed over its stream.
    fn switch(
        &self,
        response: Response<Incoming>,
        handover: Option<Handover>,
        cookie: Option<HeaderValue>,
        mut tunnel: Tunnel,
    ) -> Response<Body> {
        tunnel.record.become_tunnel();
        self.pace.enter(Phase::Download);
        let (mut parts, _) = response.into_parts();
        match handover {
            None => *self.client.tunnel.borrow_mut() = Some(tunnel),
            Some(handover) => {
                web_socket::write_answer(&mut parts);
                let core = Rc::clone(self.core);
                self.core.stage.spawn_local("http2 tunnel", async move {
                    match handover.stream().await {
                        Ok(stream) => tunnel::run(&core, stream, Bytes::new(), tunnel).await,
                        Err(error) => tracing::debug!(%error, "client gone before its tunnel began"),
                    }
                });
            }
        }
        self.route.answer.finish(&mut parts.headers, self.terms.tls_only);
        if let Some(cookie) = cookie {
            parts.headers.append(header::SET_COOKIE, cookie);
        }
        Response::from_parts(parts, Body::Empty)
    }
}
