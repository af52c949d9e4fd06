//! One core's view of the services: their upstreams, the idle connections to them, and who is being served.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prumo_clock::Moment;

use crate::balance;
use crate::link::Link;
use crate::metrics::UpstreamCells;
use crate::settings::{Address, Balance};

/// Idle connections kept to one upstream by one core: enough for the 64 clients of a usual benchmark and its bursts.
const IDLE_MAX: usize = 128;

/// Below the 5 s after which uvicorn and Node close an idle connection, so that we seldom race them.
const IDLE_AGE_MAX: Duration = Duration::from_secs(4);

/// How long a refused connection keeps this core from asking that upstream again while there are others.
const AVOID_FOR: Duration = Duration::from_secs(1);

/// A service, as this core knows it. It lives as long as any request needs it; its upstreams change under it.
pub(crate) struct Service {
    upstreams: RefCell<Vec<Rc<Upstream>>>,
    turn: Cell<usize>,
}

/// One replica, as this core knows it.
pub(crate) struct Upstream {
    pub(crate) id: String,
    pub(crate) address: Address,
    pub(crate) cells: Arc<UpstreamCells>,
    core: usize,
    /// Last in, first out: the warmest connection is used, the others may grow old.
    #[expect(clippy::vec_box, reason = "a link is large, and moved in and out for every request")]
    idle: RefCell<Vec<Box<Link>>>,
    /// No longer in the table: connections to it are not kept.
    is_retired: Cell<bool>,
    avoid_until: Cell<Moment>,
}

impl Service {
    pub(crate) fn new(turn: usize) -> Service {
        Service { upstreams: RefCell::default(), turn: Cell::new(turn) }
    }

    pub(crate) fn upstreams(&self) -> std::cell::Ref<'_, Vec<Rc<Upstream>>> {
        self.upstreams.borrow()
    }

    /// Takes the new list and retires who is no longer on it.
    pub(crate) fn replace(&self, upstreams: Vec<Rc<Upstream>>) {
        let before = self.upstreams.replace(upstreams);
        let now = self.upstreams.borrow();
        for upstream in before.iter().filter(|old| !now.iter().any(|new| Rc::ptr_eq(old, new))) {
            upstream.retire();
        }
    }

    /// Chooses an upstream that is not in `tried` and takes a seat there. Nothing is awaited between looking at the
    /// list and counting the seat, so a core that has taken a new list can never again pick from an older one.
    pub(crate) fn take_seat(&self, wish: &Wish, now: Moment, tried: &[Rc<Upstream>]) -> Result<Seat, NoSeat> {
        let upstreams = self.upstreams.borrow();
        let is_untried = |index: usize| !tried.iter().any(|tried| Rc::ptr_eq(tried, &upstreams[index]));
        let is_well = |index: usize| upstreams[index].avoid_until.get() <= now && is_untried(index);
        let chosen = self
            .choose(wish.balance, &upstreams, is_well)
            .or_else(|| self.choose(wish.balance, &upstreams, is_untried))
            .ok_or(NoSeat::Nobody)?;
        self.turn.set(chosen + 1);
        Ok(Seat::take(&upstreams[chosen]))
    }

    fn choose(&self, balance: Balance, upstreams: &[Rc<Upstream>], usable: impl Fn(usize) -> bool) -> Option<usize> {
        let (turn, count) = (self.turn.get(), upstreams.len());
        match balance {
            Balance::RoundRobin => balance::round_robin(turn, count, usable),
            Balance::LeastConnections => {
                balance::least_connections(turn, count, |index| upstreams[index].cells.load(), usable)
            }
        }
    }

    /// Closes connections that have been idle too long or that the upstream has closed.
    pub(crate) fn sweep(&self, now: Moment) {
        for upstream in self.upstreams.borrow().iter() {
            upstream.idle.borrow_mut().retain_mut(|link| now.since(link.idle_since) < IDLE_AGE_MAX && link.settle());
        }
    }
}

impl Upstream {
    pub(crate) fn new(id: String, address: Address, cells: Arc<UpstreamCells>, core: usize) -> Upstream {
        Upstream {
            id,
            address,
            cells,
            core,
            idle: RefCell::default(),
            is_retired: Cell::new(false),
            avoid_until: Cell::new(Moment::from_nanos(0)),
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

    fn keep(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if !self.is_retired.get() && idle.len() < IDLE_MAX {
            idle.push(link);
        }
    }

    fn retire(&self) {
        self.is_retired.set(true);
        self.idle.borrow_mut().clear();
    }
}

/// What one request wants of the balance. Made from its head, before it is known who can be asked.
pub(crate) struct Wish {
    balance: Balance,
}

impl Wish {
    pub(crate) fn new(balance: Balance) -> Wish {
        Wish { balance }
    }
}

/// Why nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// There is no upstream, or all were tried.
    Nobody,
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
}

/// A request's place at an upstream, counted from the choice until the answer has ended.
pub(crate) struct Seat {
    pub(crate) upstream: Rc<Upstream>,
    is_tunnel: bool,
    /// When the connection was last known to live.
    now: Moment,
}

impl Seat {
    fn take(upstream: &Rc<Upstream>) -> Seat {
        upstream.cells.requests(upstream.core).add(1);
        Seat { upstream: Rc::clone(upstream), is_tunnel: false, now: Moment::from_nanos(0) }
    }

    /// From a request to a tunnel. Counted there before it is no longer counted here, so that it is never nowhere.
    pub(crate) fn into_tunnel(mut self) -> Seat {
        self.upstream.cells.tunnels(self.upstream.core).add(1);
        self.upstream.cells.requests(self.upstream.core).sub(1);
        self.is_tunnel = true;
        self
    }

    /// How it went, and how long that took.
    pub(crate) fn finished(&mut self, outcome: Outcome, _latency: Duration, now: Moment) {
        self.now = now;
        if outcome == Outcome::Refused {
            self.upstream.avoid_until.set(now + AVOID_FOR);
        }
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
