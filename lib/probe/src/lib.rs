//! Questions that tell whether a program can serve: a GET request, gRPC's health service, a web socket's ping.
//!
//! The flow: somebody connects, `ask` puts one question over that connection, and what comes back is judged. Who is asked,
//! how often, and what follows from an answer is for the caller to say. A question that could not be put because prumo or
//! the machine had too little of something says nothing of the program: [`is_shortage`] tells that apart.
//!
//! Not here: connecting, TLS, timeouts (a caller drops the future that takes too long), commands, counting good and bad
//! answers. Nothing is started: what HTTP/2 wants done beside a request is done by whoever waits for the answer.
//!
//! Start reading at [`ask`].

mod grpc;
mod http;
mod shortage;
mod web_socket;

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

pub use shortage::is_shortage;

/// What is asked over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing: a connection is enough.
    Connection,
    /// A GET request, over HTTP/1.1.
    Http {
        /// The path to ask for.
        path: String,
        /// Ranges of status codes that are good, both ends included.
        status: Vec<(u16, u16)>,
        /// A text that the body must contain, within its first 64 KiB.
        body: Option<String>,
    },
    /// gRPC's health service, over HTTP/2.
    Grpc {
        /// A service of the program; all of it when empty.
        service: String,
    },
    /// An upgrade to a web socket, over HTTP/1.1, and a ping.
    WebSocket {
        /// The path of the web socket.
        path: String,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Connection => formatter.write_str("the connection"),
            Check::Http { path, .. } => write!(formatter, "GET {path}"),
            Check::Grpc { .. } => formatter.write_str("the gRPC health check"),
            Check::WebSocket { path } => write!(formatter, "the web socket at {path}"),
        }
    }
}

/// What the connection leads to, as a request names it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `http`, or `https` over TLS.
    pub scheme: &'a str,
    /// The host, with the port where it is not the usual one.
    pub host: &'a str,
}

/// Asks over this connection, and says what was wrong with the answer.
///
/// # Errors
/// In words that name the check, when the answer is bad or none comes.
pub async fn ask<S>(check: &Check, stream: S, origin: Origin<'_>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match check {
        Check::Connection => Ok(()),
        Check::Http { path, status, body } => http::ask(stream, origin.host, path, status, body.as_deref()).await,
        Check::Grpc { service } => grpc::ask(stream, origin, service).await,
        Check::WebSocket { path } => web_socket::ask(stream, origin.host, path).await,
    }
}

#[cfg(test)]
mod tests;
