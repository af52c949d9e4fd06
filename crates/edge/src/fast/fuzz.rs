//! What must hold for any bytes; the entries are in `crate::fuzz`.

use super::chunks::{self, Chunks};
use super::request::{self, Reading};
use crate::framing;

pub(crate) fn fuzz_request(bytes: &[u8]) {
    let mut out = Vec::new();
    let Reading::Plain(plain) = request::read(bytes, &mut out) else { return };
    let verdict = framing::Verdict::Safe(plain.bytes, plain.body);
    assert_eq!(
        framing::Scan::default().look(bytes),
        Some(verdict),
        "what is plain is safe, and ends at the same place"
    );
    out.extend_from_slice(b"\r\n");
    let mut again = Vec::new();
    let Reading::Plain(twice) = request::read(&out, &mut again) else {
        unreachable!("what was written is plain: {:?}", out.escape_ascii().to_string());
    };
    assert_eq!(twice.bytes, out.len(), "one head is one head");
    assert_eq!((twice.method, twice.target, twice.host), (plain.method, plain.target, plain.host));
    again.extend_from_slice(b"\r\n");
    assert_eq!(again, out, "there is nothing left to remove");
}

pub(crate) fn fuzz_chunks(bytes: &[u8], cut: usize) {
    let cut = cut.min(bytes.len());
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&[&bytes[..cut], &bytes[cut..]]), "pieces make no difference");
    if let Some((data, true)) = whole {
        let mut written = Vec::new();
        chunks::write(&mut written, &data);
        written.extend_from_slice(chunks::LAST);
        assert_eq!(read(&[&written]), Some((data, true)), "what is written is what was read");
    }
}

/// The data, and whether the body has ended; `None` when it is refused.
fn read(pieces: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
    let (mut chunks, mut data) = (Chunks::default(), Vec::new());
    for piece in pieces {
        chunks.take(piece, |some| data.extend_from_slice(some)).ok()?;
    }
    Some((data, chunks.has_ended()))
}
