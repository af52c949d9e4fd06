//! Open-loop load: requests leave at a fixed rate whether or not the ones before were answered, as users do.
//!
//! Latency counts from the moment a request was due, so a server that stalls is charged for everybody who had to wait
//! (a closed loop would quietly send less). Requests are a mix of GET and POST, on kept and on new connections; the
//! answer to each is read to its end and compared. Web sockets send a numbered message every 100 ms and expect it back.

mod report;
mod request;
pub(crate) mod web_socket;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

pub use report::{Failure, FailureKind, Latency, Report, Sockets};
use request::Sender;

use crate::process::eventually;

/// Requests waiting for their answer at once. A server that stalls for ten seconds at 400 a second stays below it.
const IN_FLIGHT_MAX: usize = 4096;

/// How often the dispatcher looks whether it was told to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the edge listens. Only loopback addresses are taken: this is not a weapon.
    pub edge: SocketAddr,
    /// Requests a second.
    pub rate: u32,
    /// Web sockets held open the whole time.
    pub web_sockets: u32,
    /// The load ends by itself after this long.
    pub lasts_max: Duration,
    /// What each GET asks for.
    pub get: String,
    /// Where each POST goes; the answer must be the body that was sent.
    pub post: String,
    /// Where web sockets connect.
    pub web_socket: String,
    /// No request waits longer.
    pub patience: Duration,
}

impl Load {
    /// A load on the paths of the demo app: 200 requests a second for at most a minute, no web sockets.
    pub fn on(edge: SocketAddr) -> Load {
        Load {
            edge,
            rate: 200,
            web_sockets: 0,
            lasts_max: Duration::from_secs(60),
            get: "/bytes?n=1024".to_owned(),
            post: "/echo".to_owned(),
            web_socket: "/ws".to_owned(),
            // No user would wait as long; but a machine that runs many tests may stand still for seconds.
            patience: Duration::from_secs(30),
        }
    }

    /// The same at another rate.
    #[must_use]
    pub fn rate(self, rate: u32) -> Load {
        Load { rate, ..self }
    }

    /// The same with so many web sockets.
    #[must_use]
    pub fn web_sockets(self, web_sockets: u32) -> Load {
        Load { web_sockets, ..self }
    }

    /// The same for at most so long.
    #[must_use]
    pub fn lasting(self, lasts_max: Duration) -> Load {
        Load { lasts_max, ..self }
    }

    /// Starts the load on a thread of its own.
    ///
    /// # Panics
    /// When the address is not a loopback address.
    pub fn start(self) -> Running {
        assert!(self.edge.ip().is_loopback(), "load goes to loopback addresses only, and {} is not one", self.edge);
        assert!(
            (1..=50_000).contains(&self.rate),
            "a rate of {} a second is not one this generator can keep",
            self.rate
        );
        let enough = Arc::new(AtomicBool::new(false));
        let so_far = Arc::new(Mutex::new(SoFar::default()));
        let thread = std::thread::Builder::new().name("load".to_owned()).spawn({
            let (enough, so_far) = (Arc::clone(&enough), Arc::clone(&so_far));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                LocalSet::new().block_on(&runtime, drive(self, &enough, &so_far))
            }
        });
        Running { enough, so_far, thread: thread.unwrap() }
    }
}

/// A load under way.
pub struct Running {
    enough: Arc<AtomicBool>,
    so_far: Arc<Mutex<SoFar>>,
    thread: JoinHandle<Report>,
}

/// What a load that is under way has seen, for tests that wait for something to be seen.
#[derive(Clone, Debug, Default)]
pub struct SoFar {
    /// Requests answered as they should be.
    pub ok: u64,
    /// How many failed, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// What became of the web sockets.
    pub sockets: Sockets,
}

impl Running {
    /// What was seen until a moment ago.
    pub fn so_far(&self) -> SoFar {
        self.so_far.lock().unwrap().clone()
    }

    /// Waits until something was seen, and at most for a minute; says whether it was.
    pub fn sees(&self, what: impl Fn(&SoFar) -> bool) -> bool {
        eventually(Duration::from_secs(60), || what(&self.so_far()))
    }

    /// Sends no more, waits for the answers that are due, and accounts for everything.
    pub fn stop(self) -> Report {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }

    /// Waits until the load ends by itself.
    pub fn wait(self) -> Report {
        self.thread.join().unwrap()
    }
}

/// What the tasks of one load share.
struct Account {
    began: Instant,
    closing: Cell<bool>,
    in_flight: Cell<usize>,
    report: RefCell<Report>,
}

impl Account {
    fn so_far(&self) -> SoFar {
        let report = self.report.borrow();
        SoFar { ok: report.ok, failed: report.failed.clone(), sockets: report.sockets }
    }

    fn failed(&self, kind: FailureKind, detail: impl Into<String>) {
        self.failed_since(self.began.elapsed(), kind, detail);
    }

    fn failed_since(&self, sent_after: Duration, kind: FailureKind, detail: impl Into<String>) {
        let failure = Failure { kind, sent_after, at: self.began.elapsed(), detail: detail.into() };
        self.report.borrow_mut().count_failure(failure);
    }
}

async fn drive(load: Load, enough: &AtomicBool, so_far: &Mutex<SoFar>) -> Report {
    let load = Rc::new(load);
    let account = Rc::new(Account {
        began: Instant::now(),
        closing: Cell::new(false),
        in_flight: Cell::new(0),
        report: RefCell::default(),
    });
    let sockets: Vec<_> = (0..load.web_sockets)
        .map(|number| tokio::task::spawn_local(web_socket::keep_talking(number, Rc::clone(&load), Rc::clone(&account))))
        .collect();
    // They begin even where every request is overdue already.
    tokio::task::yield_now().await;
    dispatch(&load, &account, enough, so_far).await;
    account.closing.set(true);
    for socket in sockets {
        socket.await.unwrap();
    }
    while account.in_flight.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut report = account.report.take();
    report.lasted = account.began.elapsed();
    report
}

/// Starts each request when it is due, late ones at once, until somebody has seen enough.
async fn dispatch(load: &Rc<Load>, account: &Rc<Account>, enough: &AtomicBool, so_far: &Mutex<SoFar>) {
    let sender = Rc::new(Sender::new(load));
    let between = Duration::from_secs(1) / load.rate;
    for number in 0_u32.. {
        *so_far.lock().unwrap() = account.so_far();
        let due = account.began + between * number;
        while let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
            if enough.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(wait.min(LOOK_EVERY)).await;
        }
        if enough.load(Ordering::Relaxed) || due.duration_since(account.began) >= load.lasts_max {
            return;
        }
        if account.in_flight.get() >= IN_FLIGHT_MAX {
            account.failed(FailureKind::NotSent, format!("{IN_FLIGHT_MAX} requests were waiting already"));
            continue;
        }
        account.in_flight.set(account.in_flight.get() + 1);
        tokio::task::spawn_local(send(number, due, load.patience, Rc::clone(&sender), Rc::clone(account)));
    }
}

async fn send(number: u32, due: Instant, patience: Duration, sender: Rc<Sender>, account: Rc<Account>) {
    account.report.borrow_mut().sent += 1;
    let sent_after = account.began.elapsed();
    match tokio::time::timeout(patience, sender.send(number)).await {
        Ok(Ok(())) => account.report.borrow_mut().count_success(due.elapsed()),
        Ok(Err((kind, detail))) => account.failed_since(sent_after, kind, detail),
        Err(_) => {
            account.failed_since(sent_after, FailureKind::Timeout, format!("no whole answer within {patience:?}"));
        }
    }
    account.in_flight.set(account.in_flight.get() - 1);
}
