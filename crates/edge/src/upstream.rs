//! One core's view of a service: its upstreams, the idle connections to them, and who is being served.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use prumo_clock::Moment;

use crate::balance::budget::Budget;
use crate::balance::recent::Recent;
use crate::balance::sticky::Mark;
use crate::balance::{self, Candidate, Choice, EjectRules, Seen, Sign, Standing, hash};
use crate::core::Core;
use crate::fast::{BareLink, IdleLinks};
use crate::link::shared::Pool;
use crate::link::{self, Link, NoLink};
use crate::metrics::{ServiceCells, ServiceCount, UpstreamCells};
use crate::settings::{Hedge, Protocol, Traffic, Upstream as Settings};

mod wish;

pub(crate) use self::wish::Wish;

/// Idle connections kept to one upstream by one core: enough for the 64 clients of a usual benchmark and its bursts.
pub(crate) const IDLE_MAX: usize = 128;

/// Below the 5 s after which uvicorn and Node close an idle connection, so that we seldom race them.
pub(crate) const IDLE_AGE_MAX: Duration = Duration::from_secs(4);

/// A service, as this core knows it. It lives as long as any request needs it; its upstreams change under it.
pub(crate) struct Service {
    upstreams: RefCell<Vec<Rc<Upstream>>>,
    core: usize,
    turn: Cell<usize>,
    draws: Cell<u64>,
    traffic: RefCell<Arc<Traffic>>,
    cells: RefCell<Arc<ServiceCells>>,
    /// What a good answer takes.
    usual: Cell<Duration>,
    /// All of its upstreams speak HTTP/1.1.
    is_plain: Cell<bool>,
    budget: RefCell<Budget>,
    recent: RefCell<Recent>,
}

/// One replica, as this core knows it.
pub(crate) struct Upstream {
    pub(crate) settings: Settings,
    pub(crate) cells: Arc<UpstreamCells>,
    core: usize,
    name: u64,
    mark: Mark,
    standing: Cell<Standing>,
    /// Last in, first out: the warmest connection is used, the others may grow old.
    #[expect(clippy::vec_box, reason = "a link is large, and moved in and out for every request")]
    idle: RefCell<Vec<Box<Link>>>,
    /// Those of the fast path.
    idle_bare: IdleLinks,
    /// Connections that carry many requests at once.
    shared: Rc<Pool>,
    /// No longer in the table: connections to it are not kept.
    is_retired: Cell<bool>,
}

impl Service {
    pub(crate) fn new(core: usize) -> Service {
        Service {
            upstreams: RefCell::default(),
            core,
            turn: Cell::new(core),
            draws: Cell::default(),
            traffic: RefCell::default(),
            cells: RefCell::new(Arc::new(ServiceCells::new("", core + 1))),
            usual: Cell::default(),
            is_plain: Cell::new(true),
            budget: RefCell::default(),
            recent: RefCell::default(),
        }
    }

