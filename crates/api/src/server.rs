//! The admin listener and the Unix socket: HTTP/1.1, small bodies, a bound on everything.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prumo_clock::Clock;
use prumo_drain::{Stage, Stopping, Task};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::answer::{Event, Refusal, RefusalKind, Reply, json_line};
use crate::ask::Ask;
use crate::role::{Access, Role};
use crate::route::{Found, Request, find};
use crate::token::Tokens;

/// Connections served at once on each listener. People and scrapers need a handful.
const CONNECTIONS_MAX: usize = 256;
/// The largest body: a secret such as a key file, of which JSON may write every byte as six.
const BODY_BYTES_MAX: usize = 6 * SECRET_BYTES_MAX + 1024;
/// The largest secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take to send a head or a body.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the answer to a change waits for its first event: one that is refused has a status of its own by then.
const FIRST_EVENT_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name for the audit log.
    pub name: String,
    /// What they may do; nothing when they showed no token.
    pub role: Option<Role>,
}

impl Caller {
    /// Whether they came over the command socket without a token: somebody who is on this machine as its owner.
    pub fn is_owner(&self) -> bool {
        self.role == Some(Role::Admin) && self.name.starts_with("user ")
    }
}

/// The function that answers. The binary hands it in.
pub type Answering =
    Arc<dyn Fn(Ask, Caller) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>> + Send + Sync>;

/// What both listeners share.
#[derive(Clone)]
pub struct Door {
    /// Who is known.
    pub tokens: Tokens,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// Who answers.
    pub answering: Answering,
    /// Time.
    pub clock: Clock,
}

/// Where questions come in.
pub enum Listener {
    /// The admin listener.
    Tcp(TcpListener),
    /// The command socket in the state folder.
    Socket(UnixListener),
}

/// A connection of either kind.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Listener {
    fn name(&self) -> &'static str {
        match self {
            Listener::Tcp(_) => "admin listener",
            Listener::Socket(_) => "command socket",
        }
    }

    async fn accept(&self) -> std::io::Result<(Box<dyn Duplex>, Entrance)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Entrance::Tcp))
            }
            Listener::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Entrance::Socket { user }))
            }
        }
    }
}

/// Where a connection came in.
#[derive(Clone)]
enum Entrance {
    Tcp,
    /// The socket in the state folder, with the user id at its other end.
    Socket {
        user: u32,
    },
}

impl Door {
    /// A door over these tokens and this function.
    #[must_use]
    pub fn new(tokens: Tokens, metrics_open: bool, answering: Answering, clock: Clock) -> Door {
        Door { tokens, metrics_open, answering, clock }
    }

