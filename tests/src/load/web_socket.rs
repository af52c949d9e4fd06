//! A web socket client that says a number every 100 ms and expects to hear it back (RFC 6455, client side).

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Account, FailureKind, Load};

/// Between two messages: as often as a busy chat or a dashboard.
const SAY_EVERY: Duration = Duration::from_millis(100);

/// How long an echo may take before the socket counts as cut.
const ECHO_WITHIN: Duration = Duration::from_secs(30);

/// Before another try when a handshake failed.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Closes that mean "connect again", not trouble: normal, going away, service restart.
const MOVED: [u16; 3] = [1000, 1001, 1012];

/// Keeps one web socket open until the load ends, opening the next when the server closes one.
pub(super) async fn keep_talking(number: u32, load: Rc<Load>, account: Rc<Account>) {
    let mut said = 0;
    while !account.closing.get() {
        let opening = async {
            let stream = TcpStream::connect(load.edge).await?;
            stream.set_nodelay(true)?;
            Socket::open(stream, &load.web_socket, load.edge).await
        };
        let mut socket = match tokio::time::timeout(ECHO_WITHIN, opening).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                account.failed(FailureKind::Handshake, error.to_string());
                tokio::time::sleep(TRY_AGAIN).await;
                continue;
            }
            Err(_) => {
                account.failed(FailureKind::Handshake, format!("no answer within {ECHO_WITHIN:?}"));
                continue;
            }
        };
        account.report.borrow_mut().sockets.opened += 1;
        match talk(&mut socket, number, &mut said, &account).await {
            Ending::Enough => socket.close().await,
            Ending::Moved { crossed } => {
                let mut report = account.report.borrow_mut();
                report.sockets.moved += 1;
                report.sockets.resent += u64::from(crossed);
            }
            Ending::Cut(why) => account.failed(FailureKind::Cut, format!("web socket {number}: {why}")),
        }
    }
}

enum Ending {
    Enough,
    /// Closed properly; `crossed` when a message was on its way and has to be said again.
    Moved {
        crossed: bool,
    },
    Cut(String),
}

/// Says the next number whenever it is time, until the server closes or the load ends.
async fn talk(socket: &mut Socket, number: u32, said: &mut u64, account: &Account) -> Ending {
    loop {
        if account.closing.get() {
            return Ending::Enough;
        }
        let message = format!("web socket {number} says {said}");
        if let Err(error) = socket.send(OPCODE_TEXT, message.as_bytes()).await {
            // The server may have closed properly just before: what it said last is still there to read.
            return match socket.heard(ECHO_WITHIN).await {
                Heard::Close(code) if MOVED.contains(&code) => Ending::Moved { crossed: true },
                _ => Ending::Cut(format!("could not send: {error}")),
            };
        }
        match socket.heard(ECHO_WITHIN).await {
            Heard::Text(text) if text == message.as_bytes() => account.report.borrow_mut().sockets.messages += 1,
            Heard::Close(code) if MOVED.contains(&code) => return Ending::Moved { crossed: true },
            other => return Ending::Cut(format!("{} instead of the echo of message {said}", other.in_words())),
        }
        *said += 1;
        match socket.heard(SAY_EVERY).await {
            Heard::Nothing => {}
            Heard::Close(code) if MOVED.contains(&code) => return Ending::Moved { crossed: false },
            other => return Ending::Cut(format!("{} between two messages", other.in_words())),
        }
    }
}

pub(crate) const OPCODE_TEXT: u8 = 0x1;
const OPCODE_CLOSE: u8 = 0x8;
const OPCODE_PING: u8 = 0x9;
const OPCODE_PONG: u8 = 0xA;

/// What came in while waiting.
pub(crate) enum Heard {
    Text(Vec<u8>),
    Close(u16),
    Nothing,
    End(String),
}

impl Heard {
    fn in_words(&self) -> String {
        match self {
            Heard::Text(text) => format!("the text {:?}", String::from_utf8_lossy(&text[..text.len().min(60)])),
            Heard::Close(code) => format!("a close with code {code}"),
            Heard::Nothing => "silence".to_owned(),
            Heard::End(why) => format!("an end without a close ({why})"),
        }
    }
}

/// What asks for a web socket. The key is the standard's own example: nothing here depends on chance.
pub(crate) fn wish(path: &str, host: SocketAddr) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
}

/// Whether an answer's head grants it.
pub(crate) fn is_granted(head: &str) -> bool {
    let head = head.to_ascii_lowercase();
    head.starts_with("http/1.1 101 ") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo=")
}

pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    pub(crate) async fn open(mut stream: TcpStream, path: &str, host: SocketAddr) -> io::Result<Socket> {
        stream.write_all(wish(path, host).as_bytes()).await?;
        let mut buffer = Vec::new();
        let head_ends = loop {
            if let Some(place) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break place + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::other("the connection ended during the handshake"));
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_ends]).into_owned();
        if !is_granted(&head) {
            return Err(io::Error::other(format!("refused: {}", head.lines().next().unwrap_or_default())));
        }
        buffer.drain(..head_ends);
        Ok(Socket { stream, buffer })
    }

    /// The next text or close within this time; pings are answered on the way, a close is answered with its own code.
    pub(crate) async fn heard(&mut self, within: Duration) -> Heard {
        let until = Instant::now() + within;
        loop {
            while let Some((opcode, payload)) = self.take_frame() {
                match opcode {
                    OPCODE_CLOSE => {
                        let _ = self.send(OPCODE_CLOSE, &payload).await;
                        return Heard::Close(
                            payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])),
                        );
                    }
                    OPCODE_PING => {
                        let _ = self.send(OPCODE_PONG, &payload).await;
                    }
                    OPCODE_PONG => {}
                    _ => return Heard::Text(payload),
                }
            }
            match tokio::time::timeout_at(until.into(), self.stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Heard::Nothing,
                Ok(Ok(0)) => return Heard::End("end of stream".to_owned()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Heard::End(error.to_string()),
            }
        }
    }

    /// Takes one whole frame from the buffer. Echoes are short and never come in pieces.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, length) = (*self.buffer.first()?, usize::from(*self.buffer.get(1)?));
        assert!(length < 126, "the echo of a short message is short");
        if self.buffer.len() < 2 + length {
            return None;
        }
        let payload = self.buffer[2..2 + length].to_vec();
        self.buffer.drain(..2 + length);
        Some((first & 0x0F, payload))
    }

    /// Sends one short frame, masked as a client must.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        assert!(payload.len() < 126, "messages of the load are short");
        const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
        let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8];
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.stream.write_all(&frame).await
    }

    /// Says goodbye as the one who ends the load.
    pub(crate) async fn close(&mut self) {
        if self.send(OPCODE_CLOSE, &1000_u16.to_be_bytes()).await.is_ok() {
            self.heard(Duration::from_secs(2)).await;
        }
    }
}
