//! The small app that `prumo demo` runs three times behind the edge: a page, a few answers of every kind, a web socket.
//!
//! It behaves as a good app should when it is told to stop: no new connections, every request finished, each web
//! socket told to come back (`1001`), exit code 0. `DEMO_BREAK` makes a release bad on purpose, so that a failing deploy can be seen.

mod answer;
mod frame;
mod web_socket;

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prumo_clock::Clock;
use prumo_drain::{Drain, Signal, Stage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// How long requests and web sockets may take to finish after a stop; below the 30 seconds that a service gets by default.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait after a failed accept, so that a full file table does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until SIGTERM; the whole life of the demo app.
pub(crate) fn serve() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return give_up(format_args!("the demo app has no runtime: {error}")),
    };
    tokio::task::LocalSet::new().block_on(&runtime, live(Clock::system()))
}

async fn live(clock: Clock) -> ExitCode {
    let who = Who::from_environment();
    let breakage = Breakage::from_environment();
    if breakage == Some(Breakage::Exit) {
        return give_up("DEMO_BREAK=exit: this release leaves at once, on purpose");
    }
    let listener = match Listener::bind().await {
        Ok(listener) => listener,
        Err(why) => return give_up(why),
    };
    let mut signals = prumo_drain::signals();
    let drain = Drain::new(clock.clone());
    let requests = drain.stage("requests");
    let door = drain.stage("door");
    say(format_args!("{who} listens on {}", listener.address()));
    let app = Rc::new(App { who, breakage, clock, requests, answered: Cell::new(0) });
    door.spawn_local("accept", accept(listener, Rc::clone(&app), door.clone()));

    while signals.next().await != Signal::Stop {}
    say(format_args!("{} stops: finishing what is in flight", app.who));
    drain.stop(STOP_WITHIN).await;
    say(format_args!("{} has stopped after {} requests", app.who, app.answered.get()));
    ExitCode::SUCCESS
}

/// Takes connections until the door closes; the ones already taken belong to the stage of requests, which stops later.
async fn accept(listener: Listener, app: Rc<App>, door: Stage) {
    let stopping = door.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.wait() => return,
        };
        match accepted {
            Ok(stream) => {
                app.requests.spawn_local("connection", connection(stream, Rc::clone(&app)));
            }
            Err(error) => {
                say(format_args!("{} could not accept a connection: {error}", app.who));
                app.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection; on a stop the request under way is the last one.
async fn connection(stream: Box<dyn Duplex>, app: Rc<App>) {
    let stopping = app.requests.stopping();
    let service = service_fn(move |request| {
        let app = Rc::clone(&app);
        async move { Ok::<_, Infallible>(answer::answer(request, app).await) }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    // How a connection ends is the peer's business: the edge closes idle ones whenever it likes.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopping.wait() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// What every request can see.
struct App {
    who: Who,
    breakage: Option<Breakage>,
    clock: Clock,
    requests: Stage,
    answered: Cell<u64>,
}

/// Which replica this is.
struct Who {
    replica: String,
    release: String,
    pid: u32,
}

impl Who {
    fn from_environment() -> Who {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Who {
            replica: read("REPLICA").unwrap_or_else(|| "alone".to_owned()),
            release: read("RELEASE").unwrap_or_else(|| "none".to_owned()),
            pid: std::process::id(),
        }
    }
}

impl Display for Who {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "replica {} of release {} (pid {})", self.replica, self.release, self.pid)
    }
}

/// The ways in which `DEMO_BREAK` makes a release bad on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breakage {
    /// `exit`: leaves with code 1 as soon as it is started.
    Exit,
    /// `500`: every answer is an error.
    Error,
    /// `hang`: takes connections and never answers.
    Hang,
    /// `slow`: every answer takes longer than a probe waits.
    Slow,
}

impl Breakage {
    fn from_environment() -> Option<Breakage> {
        match std::env::var("DEMO_BREAK").ok()?.as_str() {
            "" => None,
            "exit" => Some(Breakage::Exit),
            "500" => Some(Breakage::Error),
            "hang" => Some(Breakage::Hang),
            "slow" => Some(Breakage::Slow),
            other => {
                say(format_args!(
                    "DEMO_BREAK={other} means nothing to the demo app: it knows exit, 500, hang and slow"
                ));
                None
            }
        }
    }
}

/// Where requests come in: the port or the Unix socket that prumo gave this replica.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    async fn bind() -> Result<Listener, String> {
        if let Some(path) = std::env::var_os("SOCKET").map(PathBuf::from) {
            let listener = UnixListener::bind(&path);
            let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
            return Ok(Listener::Unix(listener, path));
        }
        let port = std::env::var("PORT").ok().and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or("the demo app needs PORT or SOCKET\nhint: `prumo demo` starts it with both set right")?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        listener.map(Listener::Tcp).map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))
    }

    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers leave at once instead of waiting for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }

    fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Listener::Unix(_, path) => path.display().to_string(),
        }
    }
}

/// A connection of either kind.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<Stream: AsyncRead + AsyncWrite + Unpin + Send> Duplex for Stream {}

/// Prints one line for `prumo logs`; an app whose output is gone goes on serving.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn give_up(why: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {why}");
    ExitCode::FAILURE
}
