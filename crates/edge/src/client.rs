//! One client connection: who it is, how long it may take, and what its last request head looked like on the wire.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::HeaderValue;
use prumo_clock::Moment;

use crate::body::BodyCut;
use crate::deadline::{Deadline, Deadlines};
use crate::forwarded::PeerFacts;
use crate::held::{self, Ends};
use crate::interim::Interims;
use crate::serve::OnlyTunnels;
use crate::settings::Settings;
use crate::stream::UpstreamStream;
use crate::tls::Introduction;
use crate::tunnel::Tunnel;
use crate::upstream::{Seat, Upstream};

/// One client connection.
pub(crate) struct Client {
    /// Who the connection is from, a proxy perhaps.
    pub(crate) ip: IpAddr,
    pub(crate) facts: PeerFacts,
    pub(crate) tls: bool,
    /// What the TLS handshake has told.
    pub(crate) introduction: OnceCell<Introduction>,
    pub(crate) pace: Rc<Pace>,
    /// Set when an answer was `101 Switching Protocols`: what goes on when hyper has let go of the socket.
    pub(crate) tunnel: RefCell<Option<Tunnel>>,
    /// Requests of a shared (HTTP/2) connection that are not over.
    pub(crate) streams: Cell<usize>,
    /// Those of them that are tunnels.
    pub(crate) tunnels: Cell<usize>,
    pub(crate) only_tunnels: RefCell<Option<OnlyTunnels>>,
    /// Its socket takes no more of what the requests that share it have to say.
    is_full: Cell<bool>,
    has_unsafe_head: Cell<bool>,
    has_begun_body: Cell<bool>,
    is_silent: Cell<bool>,
    voice: Cell<Voice>,
}

/// Whose answer is being written to an HTTP/1 client. hyper refuses by itself what it cannot read as a request, in words
/// that we can only recognise by when they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    /// Ours, or nobody's whom we would have to know.
    Ours,
    /// Ours is complete in hyper's buffer, and perhaps not written.
    Ending,
    /// Nobody's: what is written now is hyper's own.
    Hypers,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        tls: bool,
        local_port: u16,
        settings: &Settings,
        deadlines: &Rc<Deadlines>,
    ) -> Client {
        let ip = address.ip().to_canonical();
        let facts = PeerFacts {
            // An address and a number are always valid header text.
            address: HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown")),
            proto: HeaderValue::from_static(if tls { "https" } else { "http" }),
            port: HeaderValue::from(local_port),
            trusted: settings.trusted_proxies.iter().any(|network| network.contains(ip)),
        };
        let pace = Rc::new(Pace::new(deadlines.add(), settings));
        Client {
            ip,
            facts,
            tls,
            introduction: OnceCell::new(),
            pace,
            tunnel: RefCell::new(None),
            streams: Cell::new(0),
            tunnels: Cell::new(0),
            only_tunnels: RefCell::new(None),
            is_full: Cell::new(false),
            has_unsafe_head: Cell::new(false),
            has_begun_body: Cell::new(false),
            is_silent: Cell::new(true),
            voice: Cell::new(Voice::Ours),
        }
    }

    /// It speaks HTTP/1 and no answer is due: what hyper writes until there is one is its own.
    pub(crate) fn expect_request(&self) {
        self.voice.set(Voice::Hypers);
    }

    /// A request was read; from now on until [`Client::end_answer`] and a flush, what is written is our answer.
    pub(crate) fn begin_answer(&self) {
        self.voice.set(Voice::Ours);
    }

    /// hyper has all of our answer.
    pub(crate) fn end_answer(&self) {
        self.voice.set(Voice::Ending);
    }

    /// All that hyper had was written. True when this ends an answer.
    pub(crate) fn flushed(&self) -> bool {
        let ends = self.voice.get() == Voice::Ending;
        if ends {
            self.voice.set(Voice::Hypers);
        }
        ends
    }

    pub(crate) fn hears_hyper(&self) -> bool {
        self.voice.get() == Voice::Hypers
    }

    /// Bytes came from the client.
    pub(crate) fn read(&self) {
        self.is_silent.set(false);
        if self.pace.phase.get() == Phase::Upload {
            self.pace.deadline.progress();
        }
    }

    /// A part of a head has come, and no answer is due.
    pub(crate) fn begin_head(&self) {
        if self.pace.phase.get() == Phase::Waiting {
            self.pace.enter(Phase::Head);
        }
    }

    /// Something was read from it.
    pub(crate) fn speaks(&self) {
        self.is_silent.set(false);
    }

    /// Nothing was ever read from it.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.get()
    }

    /// So many bytes went to the client, or to where they wait for its socket.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.pace.given.set(self.pace.given.get() + bytes as u64);
        if matches!(self.pace.phase.get(), Phase::Waiting | Phase::Download) {
            self.pace.deadline.progress();
        }
    }

    /// The head that hyper has, or will have, is not safely framed; no other follows it.
    pub(crate) fn note_unsafe_head(&self) {
        self.has_unsafe_head.set(true);
    }

    /// Whether something of the body has come with the head that hyper has.
    pub(crate) fn note_body(&self, has_begun: bool) {
        self.has_begun_body.set(has_begun);
    }

    /// Whether a request that waits to be asked for its body has sent something of it all the same.
    pub(crate) fn has_begun_body(&self) -> bool {
        self.has_begun_body.get()
    }

    pub(crate) fn has_unsafe_head(&self) -> bool {
        self.has_unsafe_head.get()
    }

    /// Whether its socket takes no more of what many requests have to say: none of these need be slow itself.
    pub(crate) fn is_full(&self, stream: &impl AsFd, is_full: bool) {
        if is_full {
            self.pace.ends.get_or_init(|| Ends::of(stream));
        }
        self.is_full.set(is_full);
    }

    /// What the kernel says that this connection has taken, ever.
    fn taken(&self) -> Option<u64> {
        let held = held::bytes(self.pace.ends.get()?.as_ref()?)?;
        Some(self.pace.given.get().saturating_sub(held))
    }

    /// Whether its socket takes no more. Who it is, the kernel is asked only once, and only for a client that was slow.
    pub(crate) fn is_blocked(&self, stream: &impl AsFd, is_blocked: bool) {
        if is_blocked && self.pace.phase() == Phase::Download {
            self.pace.ends.get_or_init(|| Ends::of(stream));
            self.pace.deadline.is_blocked(true);
        } else {
            self.pace.deadline.is_blocked(false);
        }
    }
}

