//! One HTTP request, for a test that wants one answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

/// Asks with GET.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(address, Request::get(path), "")
}

/// Asks with GET and a bearer token.
pub fn get_with_token(address: SocketAddr, path: &str, token: &str) -> io::Result<Answer> {
    ask(address, Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}")), "")
}

/// Sends a body and reads the answer.
pub fn post(address: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    ask(address, Request::post(path), body)
}

fn ask(address: SocketAddr, request: http::request::Builder, body: &str) -> io::Result<Answer> {
    let request = request.header(header::HOST, address.to_string()).header(header::CONNECTION, "close");
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let within = Duration::from_secs(60);
        tokio::time::timeout(within, exchange(address, request))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    })
}

async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let answer = async move {
        let response = connection.send_request(request).await.map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    // The driver ends when the connection does; its errors reach the request.
    let (answer, _) = tokio::join!(answer, driver);
    answer
}