    pub(crate) fn upstreams(&self) -> std::cell::Ref<'_, Vec<Rc<Upstream>>> {
        self.upstreams.borrow()
    }

    /// Whether the fast path can ask all of its upstreams.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain.get()
    }

    /// Takes the new list and retires who is no longer on it.
    pub(crate) fn replace(&self, upstreams: Vec<Rc<Upstream>>) {
        self.is_plain.set(upstreams.iter().all(|upstream| upstream.settings.is_plain()));
        let before = self.upstreams.replace(upstreams);
        let now = self.upstreams.borrow();
        for upstream in before.iter().filter(|old| !now.iter().any(|new| Rc::ptr_eq(old, new))) {
            upstream.retire();
        }
    }

    /// Treats its upstreams so from now on.
    pub(crate) fn treat(&self, traffic: &Arc<Traffic>, cells: &Arc<ServiceCells>) {
        self.traffic.replace(Arc::clone(traffic));
        self.cells.replace(Arc::clone(cells));
    }

    /// Chooses an upstream that is not in `tried` and takes a seat there. Nothing is awaited between looking at the
    /// list and counting the seat, so a core that has taken a new list can never again pick from an older one.
    pub(crate) fn take_seat(
        self: &Rc<Self>,
        wish: &Wish<'_>,
        now: Moment,
        tried: &[Rc<Upstream>],
    ) -> Result<Seat, NoSeat> {
        let taken = self.look_for_seat(wish, now, tried);
        if matches!(taken, Err(NoSeat::Full)) {
            self.count(|count| count.full.add(1));
        }
        taken
    }

    /// The same for who leaves it to others to refuse the request.
    pub(crate) fn look_for_seat(
        self: &Rc<Self>,
        wish: &Wish<'_>,
        now: Moment,
        tried: &[Rc<Upstream>],
    ) -> Result<Seat, NoSeat> {
        let upstreams = self.upstreams.borrow();
        let traffic = self.traffic.borrow();
        if let Some(most) = traffic.in_flight_max
            && upstreams.iter().map(|upstream| upstream.cells.total_requests()).sum::<u64>() >= u64::from(most)
        {
            return Err(NoSeat::Full);
        }
        let is_untried = |index: usize| !tried.iter().any(|tried| Rc::ptr_eq(tried, &upstreams[index]));
        let stays = wish.mark.and_then(|mark| {
            let index = upstreams.iter().position(|upstream| upstream.mark == mark)?;
            (is_untried(index) && balance::may_stay(&upstreams, index, now)).then_some(index)
        });
        let chosen = match stays {
            Some(index) => index,
            None => {
                let (turn, draws) = (self.turn.get(), self.draws.get());
                self.draws.set(draws.wrapping_add(1));
                let draw = hash::mix(draws ^ ((self.core as u64 + 1) << 48));
                let choice = Choice { policy: wish.policy(), turn, draw, now, slow_start: traffic.slow_start };
                let chosen = balance::choose(&upstreams, choice, is_untried).ok_or(NoSeat::Nobody)?;
                // A request that is asked again takes nobody's turn.
                if tried.is_empty() {
                    self.turn.set(chosen + 1);
                }
                chosen
            }
        };
        if !wish.is_counted.replace(true) {
            self.budget.borrow_mut().request(now);
        }
        let makes_sticky = wish.is_sticky() && stays.is_none();
        Ok(Seat::take(self, &upstreams[chosen], makes_sticky, now))
    }

    /// Whether a request may be asked a second time now; counts it when it may.
    pub(crate) fn may_ask_again(&self, now: Moment) -> bool {
        let may = self.budget.borrow_mut().spend(self.traffic.borrow().retry_budget, now);
        if !may {
            self.count(|count| count.again_refused.add(1));
        }
        may
    }

    /// After which time a second upstream is to be asked as well. Nothing while there is no second one, or too little
    /// is known.
    pub(crate) fn hedge_after(&self, hedge: Hedge) -> Option<Duration> {
        if self.upstreams.borrow().len() < 2 {
            return None;
        }
        match hedge {
            Hedge::After(delay) => Some(delay),
            Hedge::Percentile(percent) => self.recent.borrow_mut().percentile(percent),
        }
    }

    /// Counts something that happened to the service.
    pub(crate) fn count(&self, add: impl FnOnce(&ServiceCount)) {
        add(&self.cells.borrow().cores[self.core].0);
    }

    /// Begins to wait for an upstream, unless too many do.
    pub(crate) fn wait(self: &Rc<Self>) -> Option<Waiting> {
        let cells = Arc::clone(&self.cells.borrow());
        if cells.waiting() >= u64::from(self.traffic.borrow().waiting_max) {
            self.count(|count| count.full.add(1));
            return None;
        }
        let waiting = Waiting { cells, core: self.core };
        waiting.cells.cores[self.core].0.waiting.add(1);
        Some(waiting)
    }

    /// A hedge answered before `upstream` did, which was asked `latency` ago.
    pub(crate) fn overtaken(&self, upstream: &Upstream, latency: Duration, now: Moment) {
        self.note(upstream, Outcome::Overtaken.sign(), latency, now);
    }

    /// Remembers how a request to `upstream` went.
    fn note(&self, upstream: &Upstream, sign: Sign, latency: Duration, now: Moment) {
        let traffic = self.traffic.borrow();
        let rules = EjectRules { after: traffic.eject_after, first: traffic.eject_for, most: traffic.eject_for_max };
        let usual = self.usual.get();
        if sign == Sign::Good {
            self.usual.set(balance::follow(usual, latency));
        }
        let may_eject = sign == Sign::Bad && self.may_eject(traffic.eject_share_max, now);
        let mut standing = upstream.standing.get();
        let is_ejected = standing.note(sign, Seen { latency, usual, may_eject, now }, rules);
        upstream.standing.set(standing);
        if is_ejected {
            let until = standing.ejected_until();
            upstream.cells.eject(upstream.core, until);
            self.count(|count| count.ejections.add(1));
            let seconds = until.since(now).as_secs();
            tracing::warn!(
                replica = upstream.id(),
                core = self.core,
                seconds,
                "replica keeps failing, others are asked for a while"
            );
        }
    }

    /// Whether one more upstream may be ejected.
    fn may_eject(&self, share_max: f64, now: Moment) -> bool {
        let upstreams = self.upstreams.borrow();
        let ejected = upstreams.iter().filter(|upstream| upstream.standing.get().is_ejected(now)).count();
        (ejected + 1) as f64 * 100.0 <= share_max * upstreams.len() as f64
    }

    /// Closes connections that have been idle too long or that the upstream has closed.
    pub(crate) fn sweep(&self, now: Moment) {
        for upstream in self.upstreams.borrow().iter() {
            upstream.idle.borrow_mut().retain_mut(|link| now.since(link.idle_since) < IDLE_AGE_MAX && link.settle());
            upstream.idle_bare.sweep(now);
            upstream.shared.sweep(now);
        }
    }
}