/// How long an upstream may take to say whether it wants a body for which its client waits to be asked: about as long as
/// clients wait by themselves (curl: one second).
pub(crate) const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// What the fast path tried for a request that it leaves to the general path.
pub(crate) struct Again {
    /// Another upstream is to be asked, if there is one.
    pub(crate) tried: Option<Rc<Upstream>>,
    /// A kept connection died, as it may at any time: it is to be a fresh one.
    pub(crate) wants_fresh: bool,
    /// What the one that was asked has answered, in case that the other has no answer at all.
    pub(crate) held: Option<Box<HeldAnswer>>,
}

/// An answer that has begun on the fast path and may yet be passed on by the general one.
pub(crate) struct HeldAnswer {
    pub(crate) seat: Seat,
    pub(crate) stream: UpstreamStream,
    /// Of the answer, from its first byte.
    pub(crate) read: Bytes,
    pub(crate) asked: Moment,
}

/// What is being waited for, by a connection or by one request on a shared connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next request.
    Waiting,
    /// The rest of a request head.
    Head,
    /// The client's request body.
    Upload,
    /// The upstream: a connection, or the beginning of its answer.
    Upstream,
    /// The answer's body.
    Download,
    /// Nothing here: requests on this connection have a pace of their own.
    Shared,
}

/// How long the present phase may take.
pub(crate) struct Pace {
    pub(crate) deadline: Deadline,
    phase: Cell<Phase>,
    header_timeout: Duration,
    idle_timeout: Duration,
    body_timeout: Duration,
    body_rate_min: u64,
    /// The upstream may be silent for longer than a body may stand still.
    may_be_idle: Cell<bool>,
    /// Bytes that were written to the client's connection, ever, and how many of them it had taken when it was judged last.
    given: Cell<u64>,
    taken: Cell<u64>,
    /// Bytes of a body that were given out: all that can be counted of a request on a shared connection.
    offered: Cell<u64>,
    /// The connection that the request shares, and what that had taken when the request was judged last.
    shared: Option<(Rc<Client>, Cell<u64>)>,
    /// For the kernel, of a client whose socket was full once.
    ends: OnceCell<Option<Ends>>,
    /// The client takes too little.
    is_condemned: Cell<bool>,
    /// The request's body was not read to its end, and its connection carries no other.
    has_unread: Cell<bool>,
    /// The client has ended its side and may still wait for its answer.
    is_half_closed: Cell<bool>,
    half_closed_timeout: Duration,
    /// The limit that counts is for a client that has ended its side: when it runs out, that is taken to have gone, and
    /// nobody else is blamed.
    blames_client: Cell<bool>,
    again: Cell<Option<Again>>,
    /// What the upstream says before its answer, for a client that may be told.
    interims: OnceCell<Arc<Interims>>,
    takes_interims: Cell<bool>,
    /// The client's body is not read before the upstream has said that it wants it.
    holds_body: Cell<bool>,
}

