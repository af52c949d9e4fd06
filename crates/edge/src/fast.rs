//! Plain HTTP/1.1 requests to HTTP/1.1 upstreams, and for files, without anything in between.
//!
//! Most requests of most sites ask for nothing special. These go a way of their own: the head is read into spans and
//! written anew in one pass, bodies pass through the core's scratch buffer, and nothing is allocated that a request does
//! not need. The first request of a connection that is not plain, and every one after it, goes the general way, with
//! the very bytes that were read: so this path refuses no head, has no retries and no features, and what it does not
//! know it does not meet.
//!
//! ```text
//! request (bytes → spans → the upstream's head) → seat → link → exchange → answer (bytes → spans → the client's head)
//! ```

mod answer;
mod desk;
mod exchange;
mod file;
mod fuzz;
mod link;
mod pending;
mod refuse;
mod request;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use tokio::io::AsyncWrite as _;

use self::exchange::{After, Books, Exchange};
use self::file::FileAsk;
use self::pending::Pending;
use self::request::{Plain, Reading};
use crate::admit;
use crate::client::{Client, Phase};
use crate::core::Core;
use crate::framing::chunks;
use crate::host;
use crate::linger::linger;
use crate::record::{Head, Record};
use crate::route::Question;
use crate::secure::Way;
use crate::settings::{Action, Balance, Forward, Route, TraceFrom, Tracing};
use crate::stream::{ClientStream, Scratch};
use crate::upstream::{Outcome, Wish};

pub(crate) use self::desk::Desk;
pub(crate) use self::fuzz::{fuzz_chunks, fuzz_request};
pub(crate) use self::link::{BareLink, IdleLinks};

/// A client connection on the fast path.
struct Connection {
    core: Rc<Core>,
    client: Rc<Client>,
    stream: ClientStream,
    /// What was read and is still needed: the head of the request being served, and what came with it.
    read: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    unsent: Pending,
    /// A stop has shortened the time in which a silent client may begin.
    is_hurried: bool,
}

/// Serves a connection until it ends, or until a request is not plain: then its stream and all that was read and not
/// answered are given back for the general path.
pub(crate) async fn serve(
    core: &Rc<Core>,
    client: &Rc<Client>,
    stream: ClientStream,
    first: Bytes,
) -> Option<(ClientStream, Bytes)> {
    let (core, client) = (Rc::clone(core), Rc::clone(client));
    let mut read = core.desk.borrow_buffer();
    read.extend_from_slice(&first);
    let mut connection =
        Connection { core, client, stream, read, taken: 0, unsent: Pending::default(), is_hurried: false };
    if connection.serve().await {
        return Some((connection.stream, Bytes::from(connection.read)));
    }
    connection.close().await;
    None
}

/// What a connection has to do next.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment; a box would cost every request an allocation")]
enum Next {
    Ask(Ask),
    File(Box<FileAsk>),
    General,
    Close,
}

/// A plain request that has a seat at an upstream.
struct Ask {
    exchange: Exchange,
    /// An idle connection to the upstream; without one it is still to be made.
    link: Option<BareLink>,
    expects: bool,
}

impl Connection {
    /// True when the general path is to go on.
    async fn serve(&mut self) -> bool {
        loop {
            let after = match std::future::poll_fn(|cx| self.poll_next(cx)).await {
                Next::Ask(ask) => self.answer(ask).await,
                // Boxed: a connection that asks for no file has no use for its state.
                Next::File(ask) => Box::pin(self.answer_file(*ask)).await,
                Next::General => return true,
                Next::Close => return false,
            };
            match after {
                After::Next => self.forget_taken(),
                After::Again => return true,
                After::Close | After::Refuse(_) => return false,
            }
        }
    }

