//! Clients that were served once, or switched to a web socket, and are silent since.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect;
use crate::load::web_socket;

/// Opened at once: enough to keep both sides busy, few enough for any queue of connections.
const OPENED_AT_ONCE: usize = 64;

/// How long a connection may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// So many TLS connections, each of which has sent a request and got its answer.
///
/// # Errors
/// The first connection that fails, in words.
pub async fn over_tls(to: SocketAddr, count: usize) -> Result<Vec<TlsStream<TcpStream>>, String> {
    let connector = TlsConnector::from(Arc::new(trusting_anybody()));
    open(count, move |number| {
        let connector = connector.clone();
        async move {
            let name = ServerName::try_from("localhost").expect("a name");
            let mut stream = connector.connect(name, connect(to, number).await?).await?;
            let head = ask(&mut stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            if head.starts_with("HTTP/1.1 200 ") { Ok(stream) } else { Err(std::io::Error::other(head)) }
        }
    })
    .await
}

/// So many web sockets on which nobody says anything.
///
/// # Errors
/// The first one that fails, in words.
pub async fn web_sockets(to: SocketAddr, count: usize) -> Result<Vec<TcpStream>, String> {
    open(count, move |number| async move {
        let mut stream = connect(to, number).await?;
        let head = ask(&mut stream, &web_socket::wish("/ws", to)).await?;
        if web_socket::is_granted(&head) { Ok(stream) } else { Err(std::io::Error::other(head)) }
    })
    .await
}

async fn open<S, F>(count: usize, one: impl Fn(usize) -> F) -> Result<Vec<S>, String>
where
    S: 'static,
    F: Future<Output = std::io::Result<S>> + 'static,
{
    let (mut opened, mut opening) = (Vec::with_capacity(count), JoinSet::new());
    let mut next = 0;
    while opened.len() < count {
        while next < count && opening.len() < OPENED_AT_ONCE {
            opening.spawn_local(tokio::time::timeout(OPEN_WITHIN, one(next)));
            next += 1;
        }
        match opening.join_next().await {
            Some(Ok(Ok(Ok(stream)))) => opened.push(stream),
            Some(Ok(Ok(Err(error)))) => return Err(format!("connection {} was refused: {error}", opened.len())),
            Some(Ok(Err(_))) => return Err(format!("connection {} did not open in time", opened.len())),
            Some(Err(error)) => return Err(error.to_string()),
            None => break,
        }
    }
    Ok(opened)
}

/// Sends a head, and reads the answer to the end of its head and of its body, should it have one.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    loop {
        if let Some(place) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..place]).into_owned();
            let lowercase = head.to_ascii_lowercase();
            let length = lowercase.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            while read.len() < place + 4 + length.unwrap_or(0) {
                stream.read_buf(&mut read).await?;
            }
            return Ok(head);
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A client that checks nothing: the certificates of a measurement are made for it. It never resumes a session.
fn trusting_anybody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .expect("the provider knows the usual versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config
}

#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