impl Pace {
    pub(crate) fn new(deadline: Deadline, settings: &Settings) -> Pace {
        let pace = Pace {
            deadline,
            phase: Cell::new(Phase::Waiting),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            body_timeout: settings.body_timeout,
            body_rate_min: settings.body_rate_min,
            may_be_idle: Cell::new(false),
            given: Cell::new(0),
            taken: Cell::new(0),
            offered: Cell::new(0),
            shared: None,
            ends: OnceCell::new(),
            is_condemned: Cell::new(false),
            has_unread: Cell::new(false),
            is_half_closed: Cell::new(false),
            half_closed_timeout: settings.half_closed_timeout,
            blames_client: Cell::new(false),
            again: Cell::new(None),
            interims: OnceCell::new(),
            takes_interims: Cell::new(false),
            holds_body: Cell::new(false),
        };
        // A new connection is not given the long patience of one that has already sent a request.
        pace.deadline.arm(settings.header_timeout);
        pace
    }

    /// A request is begun on the general path. `takes_interims` when its client may be told what comes before an answer.
    pub(crate) fn begin(&self, takes_interims: bool) {
        if let Some(interims) = self.interims.get() {
            interims.forget();
        }
        self.takes_interims.set(takes_interims);
        self.holds_body.set(false);
    }

    /// Where what comes before the answer is to be noted; `None` for a client that is not told.
    pub(crate) fn interims(&self) -> Option<Arc<Interims>> {
        self.takes_interims.get().then(|| Arc::clone(self.interims.get_or_init(Arc::default)))
    }

    /// What has come before the answer and was not passed on yet; nearly always nothing.
    pub(crate) fn take_interims(&self) -> Vec<Response<()>> {
        self.interims.get().map_or_else(Vec::new, |interims| interims.take())
    }

    /// The client waits to be asked for its body.
    pub(crate) fn hold_body(&self) {
        self.holds_body.set(true);
    }

    pub(crate) fn holds_body(&self) -> bool {
        self.holds_body.get()
    }

    /// The upstream is asked whether it wants the body, and has a moment to say so.
    pub(crate) fn await_continue(&self) {
        self.await_answer(CONTINUE_PATIENCE);
    }

    /// The body is wanted, or nobody says that it is not.
    pub(crate) fn release_body(&self) {
        self.holds_body.set(false);
        self.enter(Phase::Upload);
    }

    /// Whether the body is to be left with the client for now.
    pub(crate) fn keeps_holding_body(&self) -> bool {
        if self.holds_body.get() && self.interims.get().is_some_and(|interims| interims.take_continue()) {
            self.release_body();
        }
        self.holds_body.get()
    }

    /// Of a request on a connection that others share.
    pub(crate) fn sharing(deadline: Deadline, settings: &Settings, client: Rc<Client>) -> Pace {
        Pace { shared: Some((client, Cell::new(0))), ..Pace::new(deadline, settings) }
    }

    /// The fast path asked in vain; the general path is to ask again, and knows what was tried.
    pub(crate) fn ask_again(&self, again: Again) {
        self.again.set(Some(again));
    }

    /// What was tried for the request that is asked again.
    pub(crate) fn take_again(&self) -> Option<Again> {
        self.again.take()
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Enters a phase with its own limit. Until [`Pace::await_answer`], `Upstream` has only that of a client that has ended
    /// its side.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.may_be_idle.set(false);
        self.blames_client.set(false);
        match phase {
            Phase::Waiting => self.deadline.arm(self.idle_timeout),
            Phase::Head => self.deadline.arm(self.header_timeout),
            Phase::Upload | Phase::Download => self.deadline.arm(self.body_timeout),
            Phase::Upstream | Phase::Shared => {
                self.has_unread.set(false);
                self.deadline.disarm();
                if self.is_half_closed.get() {
                    self.blames_client.set(self.deadline.shorten(self.half_closed_timeout));
                }
            }
        }
    }

    /// The request is with the upstream, which has this long to begin its answer.
    pub(crate) fn await_answer(&self, timeout: Duration) {
        self.phase.set(Phase::Upstream);
        self.deadline.arm(timeout);
        self.blames_client.set(self.is_half_closed.get() && self.deadline.shorten(self.half_closed_timeout));
    }

    /// The client may still be sending a body that nobody reads.
    pub(crate) fn leave_unread(&self) {
        self.has_unread.set(true);
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.get()
    }

    /// The client has ended its side while its answer is due: it may be waiting for it, or it may have gone, which looks
    /// the same. False when it is not given the benefit of the doubt.
    pub(crate) fn half_close(&self) -> bool {
        if self.half_closed_timeout.is_zero() {
            return false;
        }
        if !self.is_half_closed.replace(true) {
            match self.phase() {
                Phase::Upstream => self.blames_client.set(self.deadline.shorten(self.half_closed_timeout)),
                Phase::Download if self.may_be_idle.get() => self.doubt_reader(),
                _ => {}
            }
        }
        true
    }

