//! Web socket frames (RFC 6455, section 5) as a server sees them: masked ones come in, unmasked ones go out.
//!
//! Pure: bytes in a buffer become frames, frames become messages. Nothing here reads or writes a socket.

use bytes::{Buf as _, Bytes, BytesMut};

/// The largest message, whole or in pieces. A demo needs no more, and no client can make the app hold more.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Control frames carry at most this much (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What a peer said, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// The close code, when the peer gave one.
    Close(Option<u16>),
}

/// What makes a frame or a message wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    ReservedBits,
    UnknownOpcode,
    Unmasked,
    ControlTooLong,
    ControlInPieces,
    NothingToContinue,
    MessageInMessage,
    CloseOfOneByte,
    CloseCodeNotAllowed,
    TooBig,
    NotUtf8,
}

impl Fault {
    /// The close code that tells the peer (RFC 6455, section 7.4.1).
    pub(super) fn close_code(self) -> u16 {
        match self {
            Fault::TooBig => 1009,
            Fault::NotUtf8 => 1007,
            _ => 1002,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Opcode, Fault> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err(Fault::UnknownOpcode),
        })
    }

    fn is_control(self) -> bool {
        self as u8 >= 0x8
    }
}

/// One frame, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) payload: Bytes,
}

/// Takes one frame from the front of the buffer; `None` until all of it has arrived.
pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, Fault> {
    let Some(head) = Head::read(buffer)? else { return Ok(None) };
    let whole = head.bytes + head.payload_bytes;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    buffer.advance(head.bytes);
    let mut payload = buffer.split_to(head.payload_bytes);
    for (byte, key) in payload.iter_mut().zip(head.mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(Some(Frame { last: head.last, opcode: head.opcode, payload: payload.freeze() }))
}

/// Writes one unmasked, unfragmented frame, as a server does.
pub(super) fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    out.push(0x80 | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// What stands before the payload of a frame.
struct Head {
    last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    bytes: usize,
    payload_bytes: usize,
}

impl Head {
    /// Reads and judges a head before its payload has arrived, so that a frame that is too big is refused and not awaited.
    fn read(buffer: &[u8]) -> Result<Option<Head>, Fault> {
        let [first, second, rest @ ..] = buffer else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Fault::ReservedBits);
        }
        let (last, opcode) = (first & 0x80 != 0, Opcode::from_bits(first & 0x0F)?);
        if second & 0x80 == 0 {
            return Err(Fault::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Fault::ControlTooLong);
        }
        if opcode.is_control() && !last {
            return Err(Fault::ControlInPieces);
        }
        let Some((payload_bytes, length_bytes)) = length(short, rest) else { return Ok(None) };
        if payload_bytes > MESSAGE_BYTES_MAX as u64 {
            return Err(Fault::TooBig);
        }
        let Some(mask) = rest.get(length_bytes..length_bytes + 4) else { return Ok(None) };
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        Ok(Some(Head { last, opcode, mask, bytes: 2 + length_bytes + 4, payload_bytes: payload_bytes as usize }))
    }
}

/// The payload's length and how many bytes said so after the first two.
fn length(short: u8, rest: &[u8]) -> Option<(u64, usize)> {
    match short {
        126 => Some((u64::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), 2)),
        127 => Some((u64::from_be_bytes(rest.get(..8)?.try_into().ok()?), 8)),
        short => Some((u64::from(short), 0)),
    }
}

/// Puts messages together from frames; control frames may stand between the pieces.
#[derive(Default)]
pub(super) struct Assembly {
    begun: Option<(Opcode, BytesMut)>,
}

impl Assembly {
    /// Takes one frame; answers with a message when the frame completes one.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Option<Message>, Fault> {
        match frame.opcode {
            Opcode::Ping => Ok(Some(Message::Ping(frame.payload))),
            Opcode::Pong => Ok(Some(Message::Pong(frame.payload))),
            Opcode::Close => close_code(&frame.payload).map(|code| Some(Message::Close(code))),
            Opcode::Text | Opcode::Binary if self.begun.is_some() => Err(Fault::MessageInMessage),
            Opcode::Text | Opcode::Binary if frame.last => whole(frame.opcode, frame.payload).map(Some),
            Opcode::Text | Opcode::Binary => {
                self.begun = Some((frame.opcode, BytesMut::from(frame.payload.as_ref())));
                Ok(None)
            }
            Opcode::Continuation => self.go_on(&frame),
        }
    }

    fn go_on(&mut self, frame: &Frame) -> Result<Option<Message>, Fault> {
        let (opcode, mut begun) = self.begun.take().ok_or(Fault::NothingToContinue)?;
        if begun.len() + frame.payload.len() > MESSAGE_BYTES_MAX {
            return Err(Fault::TooBig);
        }
        begun.extend_from_slice(&frame.payload);
        if frame.last {
            return whole(opcode, begun.freeze()).map(Some);
        }
        self.begun = Some((opcode, begun));
        Ok(None)
    }
}

fn whole(opcode: Opcode, payload: Bytes) -> Result<Message, Fault> {
    if opcode == Opcode::Binary {
        return Ok(Message::Binary(payload));
    }
    std::str::from_utf8(&payload).map_err(|_| Fault::NotUtf8)?;
    Ok(Message::Text(payload))
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    match payload {
        [] => Ok(None),
        [_] => Err(Fault::CloseOfOneByte),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            std::str::from_utf8(reason).map_err(|_| Fault::NotUtf8)?;
            match code {
                1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some(code)),
                _ => Err(Fault::CloseCodeNotAllowed),
            }
        }
    }
}

#[cfg(test)]
mod tests;