    /// Serves a listener until the stage stops, or until the task is aborted: connections then go on.
    pub fn serve(&self, listener: Listener, stage: &Stage) -> Task {
        let (door, stage_of_connections) = (self.clone(), stage.clone());
        // One for each: whoever crowds the admin listener must not lock the owner's command line out.
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        stage.spawn(listener.name(), async move {
            let stopping = stage_of_connections.stopping();
            loop {
                let accepted = tokio::select! {
                    () = stopping.wait() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, entrance)) => {
                        // Above the bound the connection is closed at once: a waiting queue would only hide the trouble.
                        if let Ok(place) = places.clone().try_acquire_owned() {
                            door.take(stream, entrance, place, &stage_of_connections);
                        }
                    }
                    Err(error) => door.pause(listener.name(), &error).await,
                }
            }
        })
    }

    async fn pause(&self, listener: &str, error: &std::io::Error) {
        tracing::warn!(listener, %error, "connection not accepted");
        self.clock.sleep(ACCEPT_PAUSE).await;
    }

    fn take(&self, stream: Box<dyn Duplex>, entrance: Entrance, place: OwnedSemaphorePermit, stage: &Stage) {
        let (door, stopping) = (self.clone(), stage.stopping());
        stage.spawn("admin connection", async move {
            door.converse(stream, entrance, stopping).await;
            drop(place);
        });
    }

    async fn converse(&self, stream: Box<dyn Duplex>, entrance: Entrance, stopping: Stopping) {
        let ended = stopping.clone();
        let service = service_fn(|request| {
            let (entrance, ended) = (entrance.clone(), ended.clone());
            async move { Ok::<_, Infallible>(self.respond(request, &entrance, ended).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIME_MAX)
            .max_headers(64)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => drop(ended),
            () = stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
        }
    }

    async fn respond(
        &self,
        request: http::Request<Incoming>,
        entrance: &Entrance,
        stopping: Stopping,
    ) -> Response<Answer> {
        let reply = match self.answer(request, entrance).await {
            Ok(Reply::Events(events)) => return stream(events, stopping, &self.clock).await,
            Ok(reply) => reply,
            Err(refusal) => return refuse(&refusal),
        };
        match reply {
            Reply::Document(status, body) => respond(status, "application/json", body),
            Reply::Text { content_type, body } => respond(200, content_type, Bytes::from(body)),
            Reply::Events(_) => unreachable!("returned above"),
        }
    }

    async fn answer(&self, request: http::Request<Incoming>, entrance: &Entrance) -> Result<Reply, Refusal> {
        check_host(request.headers(), entrance)?;
        let caller = self.caller(request.headers(), entrance);
        let (parts, body) = request.into_parts();
        let (route, parameters) = match find(parts.method.as_str(), parts.uri.path()) {
            Found::Route(route, parameters) => (route, parameters),
            other => return Err(no_route(&other, &parts.method, parts.uri.path())),
        };
        let open = route.access == Access::Anyone || self.metrics_open && route.path == "/metrics";
        let caller = match caller {
            Ok(caller) => caller,
            // A supervisor with a revoked token must not believe that prumo is down.
            Err(_) if open => Caller { name: "anonymous".to_owned(), role: None },
            Err(refusal) => return Err(refusal),
        };
        if !open && !route.access.admits(caller.role) {
            return Err(denied(&caller, route.access));
        }
        let body = self.read_body(body).await?;
        let ask = (route.read)(&Request::new(parameters, parts.uri.query().unwrap_or(""), &body))?;
        (self.answering)(ask, caller).await
    }

    async fn read_body(&self, body: Incoming) -> Result<Bytes, Refusal> {
        let read = self.clock.timeout(REQUEST_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
        match read {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(_)) => Err(Refusal::new(
                RefusalKind::Malformed,
                format!("the body is larger than {BODY_BYTES_MAX} bytes or broke off"),
            )),
            Err(_) => Err(Refusal::new(RefusalKind::Malformed, "the body did not arrive in time")),
        }
    }

    fn caller(&self, headers: &HeaderMap, entrance: &Entrance) -> Result<Caller, Refusal> {
        if let Some(token) = bearer(headers) {
            let Some((name, role)) = self.tokens.holder(token) else {
                return Err(Refusal::new(RefusalKind::Unauthenticated, "this token is not known here")
                    .hint("`prumo token list` shows the tokens there are, `prumo token create` makes one"));
            };
            return Ok(Caller { name: format!("token {name}"), role: Some(role) });
        }
        Ok(match entrance {
            Entrance::Socket { user } if is_owner(*user) => {
                Caller { name: format!("user {user}"), role: Some(Role::Admin) }
            }
            Entrance::Socket { user } => Caller { name: format!("user {user}"), role: None },
            Entrance::Tcp => Caller { name: "anonymous".to_owned(), role: None },
        })
    }
}

/// Root and the user who runs prumo own the site: they can read its state folder anyway.
fn is_owner(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A page in somebody's browser can point a name of its own at 127.0.0.1; it cannot make the browser send an address as Host.
fn check_host(headers: &HeaderMap, entrance: &Entrance) -> Result<(), Refusal> {
    if matches!(entrance, Entrance::Socket { .. }) {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    if host_is_address(host) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Forbidden,
        "the admin listener answers to an address or to localhost, not to other names",
    )
    .hint("use http://127.0.0.1:7700 or the address you gave in `[admin] listen`"))
}

fn host_is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn no_route(found: &Found, method: &http::Method, path: &str) -> Refusal {
    match found {
        Found::OtherMethods(methods) => {
            Refusal::new(RefusalKind::Malformed, format!("{path} does not take {method}, only {}", methods.join(", ")))
        }
        _ => Refusal::new(RefusalKind::NoSuchThing, format!("there is no {path} here"))
            .hint("docs/reference/openapi.json lists every route"),
    }
}

fn denied(caller: &Caller, access: Access) -> Refusal {
    let Access::AtLeast(needed) = access else { unreachable!("a route for anyone denies nobody") };
    let needed = needed.word();
    match caller.role {
        None => Refusal::new(RefusalKind::Unauthenticated, format!("this needs a token with the role {needed}")).hint(
            format!("`prumo token create NAME --role {needed}` makes one; send it as `Authorization: Bearer TOKEN`"),
        ),
        Some(held) => Refusal::new(
            RefusalKind::Forbidden,
            format!("this needs the role {needed}, and this token has {}", held.word()),
        ),
    }
}

fn refuse(refusal: &Refusal) -> Response<Answer> {
    let mut response = respond(refusal.kind.status(), "application/json", json_line(refusal));
    if refusal.kind == RefusalKind::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Full::new(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("statuses come from our own tables");
    secure(response.headers_mut(), content_type);
    response
}

fn secure(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
}

/// A stream whose first event is a refusal becomes a plain refusal, with its status. One that takes its time for the
/// first event begins without it: a stop may take longer than anybody waits for the head of an answer.
async fn stream(mut events: mpsc::Receiver<Event>, stopping: Stopping, clock: &Clock) -> Response<Answer> {
    let first = clock.timeout(FIRST_EVENT_WITHIN, events.recv()).await.unwrap_or(None);
    if let Some(Event::Refused(refusal)) = &first {
        return refuse(refusal);
    }
    let mut response = Response::new(Answer::Events {
        next: first.as_ref().map(json_line),
        events,
        stopping: Box::pin(async move { stopping.wait().await }),
    });
    secure(response.headers_mut(), "application/x-ndjson");
    response
}

/// The body of an answer.
enum Answer {
    Whole(Full<Bytes>),
    Events { next: Option<Bytes>, events: mpsc::Receiver<Event>, stopping: Pin<Box<dyn Future<Output = ()> + Send>> },
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        use std::task::Poll;
        match self.get_mut() {
            Answer::Whole(body) => Pin::new(body).poll_frame(context),
            Answer::Events { next, events, stopping } => {
                if let Some(first) = next.take() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                match events.poll_recv(context) {
                    Poll::Ready(event) => Poll::Ready(event.map(|event| Ok(Frame::data(json_line(&event))))),
                    // Someone who follows the logs must not hold up the end of the process.
                    Poll::Pending => stopping.as_mut().poll(context).map(|()| None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