impl Candidate for Upstream {
    fn name(&self) -> u64 {
        self.name
    }

    fn load(&self) -> u64 {
        self.cells.load()
    }

    fn own_load(&self) -> u64 {
        self.cells.requests(self.core).get()
    }

    fn standing(&self) -> &Cell<Standing> {
        &self.standing
    }
}

impl Upstream {
    pub(crate) fn new(
        settings: Settings,
        cells: Arc<UpstreamCells>,
        core: usize,
        now: Moment,
        sticky_key: &[u8; 32],
    ) -> Upstream {
        Upstream {
            name: hash::number_of(settings.id.as_bytes()),
            mark: Mark::of(sticky_key, &settings.id),
            settings,
            cells,
            core,
            standing: Cell::new(Standing::new(now)),
            idle: RefCell::default(),
            idle_bare: IdleLinks::default(),
            shared: Rc::default(),
            is_retired: Cell::new(false),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.settings.id
    }

    /// A new connection, or where requests share connections a place on one.
    pub(crate) async fn open(&self, core: &Core) -> Result<Link, NoLink> {
        match self.settings.protocol {
            Protocol::H1 => link::in_time(core, &self.settings, Link::open(core, &self.settings)).await,
            Protocol::H2 => self.shared.take(core, &self.settings).await,
        }
    }

    /// The warmest idle connection that still lives.
    pub(crate) fn take_idle(&self, now: Moment) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if now.since(link.idle_since) < IDLE_AGE_MAX && link.settle() {
                link.is_reused = true;
                return Some(link);
            }
        }
        None
    }

    /// The same for the fast path.
    pub(crate) fn take_bare(&self, now: Moment) -> Option<BareLink> {
        self.idle_bare.take(now)
    }

    pub(crate) fn keep_bare(&self, link: BareLink, now: Moment) {
        if !self.is_retired.get() {
            self.idle_bare.keep(link, now);
        }
    }

    fn keep(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if !self.is_retired.get() && idle.len() < IDLE_MAX {
            idle.push(link);
        }
    }

    fn retire(&self) {
        self.is_retired.set(true);
        self.idle.borrow_mut().clear();
        self.idle_bare.clear();
        self.shared.retire();
    }
}

