use super::*;

/// Masks as a client does, with the key of RFC 6455, section 5.7.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut out = encode(Opcode::Text, payload);
    out[0] = first;
    out[1] |= 0x80;
    let head = out.len() - payload.len();
    out.splice(head..head, key);
    for (byte, key) in out[head + 4..].iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    out
}

/// The parts of a frame: whether it is the last, its opcode, its payload.
type Parts<'a> = (bool, Opcode, &'a [u8]);

fn check_decode(bytes: &[u8], expected: Result<Option<Parts<'_>>, Fault>) {
    let decoded = decode(&mut BytesMut::from(bytes));
    let expected = expected.map(|frame| {
        frame.map(|(last, opcode, payload)| Frame { last, opcode, payload: Bytes::copy_from_slice(payload) })
    });
    assert_eq!(decoded, expected, "bytes {:02x?}", &bytes[..bytes.len().min(16)]);
}

/// Goal: every kind of frame is read, whole ones only, and a wrong head is refused before its payload arrives.
#[test]
fn frames_are_decoded() {
    // The masked "Hello" of RFC 6455, section 5.7, byte by byte.
    let hello = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    check_decode(&hello, Ok(Some((true, Opcode::Text, b"Hello"))));
    for cut in 0..hello.len() {
        check_decode(&hello[..cut], Ok(None));
    }
    check_decode(&masked(0x01, b"Hel"), Ok(Some((false, Opcode::Text, b"Hel"))));
    check_decode(&masked(0x80, b"lo"), Ok(Some((true, Opcode::Continuation, b"lo"))));
    check_decode(&masked(0x82, &[7; 125]), Ok(Some((true, Opcode::Binary, &[7; 125]))));
    check_decode(&masked(0x82, &[7; 126]), Ok(Some((true, Opcode::Binary, &[7; 126]))));
    check_decode(&masked(0x82, &[7; 65_536]), Ok(Some((true, Opcode::Binary, &[7; 65_536]))));
    check_decode(&masked(0x89, b""), Ok(Some((true, Opcode::Ping, b""))));
    check_decode(&masked(0x8A, b"x"), Ok(Some((true, Opcode::Pong, b"x"))));
    check_decode(&masked(0x88, &[3, 0xE8]), Ok(Some((true, Opcode::Close, &[3, 0xE8]))));

    check_decode(&masked(0xC1, b"x"), Err(Fault::ReservedBits));
    check_decode(&masked(0x83, b"x"), Err(Fault::UnknownOpcode));
    check_decode(&masked(0x8B, b"x"), Err(Fault::UnknownOpcode));
    check_decode(&[0x81, 0x05], Err(Fault::Unmasked));
    check_decode(&masked(0x09, b"x"), Err(Fault::ControlInPieces));
    check_decode(&[0x89, 0x80 | 126], Err(Fault::ControlTooLong));
    check_decode(&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0x10, 0, 1], Err(Fault::TooBig));
    check_decode(&[0x82, 0x80 | 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Err(Fault::TooBig));
}

/// Goal: what follows a frame stays in the buffer for the next one.
#[test]
fn frames_that_arrive_together_are_taken_one_by_one() {
    let mut buffer = BytesMut::from(&[masked(0x81, b"one"), masked(0x81, b"two")].concat()[..]);
    let first = decode(&mut buffer).unwrap().unwrap();
    let second = decode(&mut buffer).unwrap().unwrap();
    assert_eq!((first.payload.as_ref(), second.payload.as_ref()), (&b"one"[..], &b"two"[..]));
    assert_eq!((decode(&mut buffer), buffer.len()), (Ok(None), 0));
}

/// Goal: lengths are written in the shortest form, which the standard demands.
#[test]
fn frames_are_encoded() {
    let check = |payload: usize, head: &[u8]| {
        let encoded = encode(Opcode::Binary, &vec![9; payload]);
        assert_eq!((&encoded[..head.len()], encoded.len()), (head, head.len() + payload), "payload of {payload}");
    };
    check(0, &[0x82, 0]);
    check(125, &[0x82, 125]);
    check(126, &[0x82, 126, 0, 126]);
    check(65_535, &[0x82, 126, 0xFF, 0xFF]);
    check(65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}

fn check_assembly(frames: &[Parts<'_>], expected: Result<&[Message], Fault>) {
    let mut assembly = Assembly::default();
    let mut messages = Vec::new();
    for (last, opcode, payload) in frames {
        let frame = Frame { last: *last, opcode: *opcode, payload: Bytes::copy_from_slice(payload) };
        match assembly.take(frame) {
            Ok(message) => messages.extend(message),
            Err(fault) => return assert_eq!(Err(fault), expected, "frames {frames:?}"),
        }
    }
    assert_eq!(Ok(&messages[..]), expected, "frames {frames:?}");
}

/// Goal: messages are put together from pieces with control frames between them, and nonsense is named.
#[test]
fn messages_are_assembled() {
    use Opcode::{Binary, Close, Continuation, Ping, Text};
    let text = |text: &'static str| Message::Text(Bytes::from_static(text.as_bytes()));
    let half = vec![1; MESSAGE_BYTES_MAX / 2 + 1];

    check_assembly(&[(true, Text, b"whole")], Ok(&[text("whole")]));
    check_assembly(
        &[(false, Text, b"in "), (false, Continuation, b"three "), (true, Continuation, b"pieces")],
        Ok(&[text("in three pieces")]),
    );
    check_assembly(
        &[(false, Text, b"a"), (true, Ping, b"?"), (true, Continuation, b"b")],
        Ok(&[Message::Ping(Bytes::from_static(b"?")), text("ab")]),
    );
    check_assembly(&[(false, Text, b"\xC3"), (true, Continuation, b"\xA9")], Ok(&[text("\u{e9}")]));
    check_assembly(&[(true, Text, b"\xC3")], Err(Fault::NotUtf8));
    check_assembly(&[(true, Binary, b"\xC3")], Ok(&[Message::Binary(Bytes::from_static(b"\xC3"))]));
    check_assembly(&[(true, Continuation, b"x")], Err(Fault::NothingToContinue));
    check_assembly(&[(false, Text, b"x"), (true, Text, b"y")], Err(Fault::MessageInMessage));
    check_assembly(&[(false, Binary, &half), (true, Continuation, &half)], Err(Fault::TooBig));

    check_assembly(&[(true, Close, b"")], Ok(&[Message::Close(None)]));
    check_assembly(&[(true, Close, b"\x03\xE8bye")], Ok(&[Message::Close(Some(1000))]));
    check_assembly(&[(true, Close, b"\x03")], Err(Fault::CloseOfOneByte));
    check_assembly(&[(true, Close, b"\x03\xED")], Err(Fault::CloseCodeNotAllowed));
    check_assembly(&[(true, Close, b"\x03\xE8\xFF")], Err(Fault::NotUtf8));
}
