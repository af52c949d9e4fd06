//! Copies of requests for a shadow service: what it answers is thrown away, and whether it is slow or dead is nobody's
//! concern.
//!
//! A copy is made while the request passes and sent when all of it is there, by a task of its own. Copies have bounds:
//! so many at once on a core, so many bytes held, so much time. What is over a bound is not copied, and counted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::Journey;
use crate::body::Upload;
use crate::client::{Pace, Phase};
use crate::core::Core;
use crate::link::{CONNECT_TIMEOUT, Failure, Link};
use crate::metrics::{Count, ServiceCount};
use crate::settings::{Balance, Mirror};
use crate::upstream::{Outcome, Seat, Service, Wish};

/// Tells a shadow that it is one. A client cannot say it: what strangers say under `X-Forwarded-` is removed.
const MARK: HeaderName = HeaderName::from_static("x-forwarded-mirror");

/// Copies that one core has at once: more than a healthy shadow needs, and few enough to hold in memory.
const AT_ONCE_MAX: usize = 128;

/// Of all bodies that one core holds for copies.
const BYTES_MAX: usize = 16 << 20;

/// However patient the route is, a copy is not worth more.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Of an answer that nobody reads; its connection is closed after that.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What the copies of a core take of its bounds.
#[derive(Default)]
pub(crate) struct Copies {
    count: Cell<usize>,
    bytes: Cell<usize>,
}

/// A request that is being copied.
pub(crate) struct Copy {
    core: Rc<Core>,
    service: Rc<Service>,
    head: Request<()>,
    body: Vec<u8>,
    body_max: usize,
    within: Duration,
}

/// Where the copy of a body grows, if there is one. It ends with the first byte too many.
#[derive(Default)]
pub(crate) struct Carbon(RefCell<Option<Box<Copy>>>);

impl Carbon {
    pub(crate) fn of(copy: Option<Copy>) -> Carbon {
        Carbon(RefCell::new(copy.map(Box::new)))
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut copy = self.0.borrow_mut();
        if let Some(growing) = &mut *copy
            && !growing.add(bytes)
        {
            *copy = None;
        }
    }

    /// The request is whole.
    pub(crate) fn send(&self) {
        if let Some(copy) = self.0.take() {
            copy.send();
        }
    }
}

impl Journey<'_> {
    /// The copy of a request that is as its service will see it, if the route wants one.
    pub(super) fn copy(&self, parts: &Parts) -> Option<Copy> {
        let (mirror, service) = (self.forward.mirror.as_ref()?, self.route.mirror.as_ref()?);
        if !is_wanted(mirror, parts.method.as_str(), || self.core.clock.random()) {
            return None;
        }
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > mirror.body_max as u64) {
            service.count(|count| count.mirror_large.add(1));
            return None;
        }
        let copies = &self.core.copies;
        if copies.count.get() >= AT_ONCE_MAX || self.core.stopping.is_stopping() {
            service.count(|count| count.mirror_dropped.add(1));
            return None;
        }
        copies.count.set(copies.count.get() + 1);
        let mut head = Request::new(());
        head.method_mut().clone_from(&parts.method);
        head.uri_mut().clone_from(&parts.uri);
        head.headers_mut().clone_from(&parts.headers);
        for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::TRAILER, header::TE] {
            head.headers_mut().remove(name);
        }
        head.headers_mut().insert(MARK, HeaderValue::from_static("true"));
        let (core, service) = (Rc::clone(self.core), Rc::clone(service));
        let within = self.forward.timeout.min(TIME_MAX);
        Some(Copy { core, service, head, body: Vec::new(), body_max: mirror.body_max, within })
    }
}

fn is_wanted(mirror: &Mirror, method: &str, draw: impl FnOnce() -> u64) -> bool {
    mirror.methods.iter().any(|wanted| wanted == method) && mirror.share.has(draw())
}

impl Copy {
    fn count(&self, pick: impl FnOnce(&ServiceCount) -> &Count) {
        self.service.count(|count| pick(count).add(1));
    }

    /// False when it is too much.
    fn add(&mut self, bytes: &[u8]) -> bool {
        if self.body.len() + bytes.len() > self.body_max {
            self.count(|count| &count.mirror_large);
            return false;
        }
        let held = &self.core.copies.bytes;
        if held.get() + bytes.len() > BYTES_MAX {
            self.count(|count| &count.mirror_dropped);
            return false;
        }
        held.set(held.get() + bytes.len());
        self.body.extend_from_slice(bytes);
        true
    }

    /// Sends it, beside everything else.
    pub(crate) fn send(self: Box<Self>) {
        let core = Rc::clone(&self.core);
        core.stage.clone().spawn_local("mirrored request", async move {
            tokio::select! {
                _ = core.clock.timeout(self.within, self.ask()) => {}
                // A stop waits for clients, not for a shadow.
                () = core.stopping.wait() => {}
            }
        });
    }

    async fn ask(&self) {
        let begun = self.core.clock.now();
        let wish = Wish::plain(&Balance::Auto);
        let Ok(mut seat) = self.service.look_for_seat(&wish, begun, &[]) else {
            return self.count(|count| &count.mirror_dropped);
        };
        let Some(mut link) = self.find_link(&seat).await else {
            seat.finished(Outcome::Refused, Duration::ZERO, begun);
            return self.count(|count| &count.mirror_dropped);
        };
        let pace = Pace::new(self.core.deadlines.add(), self.core.settings());
        pace.enter(Phase::Shared);
        self.count(|count| &count.mirrored);
        let asked = link.exchange(self.request(&seat), &pace).await;
        let now = self.core.clock.now();
        match asked {
            Ok(response) => {
                seat.finished(Outcome::Answered(response.status()), now.since(begun), now);
                if read_to_end(&mut link, response).await {
                    seat.give_back(link);
                }
            }
            // The replica may have closed a kept connection in the same instant: nothing is to be said about it.
            Err(Failure::Died(_)) if link.is_reused => {}
            Err(_) => seat.finished(Outcome::Died, now.since(begun), now),
        }
    }

    async fn find_link(&self, seat: &Seat) -> Option<Box<Link>> {
        let upstream = Rc::clone(&seat.upstream);
        if let Some(link) = upstream.take_idle(self.core.clock.now()) {
            return Some(link);
        }
        let opened = self.core.clock.timeout(CONNECT_TIMEOUT, upstream.open(&self.core)).await;
        opened.ok()?.ok().map(Box::new)
    }

    fn request(&self, seat: &Seat) -> Request<Upload> {
        let mut request = Request::new(Upload::Whole(Bytes::copy_from_slice(&self.body)));
        request.method_mut().clone_from(self.head.method());
        request.uri_mut().clone_from(self.head.uri());
        request.headers_mut().clone_from(self.head.headers());
        if !self.body.is_empty() {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        if let Some(host) = &seat.upstream.settings.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        request
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let copies = &self.core.copies;
        copies.count.set(copies.count.get() - 1);
        copies.bytes.set(copies.bytes.get() - self.body.len());
    }
}

/// Lets an answer pass by. True when it has ended, and its connection may carry another request.
async fn read_to_end(link: &mut Link, response: Response<Incoming>) -> bool {
    use http_body::Body as _;
    let mut incoming = std::pin::pin!(response.into_body());
    let mut read = 0;
    std::future::poll_fn(|cx| {
        link.poll(cx);
        loop {
            match std::task::ready!(incoming.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return std::task::Poll::Ready(false),
                None => return std::task::Poll::Ready(true),
            }
            if read > ANSWER_BYTES_MAX {
                return std::task::Poll::Ready(false);
            }
            link.poll(cx);
        }
    })
    .await
}
