use super::*;

/// The data of a body given in pieces of every size, and how many bytes were taken; `None` when it is refused.
fn check(body: &str, expected: Option<(&str, usize)>) {
    for piece in 1..=body.len() {
        let (mut chunks, mut data, mut taken) = (Chunks::default(), Vec::new(), Some(0));
        for bytes in body.as_bytes().chunks(piece) {
            if chunks.has_ended() {
                break;
            }
            let took = chunks.take(bytes, |some| data.extend_from_slice(some)).ok();
            taken = taken.zip(took).map(|(before, more)| before + more);
        }
        let outcome = taken.filter(|_| chunks.has_ended()).map(|taken| (String::from_utf8(data).unwrap(), taken));
        let expected = expected.map(|(data, taken)| (data.to_owned(), taken));
        assert_eq!(outcome, expected, "{body:?} in pieces of {piece}");
    }
}

/// Goal: bodies are read to their end and no further, however they arrive.
#[test]
fn reads_bodies() {
    check("3\r\nabc\r\n0\r\n\r\n", Some(("abc", 13)));
    check("0\r\n\r\nGET /", Some(("", 5)));
    check("3\r\nabc\r\n002\r\nde\r\n000\r\n\r\n", Some(("abcde", 24)));
    check("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", Some(("abc", 43)));
    check("A\r\n0123456789\r\n0\r\n\r\n", Some(("0123456789", 20)));
    check("3;a=b\r\nabc\r\n0;c\r\n\r\n", Some(("abc", 19)));
    check("3 ;a\r\nabc\r\n0\r\n\r\n", Some(("abc", 16)));
    check("3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n", Some(("abc", 25)));
}

/// Goal: whatever is not framed as it should be is refused, and nothing that is not complete ends.
#[test]
fn refuses_bodies() {
    for body in [
        "\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n00000000000000000\r\n\r\n",
        "3;a\nabc\r\n",
        "3 4\r\nabc",
        "g\r\n",
        "0\r\n\n",
        "0\r\nA: b\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\rc\r\n\r\n",
        "3\r\nabc\r\n",
        "3\r\nab",
        "0\r\n",
        "-1\r\n",
    ] {
        check(body, None);
    }
    let endless = format!("0;{}", "x".repeat(EXTENSION_BYTES_MAX + 1));
    assert_eq!(Chunks::default().take(endless.as_bytes(), |_| {}), Err(BadChunk));
}

/// Goal: what is written is read as the same data, and nothing is written that would end the body.
#[test]
fn writes_chunks() {
    let mut out = Vec::new();
    for piece in ["abc", "", "0123456789abcdef"] {
        write(&mut out, piece.as_bytes());
    }
    out.extend_from_slice(LAST);
    assert_eq!(String::from_utf8(out).unwrap(), "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
}
