//! A web socket that answers each message with the same message (RFC 6455, server side).

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use prumo_clock::Clock;
use prumo_drain::Stopping;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::frame::{self, Assembly, Fault, Message, Opcode};

/// The text that RFC 6455 appends to the client's key.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How long a peer has to answer a close; a peer on the other side of the world needs a fraction of it.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// "Going away": the peer may connect again at once and meets another replica.
const GOING_AWAY: u16 = 1001;

/// Checks a request's wish for a web socket; answers with the value of `Sec-WebSocket-Accept`, or says what is wrong.
pub(super) fn accept(headers: &HeaderMap) -> Result<String, &'static str> {
    if !names(headers, header::UPGRADE, "websocket") || !names(headers, header::CONNECTION, "upgrade") {
        return Err("this address speaks web socket: send `Connection: Upgrade` and `Upgrade: websocket`");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("only version 13 of the web socket protocol is spoken here");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or("the header `Sec-WebSocket-Key` is missing")?;
    Ok(base64(&Sha1::new().chain_update(key.as_bytes()).chain_update(ACCEPT_SUFFIX).finalize()))
}

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer said goodbye and was answered.
    PeerClosed,
    /// We were stopping, said so, and the peer agreed in time.
    MovedOn,
    /// We were stopping and the peer never answered the goodbye.
    PeerSilent,
    /// The peer broke the protocol.
    Fault(Fault),
    /// The connection went away without a goodbye.
    Lost,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::PeerClosed => out.write_str("the peer closed it"),
            Ending::MovedOn => out.write_str("we stop, and the peer moves on"),
            Ending::PeerSilent => out.write_str("we stop, and the peer did not answer the close"),
            Ending::Fault(fault) => write!(out, "the peer broke the protocol ({fault:?})"),
            Ending::Lost => out.write_str("the connection was lost"),
        }
    }
}

/// Echoes until the peer leaves or the app stops.
pub(super) async fn echo<Stream>(stream: Stream, clock: &Clock, stopping: &Stopping) -> Ending
where
    Stream: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = Socket { stream, buffer: BytesMut::new(), assembly: Assembly::default() };
    loop {
        let message = tokio::select! {
            // What has arrived is answered before we leave: after a close nothing may be said any more.
            biased;
            message = socket.next() => message,
            () = stopping.wait() => return socket.leave(clock).await,
        };
        let answered = match message {
            Ok(Message::Text(text)) => socket.send(Opcode::Text, &text).await,
            Ok(Message::Binary(bytes)) => socket.send(Opcode::Binary, &bytes).await,
            Ok(Message::Ping(payload)) => socket.send(Opcode::Pong, &payload).await,
            Ok(Message::Pong(_)) => Ok(()),
            Ok(Message::Close(code)) => return socket.agree(code).await,
            Err(ReadError::Fault(fault)) => return socket.refuse(fault).await,
            Err(ReadError::Gone) => return Ending::Lost,
        };
        if answered.is_err() {
            return Ending::Lost;
        }
    }
}

struct Socket<Stream> {
    stream: Stream,
    buffer: BytesMut,
    assembly: Assembly,
}

enum ReadError {
    Fault(Fault),
    Gone,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Socket<Stream> {
    /// The next message. Only ever waits in a read, so dropping the wait loses nothing.
    async fn next(&mut self) -> Result<Message, ReadError> {
        loop {
            while let Some(frame) = frame::decode(&mut self.buffer).map_err(ReadError::Fault)? {
                if let Some(message) = self.assembly.take(frame).map_err(ReadError::Fault)? {
                    return Ok(message);
                }
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(ReadError::Gone),
                Ok(_) => {}
            }
        }
    }

    async fn send(&mut self, opcode: Opcode, payload: &Bytes) -> io::Result<()> {
        self.stream.write_all(&frame::encode(opcode, payload)).await?;
        self.stream.flush().await
    }

    async fn send_close(&mut self, code: Option<u16>) -> io::Result<()> {
        let payload = code.map_or_else(Bytes::new, |code| Bytes::copy_from_slice(&code.to_be_bytes()));
        self.send(Opcode::Close, &payload).await
    }

    /// Says goodbye first, then waits a little for the peer's goodbye; what it sends meanwhile may no longer be answered.
    async fn leave(&mut self, clock: &Clock) -> Ending {
        if self.send_close(Some(GOING_AWAY)).await.is_err() {
            return Ending::Lost;
        }
        let ending = clock.timeout(CLOSE_WITHIN, self.await_close()).await.unwrap_or(Ending::PeerSilent);
        let _ = self.stream.shutdown().await;
        ending
    }

    async fn await_close(&mut self) -> Ending {
        loop {
            match self.next().await {
                Ok(Message::Close(_)) => return Ending::MovedOn,
                Ok(_) => {}
                Err(ReadError::Fault(fault)) => return Ending::Fault(fault),
                Err(ReadError::Gone) => return Ending::Lost,
            }
        }
    }

    async fn agree(&mut self, code: Option<u16>) -> Ending {
        let agreed = self.send_close(code).await;
        let _ = self.stream.shutdown().await;
        agreed.map_or(Ending::Lost, |()| Ending::PeerClosed)
    }

    async fn refuse(&mut self, fault: Fault) -> Ending {
        // The peer broke the protocol; whether it still hears the reason changes nothing.
        let _ = self.send_close(Some(fault.close_code())).await;
        let _ = self.stream.shutdown().await;
        Ending::Fault(fault)
    }
}

/// Whether a header that is a list of words names this one.
fn names(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| entry.trim().eq_ignore_ascii_case(word))
}

/// Base64 with padding (RFC 4648); one digest a handshake is not worth a dependency.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 0x3F) as usize];
            out.push(if place > group.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests;
