//! Where one frame of a web socket ends and the next begins (RFC 6455, section 5.2), as its bytes pass by. A farewell of
//! ours may stand between two frames and nowhere else.

/// A frame that says "going away" (1001), as a server sends it.
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xE9];

/// Two bytes, a length of eight, and a mask.
const HEAD_BYTES_MAX: usize = 14;

const CLOSE: u8 = 0x8;

/// What of the present frame has passed.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    payload_left: u64,
    has_closed: bool,
}

impl Frames {
    /// Follows all of these bytes.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Follows these bytes up to the first place between two frames, and says how many those were: all, when there is no
    /// such place.
    pub(super) fn follow_to_boundary(&mut self, bytes: &[u8]) -> usize {
        if self.is_at_boundary() { 0 } else { self.step(bytes) }
    }

    pub(super) fn is_at_boundary(&self) -> bool {
        self.head_bytes == 0 && self.payload_left == 0
    }

    /// Whether a farewell has passed, after which nothing may follow.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows one frame to its end, or to the end of the bytes.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let mut followed = 0;
        while self.payload_left == 0 {
            let Some(byte) = bytes.get(followed) else { return followed };
            self.head[self.head_bytes] = *byte;
            self.head_bytes += 1;
            followed += 1;
            if let Some(length) = self.length() {
                self.has_closed |= self.head[0] & 0x0F == CLOSE;
                self.head_bytes = 0;
                self.payload_left = length;
                if length == 0 {
                    return followed;
                }
            }
        }
        let rest = &bytes[followed..];
        let taken = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(rest.len());
        self.payload_left -= taken as u64;
        followed + taken
    }

    /// The length of the payload, once the whole head is there.
    fn length(&self) -> Option<u64> {
        let head = &self.head[..self.head_bytes];
        let second = *head.get(1)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (length_bytes, short) = match second & 0x7F {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(u64::from(short))),
        };
        if head.len() < 2 + length_bytes + mask {
            return None;
        }
        let long = || head[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(short.unwrap_or_else(long))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match payload {
            0..=125 => bytes.push(mask | payload as u8),
            126..=65_535 => {
                bytes.push(mask | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.resize(bytes.len() + payload, 0xAB);
        bytes
    }

    /// Goal: the end of each frame is found, whatever its length and however its bytes come, and only there is a boundary.
    #[test]
    fn boundaries_are_found() {
        for masked in [false, true] {
            for payload in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000] {
                let one = frame(2, payload, masked);
                for piece in [1, 3, 7, 4096, usize::MAX] {
                    let mut frames = Frames::default();
                    let mut passed = 0;
                    for bytes in [one.clone(), frame(1, 5, masked)].concat().chunks(piece.min(100_000)) {
                        frames.follow(bytes);
                        passed += bytes.len();
                        let between = passed == one.len() || passed == one.len() + frame(1, 5, masked).len();
                        assert_eq!(
                            frames.is_at_boundary(),
                            between,
                            "{payload} bytes, {piece} at a time, after {passed}"
                        );
                    }
                    assert!(!frames.has_closed());
                }
            }
        }
    }

    /// Goal: what belongs to a frame that has begun passes, and nothing of the one after it.
    #[test]
    fn the_present_frame_is_finished() {
        let (one, two) = (frame(2, 200, false), frame(1, 3, false));
        let mut frames = Frames::default();
        frames.follow(&one[..10]);
        let rest = [&one[10..], &two].concat();
        assert_eq!(frames.follow_to_boundary(&rest), one.len() - 10);
        assert!(frames.is_at_boundary());
        assert_eq!(frames.follow_to_boundary(&two), 0, "a new one does not begin");
    }

    /// Goal: a farewell is noticed, also ours.
    #[test]
    fn farewells_are_noticed() {
        let mut frames = Frames::default();
        frames.follow(&frame(9, 0, false));
        assert!(!frames.has_closed());
        frames.follow(&GOING_AWAY);
        assert!(frames.has_closed() && frames.is_at_boundary());
    }
}