    /// Nobody knows whether a client that has ended its side is there, until something is written to it.
    fn doubt_reader(&self) {
        // Each piece that is written begins the limit anew, so the two are compared whole.
        if self.deadline.limit().is_none_or(|idle| self.body_timeout < idle) {
            self.deadline.arm(self.body_timeout);
            self.blames_client.set(true);
        }
    }

    /// The client has ended its side, and nothing more is to be read.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.is_half_closed.get()
    }

    /// What has taken too long is a client that may have gone.
    pub(crate) fn blames_client(&self) -> bool {
        self.blames_client.get()
    }

    /// Whether the upstream has taken too long. Where it is only that nobody knows whether the client is still there, the
    /// whole request is given up instead.
    pub(crate) fn upstream_is_late(&self) -> bool {
        self.is_expired() && !self.blames_client.get()
    }

    /// An answer has begun. `idle` is how long the upstream may be silent when it has promised no length; who has promised
    /// one has more to say until it is reached, and only stands still.
    pub(crate) fn pass_on(&self, idle: Option<Duration>) {
        self.enter(Phase::Download);
        if let Some(idle) = idle {
            self.may_be_idle.set(true);
            self.deadline.arm(idle);
            if self.is_half_closed.get() {
                self.doubt_reader();
            }
        }
    }

    /// A piece of an answer is given out: until the next one is asked for, the client keeps us waiting.
    pub(crate) fn offer(&self, bytes: usize) {
        self.offered.set(self.offered.get() + bytes as u64);
        self.deadline.progress();
        self.deadline.is_offered(true);
    }

    /// All that the upstream has said was taken, as far as can be seen from here.
    pub(crate) fn await_upstream(&self) {
        self.deadline.is_offered(false);
    }

    /// Whether it has taken too long, or the client takes too little of its answer.
    pub(crate) fn is_expired(&self) -> bool {
        self.deadline.is_expired() || self.is_condemned.get() || self.judge()
    }

    /// True when the client takes too little: less than the least rate since it was judged last, or nothing at all.
    fn judge(&self) -> bool {
        let Some(waited) = self.deadline.debt_is_due() else { return false };
        if let Some((client, _)) = &self.shared {
            let requests = client.streams.get().saturating_sub(client.tunnels.get()).max(1);
            let crowd = client.is_full.get().then(|| Crowd { taken: client.taken(), requests: requests as u64 });
            return self.judge_shared(crowd, waited);
        }
        let held = self.ends.get().and_then(|ends| held::bytes(ends.as_ref()?));
        self.judge_by(held, waited)
    }

    /// The same for a request on a shared connection. What it took itself is enough; and while the socket takes no more,
    /// so is what the connection took for all of its requests: it is not for this one to say who comes first.
    fn judge_shared(&self, crowd: Option<Crowd>, waited: Duration) -> bool {
        let (offered, least) = (self.offered.get(), taken_least(self.body_rate_min, waited));
        let own = offered.saturating_sub(self.taken.replace(offered));
        let is_enough = match (crowd, &self.shared) {
            (Some(Crowd { taken: Some(taken), requests }), Some((_, before))) => {
                let all = taken.saturating_sub(before.replace(taken));
                own >= least || all >= least.saturating_mul(requests)
            }
            // Nobody tells what was taken.
            (Some(_), _) => own >= 1,
            (None, _) => own >= least,
        };
        self.pronounce(is_enough)
    }

    fn judge_by(&self, held: Option<u64>, waited: Duration) -> bool {
        let (taken, least) = match held {
            Some(held) => (self.given.get().saturating_sub(held), taken_least(self.body_rate_min, waited)),
            // Nobody tells what was taken, so anything that moved is enough.
            None => (self.given.get() + self.offered.get(), 1),
        };
        self.pronounce(taken.saturating_sub(self.taken.replace(taken)) >= least)
    }

    fn pronounce(&self, is_enough: bool) -> bool {
        if is_enough {
            self.deadline.forgive();
        }
        self.is_condemned.set(!is_enough);
        !is_enough
    }

    /// Why an answer that took too long is cut.
    pub(crate) fn why_cut(&self) -> BodyCut {
        match (self.is_condemned.get(), self.may_be_idle.get()) {
            (false, true) if self.blames_client.get() => BodyCut::Client,
            (false, true) => BodyCut::Idle,
            _ => BodyCut::Stalled,
        }
    }
}

/// The requests on a connection whose socket takes no more, and what the kernel says that it has taken.
struct Crowd {
    taken: Option<u64>,
    requests: u64,
}

/// What a client must take of an answer in the time that it keeps us waiting. Without a rate, something.
fn taken_least(rate_min: u64, waited: Duration) -> u64 {
    u64::try_from(u128::from(rate_min) * waited.as_millis() / 1000).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
