//! A web socket, asked as a client would: an upgrade, a ping, and the pong that answers it. An open port, or a server that
//! still says `101` while nothing behind it reads, is not enough.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// As much as is read of an answer's head, or of what a server says before its pong.
const BYTES_MAX: u64 = 64 * 1024;

/// The nonce of the handshake. It guards against caches that answer by mistake, of which there is none between.
const KEY: &str = "cHJ1bW8taGVhbHRoLWNoaw==";

/// What the ping carries, and the pong must bring back.
const WORD: &[u8; 5] = b"prumo";

const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const CLOSE: u8 = 0x8;

/// Asks at this path.
pub(crate) async fn ask<S>(stream: S, host: &str, path: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("the web socket at {path} was closed before its pong"),
        _ => format!("the web socket at {path} broke off: {error}"),
    };
    let mut stream = BufReader::new(stream);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: prumo-probe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let status = read_status(&mut stream).await.map_err(broken)?;
    if status != "101" {
        return Err(format!("the web socket at {path} answered {status} to the upgrade"));
    }
    stream.write_all(&masked(PING, WORD)).await.map_err(broken)?;
    await_pong(&mut stream).await.map_err(broken)?;
    // 1000: done. Whether it arrives is no longer the question.
    let _ = stream.write_all(&masked(CLOSE, &1000_u16.to_be_bytes())).await;
    Ok(())
}

/// The three digits of the status line, once the whole head is read.
async fn read_status(stream: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> io::Result<String> {
    let mut head = stream.take(BYTES_MAX);
    let mut first = String::new();
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if first.is_empty() {
            line.split(' ').nth(1).unwrap_or("nothing that is HTTP").clone_into(&mut first);
        }
        if line.is_empty() {
            return Ok(first);
        }
    }
}

/// Passes over whatever the server has to say until it brings back the ping's word.
async fn await_pong(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut stream = stream.take(BYTES_MAX);
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let length = match head[1] & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        if head[1] & 0x80 != 0 || length > BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no frame of a server"));
        }
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        stream.read_exact(&mut payload).await?;
        match head[0] & 0x0f {
            PONG if payload == WORD => return Ok(()),
            CLOSE => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// A frame of a client, which must be masked; the mask hides nothing here.
fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![0x80 | kind, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests;
