//! The handshake with one client: which certificate is shown, and which is asked for.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{Acceptor, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::rules::{Introduction, Rules, Shown};

/// Shakes hands, and returns what the client has shown of itself. Only a site that asks for certificates pays for
/// looking at the name first.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: &Arc<ServerConfig>,
    rules: &Rules,
) -> io::Result<(TlsStream<S>, Introduction)> {
    if rules.is_empty() {
        let stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
        return Ok((stream, Introduction { rule: None, shown: None }));
    }
    let greeted = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let rule = rules.find(greeted.client_hello().server_name()).cloned();
    let config = rule.as_ref().map_or(config, |rule| rule.config());
    let stream = greeted.into_stream(Arc::clone(config)).await?;
    let shown = rule.as_ref().and_then(|_| shown(stream.get_ref().1));
    Ok((stream, Introduction { rule, shown }))
}

fn shown(connection: &ServerConnection) -> Option<Shown> {
    Shown::of(connection.peer_certificates()?.first()?)
}
