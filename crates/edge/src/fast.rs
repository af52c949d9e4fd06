//! Plain requests to HTTP/1.1 upstreams, and for files, without anything in between.
//!
//! Most requests of most sites ask for nothing special. These go a way of their own: the head is read into spans and
//! written anew in one pass, bodies pass through the core's scratch buffer, and nothing is allocated that a request does
//! not need. The first request of a connection that is not plain, and every one after it, goes the general way, with
//! the very bytes that were read: so this path refuses no head and has no features, and what it does not know it
//! does not meet. Whether a request is asked again is decided here, with the answer that may be bettered kept in reserve; the
//! general path asks.
//!
//! ```text
//! request (bytes → spans → the upstream's head) → seat → link → exchange → answer (bytes → spans → the client's head)
//! ```
//!
//! Requests that come over HTTP/2 go the same way, each from its stream (`fast/stream.rs`) in place of a connection: h2
//! has read their heads, and takes their answers.

mod answer;
mod ask;
mod desk;
mod exchange;
mod file;
mod fuzz;
mod link;
mod pending;
mod refuse;
mod request;
mod stream;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Version};
use tokio::io::AsyncWrite as _;

use self::ask::{Ask, Seated};
use self::exchange::After;
use self::file::FileAsk;
use self::pending::Pending;
use self::request::{Plain, Reading};
use crate::client::{Client, Phase};
use crate::core::Core;
use crate::framing::chunks;
use crate::linger::linger;
use crate::settings::{Action, Balance, Forward, Route, TraceFrom, Tracing};
use crate::stream::ClientStream;

pub(crate) use self::desk::Desk;
pub(crate) use self::fuzz::{fuzz_chunks, fuzz_request};
pub(crate) use self::link::{BareLink, IdleLinks};
pub(crate) use self::stream::{Unserved, serve_stream};

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
enum Next {
    Ask(Ask),
    File(Box<FileAsk>),
    General,
    Close,
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
        stream.poll_take(cx, &core.scratch, |_, bytes| {
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
            Reading::Plain(mut plain) => {
                // Who has begun its body waits for nothing.
                plain.expects &= plain.bytes == self.read.len();
                let next = self.seat(&plain, &mut page).unwrap_or(Next::General);
                if matches!(next, Next::Ask(_) | Next::File(_)) {
                    self.taken = plain.bytes;
                }
                Some(next)
            }
        }
    }

    /// A seat for a plain request, or its file; `None` when it is not plain for where it goes.
    fn seat(&self, plain: &Plain<'_>, page: &mut Vec<u8>) -> Option<Next> {
        if plain.bytes > self.core.settings().headers_max {
            return None;
        }
        let asks_headers = self.core.view.asks_headers();
        let headers = if asks_headers { request::headers(&self.read)? } else { HeaderMap::new() };
        match ask::seat(&self.core, &self.client, plain, Version::HTTP_11, &headers, page)? {
            Seated::Upstream(ask) => Some(Next::Ask(ask)),
            Seated::Files(route, tls_only) => {
                self.ask_file(plain, route, tls_only).map(|ask| Next::File(Box::new(ask)))
            }
        }
    }

    /// Carries one request and its answer.
    async fn answer(&mut self, ask: Ask) -> After {
        let Ask { mut exchange, link } = ask;
        let link = match link {
            Some(link) => Some(link),
            None => exchange.connect(&self.core, &self.client.pace).await,
        };
        let Some(mut link) = link else {
            exchange.record.forget();
            return After::Again;
        };
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
                self.client.pace.ask_again(exchange.again(link));
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