    /// Waits for the next request's head.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.client.pace.deadline.wakes(cx.waker());
        if !self.read.is_empty()
            && let Some(next) = self.begin()
        {
            return Poll::Ready(next);
        }
        loop {
            match self.poll_read_more(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Close),
                Poll::Ready(Ok(_)) => {
                    self.client.speaks();
                    if let Some(next) = self.begin() {
                        return Poll::Ready(next);
                    }
                }
                Poll::Pending => break,
            }
        }
        if self.read.is_empty() {
            // An idle connection holds no buffer.
            self.core.desk.return_buffer(std::mem::take(&mut self.read));
        }
        self.poll_patience()
    }

    /// A stop, or a client that takes too long.
    fn poll_patience(&mut self) -> Poll<Next> {
        let awaits_next = self.core.awaits_next(&self.client);
        if self.core.stopping.is_stopping() && self.read.is_empty() && !awaits_next {
            if !self.client.is_silent() {
                return Poll::Ready(Next::Close);
            }
            if !std::mem::replace(&mut self.is_hurried, true) {
                self.client.pace.deadline.arm(crate::serve::LAST_MOMENT);
            }
        }
        if !self.client.pace.is_expired() {
            return Poll::Pending;
        }
        if self.client.pace.phase() == Phase::Head {
            self.refuse_slow_head();
        }
        Poll::Ready(Next::Close)
    }

    /// Reads from the client once, behind what was read before.
    fn poll_read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Connection { core, stream, read, .. } = self;
        core.scratch.poll_read(stream, cx, Scratch::BYTES, |_, bytes| {
            if read.capacity() == 0 {
                *read = core.desk.borrow_buffer();
            }
            read.extend_from_slice(bytes);
            bytes.len()
        })
    }

    /// Looks at what was read. `None` when there is more to come.
    fn begin(&mut self) -> Option<Next> {
        let core = Rc::clone(&self.core);
        let mut page = core.desk.page.borrow_mut();
        page.clear();
        match request::read(&self.read, &mut page) {
            Reading::Partial if self.read.len() <= core.settings().headers_max => {
                if self.client.pace.phase() == Phase::Waiting {
                    self.client.pace.enter(Phase::Head);
                }
                None
            }
            Reading::Partial | Reading::Other => Some(Next::General),
            Reading::Plain(plain) => {
                let next = self.seat(&plain, &mut page).unwrap_or(Next::General);
                if matches!(next, Next::Ask(_) | Next::File(_)) {
                    self.taken = plain.bytes;
                }
                Some(next)
            }
        }
    }

    /// Routes, admits, and takes a seat; `None` when any of these is not plain. The upstream's head is completed in
    /// `page`.
    fn seat(&self, plain: &Plain<'_>, page: &mut Vec<u8>) -> Option<Next> {
        let (core, client) = (&self.core, &self.client);
        if plain.bytes > core.settings().headers_max {
            return None;
        }
        let host = host::normalise(plain.host).ok()?;
        let way = Way { tls: client.tls, tls_before: false, introduction: client.introduction.get() };
        let secure = core.view.secure();
        let Ok(None) = secure.admit(&host, plain.path(), way) else { return None };
        let tls_only = client.tls && secure.names.is_public(&host);
        let headers = if core.view.asks_headers() { request::headers(&self.read)? } else { HeaderMap::new() };
        let question = Question {
            host: &host,
            path: plain.path(),
            query: plain.query(),
            method: &Method::from_bytes(plain.method.as_bytes()).ok()?,
            headers: &headers,
        };
        let (number, route) = core.view.find_plain(&question)?;
        // A trusted proxy's client, whose address is another, never comes this way.
        admit::check_address(&route.route.access, Some(client.ip)).ok()?;
        if matches!(plain.body, request::Framing::Length(length) if length > route.route.body_max) {
            return None;
        }
        let Action::Forward(forward) = &route.route.action else {
            return self.ask_file(plain, route, tls_only).map(|ask| Next::File(Box::new(ask)));
        };
        let now = core.clock.now();
        let seat = route.service.look_for_seat(&Wish::plain(&forward.balance), now, &[]).ok()?;
        core.view.count_turn(number);
        let mut record = Record::begin(core);
        let asked = record.started();
        let (id, trace) = (core.request_id(), core.fresh_trace());
        record.describe(&head_of(plain), client, &id, trace.as_ref());
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
        let exchange = Exchange::new(plain, Books { record, seat, route, id, asked, tls_only }, head);
        Some(Next::Ask(Ask { exchange, link, expects: plain.expects }))
    }

    /// Carries one request and its answer.
    async fn answer(&mut self, ask: Ask) -> After {
        let Ask { mut exchange, link, expects } = ask;
        let link = match link {
            Some(link) => Some(link),
            None => self.connect(&mut exchange).await,
        };
        let Some(mut link) = link else {
            exchange.record.forget();
            return After::Again;
        };
        if expects && self.taken == self.read.len() {
            self.unsent.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        exchange.start_clock(&self.client.pace);
        let after = std::future::poll_fn(|cx| self.poll_exchange(cx, &mut link, &mut exchange)).await;
        match after {
            After::Next | After::Close => {
                if !exchange.up.has_ended() {
                    self.client.pace.leave_unread();
                }
                self.core.desk.return_buffer(exchange.conclude(link));
                self.client.pace.enter(Phase::Waiting);
            }
            After::Again => {
                self.client.ask_again(exchange.again());
                exchange.record.forget();
                self.client.pace.enter(Phase::Waiting);
            }
            After::Refuse(refusal) => {
                drop(link);
                return self.refuse(refusal, exchange).await;
            }
        }
        after
    }

    /// A new connection to the upstream; `None` when it refuses, which the general path answers to.
    async fn connect(&mut self, exchange: &mut Exchange) -> Option<BareLink> {
        let begun = self.core.clock.now();
        self.client.pace.enter(Phase::Upstream);
        let upstream = Rc::clone(&exchange.upstream);
        let connected =
            self.core.clock.timeout(crate::link::CONNECT_TIMEOUT, crate::link::connect(&upstream.settings)).await;
        let now = self.core.clock.now();
        match connected {
            Ok(Ok(stream)) => {
                exchange.asked = now;
                exchange.record.connected(now.since(begun));
                return Some(BareLink::new(stream, now));
            }
            Ok(Err(error)) => tracing::debug!(replica = upstream.id(), %error, "upstream refuses a connection"),
            Err(_) => tracing::debug!(replica = upstream.id(), "upstream does not accept a connection in time"),
        }
        exchange.asked = begun;
        exchange.finish(Outcome::Refused, now);
        self.client.pace.enter(Phase::Waiting);
        None
    }

    /// The request is over: what came after it is the next one's.
    fn forget_taken(&mut self) {
        if self.taken < self.read.len() {
            self.read.drain(..self.taken);
        } else {
            self.read.clear();
        }
        self.taken = 0;
    }

    /// For TLS this says goodbye; a peer that does not read it is not waited for.
    async fn close(mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut context);
        if self.client.pace.has_unread() {
            linger(&self.core, &self.client, &mut self.stream).await;
        }
        self.core.desk.return_buffer(std::mem::take(&mut self.read));
    }
}

