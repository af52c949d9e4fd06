//! Whether a plain request may be asked of an upstream, of which, and over which connection: for both protocols that
//! clients speak.

use std::rc::Rc;

use http::{HeaderMap, Method, Version};
use prumo_probe::is_shortage;

use super::exchange::{Books, Exchange};
use super::link::BareLink;
use super::request::{self, Framing, Plain};
use crate::admit;
use crate::client::{Client, Pace, Phase};
use crate::core::Core;
use crate::host;
use crate::link::{CONNECT_TIMEOUT, connect};
use crate::record::{Head, Record};
use crate::route::Question;
use crate::secure::Way;
use crate::settings::Action;
use crate::table::RouteView;
use crate::upstream::{Outcome, Wish};

/// A plain request that has a seat at an upstream.
pub(super) struct Ask {
    /// Boxed, because it goes through many hands: moving it costs more than the allocation.
    pub(super) exchange: Box<Exchange>,
    /// An idle connection to the upstream; without one it is still to be made.
    pub(super) link: Option<BareLink>,
}

/// Where a plain request goes.
pub(super) enum Seated {
    Upstream(Ask),
    /// Nothing is begun: with the route of files, and whether its answer may tell browsers to come over TLS only.
    Files(Rc<RouteView>, bool),
}

/// Routes, admits, and takes a seat; `None` when any of these is not plain. The upstream's head is completed in `page`.
/// `headers` are the request's, where a route asks for them.
pub(super) fn seat(
    core: &Rc<Core>,
    client: &Client,
    plain: &Plain<'_>,
    version: Version,
    headers: &HeaderMap,
    page: &mut Vec<u8>,
) -> Option<Seated> {
    let host = host::normalise(plain.host).ok()?;
    let way = Way { tls: client.tls, tls_before: false, introduction: client.introduction.get() };
    let secure = core.view.secure();
    let Ok(None) = secure.admit(&host, plain.path(), way) else { return None };
    let tls_only = client.tls && secure.names.is_public(&host);
    let question = Question {
        host: &host,
        path: plain.path(),
        query: plain.query(),
        method: &Method::from_bytes(plain.method.as_bytes()).ok()?,
        headers,
    };
    let (number, route) = core.view.find_plain(&question)?;
    // A trusted proxy's client, whose address is another, never comes this way.
    admit::check_address(&route.route.access, Some(client.ip)).ok()?;
    if matches!(plain.body, Framing::Length(length) if length > route.route.body_max) {
        return None;
    }
    let Action::Forward(forward) = &route.route.action else { return Some(Seated::Files(route, tls_only)) };
    let now = core.clock.now();
    let seat = route.service.look_for_seat(&Wish::plain(&forward.balance), now, &[]).ok()?;
    core.view.count_turn(number);
    let mut record = Record::begin(core, now);
    let (id, trace) = (core.request_id(), core.fresh_trace());
    record.describe(&head_of(plain, version), client, &id, trace.as_ref());
    record.route(&route);
    record.choose(&seat.upstream);
    request::finish(page, plain, client, &id, trace.as_ref());
    let mut link = seat.upstream.take_bare(now);
    while !plain.is_repeatable() && link.as_ref().is_some_and(|link| !link.lives()) {
        link = seat.upstream.take_bare(now);
    }
    // Copied, so that the page keeps its size for answers, and the request the small buffer that it needs.
    let mut head = core.desk.borrow_buffer();
    head.extend_from_slice(page);
    let exchange = Box::new(Exchange::new(plain, Books { record, seat, route, id, asked: now, tls_only }, head));
    Some(Seated::Upstream(Ask { exchange, link }))
}

pub(super) fn head_of<'a>(plain: &'a Plain<'_>, version: Version) -> Head<'a> {
    Head {
        method: plain.method.as_bytes(),
        authority: plain.host.as_bytes(),
        path: plain.path().as_bytes(),
        version,
        user_agent: plain.agent,
        referer: plain.referer,
    }
}

impl Exchange {
    /// A new connection to the upstream; `None` when it refuses, which the general path answers to.
    pub(super) async fn connect(&mut self, core: &Core, pace: &Pace) -> Option<BareLink> {
        let begun = core.clock.now();
        pace.enter(Phase::Upstream);
        let upstream = Rc::clone(&self.upstream);
        let connected = core.clock.timeout(CONNECT_TIMEOUT, connect(&upstream.settings)).await;
        let now = core.clock.now();
        match connected {
            Ok(Ok(stream)) => {
                self.asked = now;
                self.record.connected(now.since(begun));
                return Some(BareLink::new(stream, now));
            }
            Ok(Err(error)) if is_shortage(&error, upstream.settings.address.ip()) => {
                tracing::debug!(replica = upstream.id(), %error, "no connection can be made to an upstream");
                self.asked = begun;
                pace.enter(Phase::Waiting);
                return None;
            }
            Ok(Err(error)) => tracing::debug!(replica = upstream.id(), %error, "upstream refuses a connection"),
            Err(_) => tracing::debug!(replica = upstream.id(), "upstream does not accept a connection in time"),
        }
        self.asked = begun;
        self.finish(Outcome::Refused, now);
        pace.enter(Phase::Waiting);
        None
    }
}
