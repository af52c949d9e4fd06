//! The other end, for the command line: the Unix socket of a running prumo.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use prumo_clock::Clock;
use prumo_drain::Stage;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::answer::{Event, Refusal, RefusalKind};

/// The name of the socket in the `run` folder of the state folder.
pub const SOCKET: &str = "prumo.sock";
/// How long an answer may take to begin. Longer than the slowest secret that a deploy fetches before its first step.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The longest line of a stream that is taken: a log line with its frame.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// A way to a running prumo.
pub struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    clock: Clock,
}

/// Events as they come.
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to the prumo of this state folder.
    pub async fn connect(state: &Path, clock: &Clock, stage: &Stage) -> Result<Client, Refusal> {
        Client::find(state, clock, stage).await?.ok_or_else(|| not_running(state))
    }

    /// The same; nothing when no prumo runs there.
    pub async fn find(state: &Path, clock: &Clock, stage: &Stage) -> Result<Option<Client>, Refusal> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let stream = match open(&state.join("run")).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Ok(None),
            Err(error) => return Err(out_of_reach(state, &error)),
        };
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        stage.spawn("command socket", async move { drop(connection.await) });
        Ok(Some(Client { sender, clock: clock.clone() }))
    }

    /// Asks for a document.
    pub async fn document<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Refusal> {
        self.document_with_status(method, path, body).await.map(|(_, document)| document)
    }

    /// Asks for a document that also comes with a 503, such as a health report.
    pub async fn document_with_status<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<(u16, T), Refusal> {
        let (status, answer) = self.send(method, path, body).await?;
        let read = self.clock.timeout(ANSWER_WITHIN, answer.collect()).await.map_err(|_| silent())?;
        let bytes = read.map_err(|error| broken(&error))?.to_bytes();
        match serde_json::from_slice(&bytes) {
            Ok(document) if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE => {
                Ok((status.as_u16(), document))
            }
            _ => Err(refusal_in(&bytes)),
        }
    }

    /// Asks for a stream of events.
    pub async fn events(&mut self, method: &str, path: &str, body: &impl serde::Serialize) -> Result<Events, Refusal> {
        let (status, answer) = self.send(method, path, body).await?;
        if !status.is_success() {
            let bytes = answer.collect().await.map_err(|error| broken(&error))?.to_bytes();
            return Err(refusal_in(&bytes));
        }
        Ok(Events { body: answer, buffer: Vec::new() })
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<(StatusCode, Incoming), Refusal> {
        let body = serde_json::to_vec(body).expect("the types of the API are always JSON");
        // `()` stands for a question without a body.
        let body = if body == b"null" { Vec::new() } else { body };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("paths are encoded by their makers");
        self.sender.ready().await.map_err(|error| broken(&error))?;
        let asked = self.clock.timeout(ANSWER_WITHIN, self.sender.send_request(request));
        let answer = asked.await.map_err(|_| silent())?.map_err(|error| broken(&error))?;
        Ok((answer.status(), answer.into_body()))
    }
}

impl Events {
    /// The next event; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| broken(&error));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Refusal::new(RefusalKind::Failed, "prumo sent a line that is too long"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            }
        }
    }
}

/// Opens the socket through its folder, because a socket's path may not be longer than 107 bytes and a folder's may.
async fn open(folder: &Path) -> std::io::Result<UnixStream> {
    let folder = std::fs::File::open(folder)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())).await
}

fn not_running(state: &Path) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("no prumo is running on the state folder {}", state.display()))
        .hint("`prumo up` starts it; `--state DIR` names another folder")
}

fn out_of_reach(state: &Path, error: &std::io::Error) -> Refusal {
    let state = state.display();
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Refusal::new(RefusalKind::Forbidden, format!("the state folder {state} belongs to another user"))
                .hint("run the command as the user who runs prumo, or as root")
        }
        _ => Refusal::new(RefusalKind::Failed, format!("prumo on {state} cannot be reached: {error}")),
    }
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("the conversation with prumo broke off: {error}"))
        .hint("`prumo status` shows whether it still runs")
}

fn silent() -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("prumo has not answered for {} seconds", ANSWER_WITHIN.as_secs()))
        .hint("its process may be stopped or overloaded; what runs goes on without it")
}

fn refusal_in(bytes: &[u8]) -> Refusal {
    serde_json::from_slice(bytes).unwrap_or_else(|_| {
        Refusal::new(RefusalKind::Failed, "prumo answered something that this version does not understand")
            .hint("is the running prumo of another version? `prumo status` tells")
    })
}

#[cfg(test)]
mod tests {
    use prumo_drain::Drain;

    use super::*;

    /// Goal: that no prumo runs is told apart from one that cannot be reached.
    #[tokio::test]
    async fn none_is_not_the_same_as_out_of_reach() {
        let (state, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let stage = Drain::new(clock.clone()).stage("client");
        let find = async || Client::find(state.path(), &clock, &stage).await;
        assert!(find().await.unwrap().is_none());
        assert!(Client::connect(state.path(), &clock, &stage).await.is_err());
        std::fs::write(state.path().join("run"), "").unwrap();
        let refusal = find().await.err().unwrap();
        assert!(refusal.message.contains("cannot be reached"), "{}", refusal.message);
    }
}
