//! One request of the mix, from the connection to the last byte of the answer.

use std::cell::RefCell;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{FailureKind, Load};

/// Kept connections that wait for their next request; more are closed.
const KEPT_MAX: usize = 64;

/// The body of a POST: long enough to span several writes, with its number inside so that no two are alike.
const POST_BYTES: usize = 20_000;

type Failed = (FailureKind, String);
type Connection = SendRequest<Full<Bytes>>;

/// Sends requests of the mix and checks their answers.
pub(super) struct Sender {
    edge: SocketAddr,
    get: String,
    post: String,
    /// A GET that says how many bytes it wants gets that many.
    get_bytes: Option<usize>,
    kept: RefCell<Vec<Connection>>,
}

impl Sender {
    pub(super) fn new(load: &Load) -> Sender {
        let get_bytes = load.get.split_once("?n=").and_then(|(_, count)| count.parse().ok());
        Sender { edge: load.edge, get: load.get.clone(), post: load.post.clone(), get_bytes, kept: RefCell::default() }
    }

    /// Of ten requests five are GET and two POST on kept connections, two GET and one POST on new ones.
    pub(super) async fn send(&self, number: u32) -> Result<(), Failed> {
        let (method, keep) = match number % 10 {
            0 | 5 => (Method::GET, false),
            3 => (Method::POST, false),
            2 | 7 => (Method::POST, true),
            _ => (Method::GET, true),
        };
        let body = if method == Method::POST { body(number) } else { Bytes::new() };
        let mut connection = if keep { self.kept_or_new().await? } else { self.connect().await? };
        let answer = self.exchange(&mut connection, &method, body.clone(), keep).await?;
        self.check(&method, &body, &answer)?;
        if keep && self.kept.borrow().len() < KEPT_MAX {
            self.kept.borrow_mut().push(connection);
        }
        Ok(())
    }

    async fn kept_or_new(&self) -> Result<Connection, Failed> {
        loop {
            let Some(mut connection) = self.kept.borrow_mut().pop() else { return self.connect().await };
            // One that the server has closed while it was idle is no failure; a browser opens another, too.
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failed> {
        let stream = TcpStream::connect(self.edge).await.map_err(|error| (FailureKind::Connect, error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| (FailureKind::Connect, error.to_string()))?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| reset(&error))?;
        tokio::task::spawn_local(async move {
            // Its end reaches the request that waits for it.
            let _ = driver.await;
        });
        Ok(connection)
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        method: &Method,
        body: Bytes,
        keep: bool,
    ) -> Result<Bytes, Failed> {
        let path = if method == Method::POST { &self.post } else { &self.get };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.edge.to_string());
        if !keep {
            request = request.header(header::CONNECTION, "close");
        }
        let request = request.body(Full::new(body)).expect("the method, path and headers are fixed");
        let response = connection.send_request(request).await.map_err(|error| reset(&error))?;
        let status = response.status();
        let answer = response.into_body().collect().await.map_err(|error| reset(&error))?.to_bytes();
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
            return Err((FailureKind::Status(status.as_u16()), format!("{method} {path}: {text}")));
        }
        Ok(answer)
    }

    fn check(&self, method: &Method, body: &Bytes, answer: &Bytes) -> Result<(), Failed> {
        let as_expected = match self.get_bytes {
            _ if method == Method::POST => answer == body,
            Some(count) => answer.len() == count,
            None => !answer.is_empty(),
        };
        if as_expected {
            return Ok(());
        }
        Err((FailureKind::WrongBody, format!("{method}: {} bytes that are not the expected ones", answer.len())))
    }
}

fn body(number: u32) -> Bytes {
    let line = format!("request {number}\n");
    Bytes::from(line.repeat(POST_BYTES / line.len()))
}

fn reset(error: &hyper::Error) -> Failed {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    (FailureKind::Reset, format!("{error}{cause}"))
}
