//! One web socket, for a test that wants to see each frame (RFC 6455, client side). The load has one of its own, which
//! does not block.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the next frame may take. Nothing is judged by it.
const WITHIN: Duration = Duration::from_secs(60);

/// An open web socket.
pub struct WebSocket {
    stream: TcpStream,
}

/// A frame that came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text.
    Text(String),
    /// A farewell with its code.
    Close(u16),
    /// Something else, by its opcode.
    Other(u8),
}

impl WebSocket {
    /// Opens `/ws`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn open(edge: SocketAddr) -> WebSocket {
        let mut stream = TcpStream::connect(edge).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let upgrade = "GET /ws HTTP/1.1\r\nHost: site\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(upgrade.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        WebSocket { stream }
    }

    /// Says a short text.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(0x1, text.as_bytes())
    }

    /// Says farewell.
    pub fn close(&mut self, code: u16) -> io::Result<()> {
        self.send(0x8, &code.to_be_bytes())
    }

    /// The next frame; an error when there is none.
    pub fn hear(&mut self) -> io::Result<Heard> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert!(head[1] < 126, "what tests hear is short and not masked");
        let mut payload = vec![0; usize::from(head[1])];
        self.stream.read_exact(&mut payload)?;
        Ok(match head[0] & 0x0F {
            0x1 => Heard::Text(String::from_utf8_lossy(&payload).into_owned()),
            0x8 => Heard::Close(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]))),
            other => Heard::Other(other),
        })
    }

    /// Whether what is said comes back.
    pub fn echoes(&mut self, text: &str) -> bool {
        self.say(text).is_ok() && self.hear().is_ok_and(|heard| heard == Heard::Text(text.to_owned()))
    }

    /// Sends one short frame, masked as a client must.
    fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short message");
        let mut frame = vec![0x80 | opcode, 0x80 | length];
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.stream.write_all(&frame)
    }
}
