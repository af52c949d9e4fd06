//! What the demo app answers: one of every kind of response that a proxy has to carry.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::{App, Breakage, Who, say, web_socket};

type Request = http::Request<Incoming>;
type Response = http::Response<UnsyncBoxBody<Bytes, BodyError>>;
type BodyError = Box<dyn std::error::Error + Send + Sync>;

const PAGE: &str = include_str!("page.html");

/// The page needs its own style and script and may talk to its own origin; nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The most that `/bytes` gives: enough to fill any buffer on the way, little enough for a laptop.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The longest that `/slow` waits: longer than the edge's own timeout, so that it can be seen.
const SLOW_MAX_MS: u64 = 120_000;

/// How long `DEMO_BREAK=slow` takes for each answer: longer than a probe waits by default.
const BROKEN_SLOWNESS: Duration = Duration::from_secs(20);

/// Between two events of `/stream`.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// Answers one request, or breaks in the way that the environment asked for.
pub(super) async fn answer(request: Request, app: Rc<App>) -> Response {
    app.answered.set(app.answered.get() + 1);
    match app.breakage {
        Some(Breakage::Error) => {
            return complaint(StatusCode::INTERNAL_SERVER_ERROR, "this release is broken on purpose");
        }
        Some(Breakage::Hang) => std::future::pending().await,
        Some(Breakage::Slow) => app.clock.sleep(BROKEN_SLOWNESS).await,
        Some(Breakage::Exit) | None => {}
    }
    let wanted = if request.uri().path() == "/echo" { Method::POST } else { Method::GET };
    if request.method() != wanted && !(request.method() == Method::HEAD && wanted == Method::GET) {
        let mut response = complaint(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method");
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(if wanted == Method::GET { "GET, HEAD" } else { "POST" }));
        return response;
    }
    route(request, app).await
}

async fn route(request: Request, app: Rc<App>) -> Response {
    match request.uri().path() {
        "/" => page(&app),
        "/health" => json(r#"{"status":"healthy"}"#.to_owned()),
        "/whoami" => json(whoami(&app.who)),
        "/echo" => echo(request),
        "/bytes" => bytes(number(&request, "n", 1024, BYTES_MAX)),
        "/slow" => slow(number(&request, "ms", 200, SLOW_MAX_MS), &app).await,
        "/stream" => stream(&app),
        "/ws" => upgrade(request, &app),
        _ => complaint(StatusCode::NOT_FOUND, "there is nothing at this address"),
    }
}

fn page(app: &App) -> Response {
    let who = &app.who;
    let text = PAGE
        .replace("{{replica}}", &escaped(&who.replica))
        .replace("{{release}}", &escaped(&who.release))
        .replace("{{pid}}", &who.pid.to_string())
        .replace("{{answered}}", &app.answered.get().to_string());
    let mut response = with_type("text/html; charset=utf-8", Full::from(text));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn whoami(who: &Who) -> String {
    serde_json::json!({ "replica": who.replica, "release": who.release, "pid": who.pid }).to_string()
}

/// Sends the body back as it comes: a proxy that collects bodies is found out here.
fn echo(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = request.into_body().map_frame(|frame| Frame::data(frame.into_data().unwrap_or_default()));
    let mut response = http::Response::new(body.map_err(BodyError::from).boxed_unsync());
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn bytes(count: u64) -> Response {
    with_type("application/octet-stream", Repeated { left: count })
}

async fn slow(milliseconds: u64, app: &App) -> Response {
    app.clock.sleep(Duration::from_millis(milliseconds)).await;
    json(format!(r#"{{"waited_ms":{milliseconds}}}"#))
}

/// Server-sent events, one a second, until the reader leaves or the app stops.
fn stream(app: &Rc<App>) -> Response {
    let (events, body) = mpsc::channel(1);
    app.requests.spawn_local("event stream", tell_events(Rc::clone(app), events));
    let mut response = with_type("text/event-stream", Events(body));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell_events(app: Rc<App>, events: mpsc::Sender<Bytes>) {
    let stopping = app.requests.stopping();
    for number in 1_u64.. {
        let event = format!(
            "id: {number}\nevent: tick\ndata: {{\"replica\":{:?},\"at\":\"{}\"}}\n\n",
            app.who.replica,
            app.clock.wall()
        );
        if events.send(Bytes::from(event)).await.is_err() {
            return;
        }
        tokio::select! {
            () = app.clock.sleep(EVENT_EVERY) => {}
            // The reader connects again by itself and meets another replica.
            () = stopping.wait() => return,
        }
    }
}

fn upgrade(mut request: Request, app: &Rc<App>) -> Response {
    let accept = match web_socket::accept(request.headers()) {
        Ok(accept) => accept,
        Err(why) => return complaint(StatusCode::UPGRADE_REQUIRED, why),
    };
    app.requests.spawn_local("web socket", talk(hyper::upgrade::on(&mut request), Rc::clone(app)));
    let mut response = http::Response::new(Full::default().map_err(never).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header value"));
    response
}

async fn talk(upgraded: OnUpgrade, app: Rc<App>) {
    let Ok(stream) = upgraded.await else { return };
    let ending = web_socket::echo(TokioIo::new(stream), &app.clock, &app.requests.stopping()).await;
    if ending != web_socket::Ending::PeerClosed {
        say(format_args!("{}: a web socket ended: {ending}", app.who));
    }
}

fn json(text: String) -> Response {
    with_type("application/json", Full::from(text))
}

fn complaint(status: StatusCode, message: &str) -> Response {
    let mut response = json(serde_json::json!({ "error": message }).to_string());
    *response.status_mut() = status;
    response
}

fn with_type<Source>(content_type: &'static str, body: Source) -> Response
where
    Source: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut response = http::Response::new(body.map_err(never).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn never(impossible: Infallible) -> BodyError {
    match impossible {}
}

/// A number from the query, within its bound; anything else is the default.
fn number(request: &Request, name: &str, default: u64, most: u64) -> u64 {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u64>().ok());
    value.unwrap_or(default).min(most)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A body of so many bytes that is never held whole.
struct Repeated {
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 16 * 1024] = [b'.'; 16 * 1024];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.left.min(PIECE.len() as u64);
        self.left -= piece;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..piece as usize])))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

/// A body that is told as it happens.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