/// Why nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// There is no upstream, or all were tried.
    Nobody,
    /// The service has as much to do as it may.
    Full,
}

/// How an upstream did with one request, as the balance remembers it. Whoever took a seat and learned how it went says
/// so once; a seat that is given up before, because the client has gone, says nothing about its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered.
    Answered(StatusCode),
    /// It took no connection, so nothing was sent.
    Refused,
    /// The connection ended before the answer began.
    Died,
    /// The answer did not begin in the time that the route allows.
    Expired,
    /// Another upstream, asked later, answered first.
    Overtaken,
}

impl Outcome {
    fn sign(self) -> Sign {
        match self {
            // What is not implemented fails everywhere alike.
            Outcome::Answered(status) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => Sign::Bad,
            Outcome::Answered(_) => Sign::Good,
            Outcome::Died | Outcome::Expired => Sign::Bad,
            Outcome::Refused => Sign::Refused,
            Outcome::Overtaken => Sign::Slow,
        }
    }
}

/// A request's place at an upstream, counted from the choice until the answer has ended.
pub(crate) struct Seat {
    pub(crate) upstream: Rc<Upstream>,
    service: Rc<Service>,
    is_tunnel: bool,
    makes_sticky: bool,
    /// When the connection was last known to live.
    now: Moment,
}

impl Seat {
    fn take(service: &Rc<Service>, upstream: &Rc<Upstream>, makes_sticky: bool, now: Moment) -> Seat {
        upstream.cells.requests(upstream.core).add(1);
        Seat { upstream: Rc::clone(upstream), service: Rc::clone(service), is_tunnel: false, makes_sticky, now }
    }

    /// From a request to a tunnel. Counted there before it is no longer counted here, so that it is never nowhere.
    pub(crate) fn into_tunnel(mut self) -> Seat {
        self.upstream.cells.tunnels(self.upstream.core).add(1);
        self.upstream.cells.requests(self.upstream.core).sub(1);
        self.is_tunnel = true;
        self
    }

    /// How it went, and how long that took.
    pub(crate) fn finished(&mut self, outcome: Outcome, latency: Duration, now: Moment) {
        self.now = now;
        self.service.note(&self.upstream, outcome.sign(), latency, now);
    }

    /// Adds a latency to what hedges are timed by.
    pub(crate) fn remember(&self, latency: Duration) {
        self.service.recent.borrow_mut().observe(latency);
    }

    /// The same, without making the client come back here.
    pub(crate) fn without_cookie(mut self) -> Seat {
        self.makes_sticky = false;
        self
    }

    /// The cookie that brings the client back here, when it does not have it.
    pub(crate) fn set_cookie(&self, name: &str, secure: bool) -> Option<HeaderValue> {
        if self.makes_sticky { self.upstream.mark.set_cookie(name, secure) } else { None }
    }

    /// Keeps the connection for the next request, if it can carry one.
    pub(crate) fn give_back(&self, mut link: Box<Link>) {
        if link.settle() {
            link.idle_since = self.now;
            self.upstream.keep(link);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let cells = &self.upstream.cells;
        let count = if self.is_tunnel { cells.tunnels(self.upstream.core) } else { cells.requests(self.upstream.core) };
        count.sub(1);
    }
}

/// A request that waits for an upstream, counted so that not all of them can.
pub(crate) struct Waiting {
    cells: Arc<ServiceCells>,
    core: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cells.cores[self.core].0.waiting.sub(1);
    }
}