fn head_of<'a>(plain: &'a Plain<'_>) -> Head<'a> {
    Head {
        method: plain.method.as_bytes(),
        authority: plain.host.as_bytes(),
        path: plain.path().as_bytes(),
        version: Version::HTTP_11,
        user_agent: plain.agent,
        referer: plain.referer,
    }
}

/// Whether a route asks for nothing that this path does not know.
pub(crate) fn knows(route: &Route) -> bool {
    // Named one by one, so that whoever adds something decides whether this path meets it.
    // Whom it admits is asked for each request.
    let Route {
        name: _,
        host: _,
        path: _,
        methods: _,
        headers: _,
        query: _,
        action,
        body_max: _,
        access: _,
        maintenance,
        answer_headers: _,
    } = route;
    let forward = match action {
        Action::Forward(forward) => forward,
        Action::Files(_) => return maintenance.is_none(),
        Action::Redirect(_) | Action::Answer(_) => return false,
    };
    let Forward { to: _, rewrite, balance, retry: _, hedge, mirror, timeout: _, idle_timeout: _ } = forward;
    let is_free = match balance {
        Balance::Auto | Balance::RoundRobin | Balance::LeastConnections | Balance::PeakEwma => true,
        Balance::Hash(_) | Balance::Sticky(_) => false,
    };
    is_free && hedge.is_none() && mirror.is_none() && rewrite.is_none() && maintenance.is_none()
}

/// Whether this client's requests may go the fast way. A trusted proxy's headers are kept and appended to, which is
/// left to the general path.
pub(crate) fn may_serve(core: &Core, client: &Client) -> bool {
    let Tracing { from, sample: _ } = match &core.settings().tracing {
        Some(tracing) => tracing,
        // What came is passed on unread.
        None => return false,
    };
    core.settings().fast_path && !client.facts.trusted && *from == TraceFrom::TrustedProxies
}
