use super::*;

/// Splits chunks and shows each piece, continued ones with a leading `+`.
fn split(chunks: &[&[u8]]) -> Vec<String> {
    let mut splitter = Splitter::default();
    let mut shown = Vec::new();
    let show = |piece: &Piece<'_>| format!("{}{}", if piece.continued { "+" } else { "" }, piece.text);
    for chunk in chunks {
        shown.extend(splitter.push(chunk).iter().map(show));
    }
    shown.extend(splitter.finish().iter().map(show));
    shown
}

/// Goal: lines are whole however the bytes arrive, and the last one needs no end.
#[test]
fn lines_are_whole() {
    assert_eq!(split(&[b"one\ntwo\n"]), ["one", "two"]);
    assert_eq!(split(&[b"on", b"e\nt", b"wo", b"\n\n"]), ["one", "two", ""]);
    assert_eq!(split(&[b"windows\r\nlast"]), ["windows", "last"]);
    assert_eq!(split(&[b"caf\xc3", b"\xa9\n", b"bad \xff\n"]), ["café", "bad \u{fffd}"]);
    assert_eq!(split(&[]), Vec::<String>::new());
}

/// Goal: a line that is too long is split into marked parts, with nothing lost and nothing added.
#[test]
fn long_lines_are_split() {
    let long = vec![b'x'; LINE_BYTES_MAX];
    let part = String::from_utf8(long.clone()).unwrap();
    assert_eq!(split(&[&long, b"\nnext\n"]), [part.as_str(), "next"]);
    assert_eq!(split(&[&long, b"rest\nnext\n"]), [part.as_str(), "+rest", "next"]);
    let twice = format!("+{part}");
    assert_eq!(split(&[&long, &long, b"rest"]), [part.as_str(), twice.as_str(), "+rest"]);
}

/// Goal: a stored line is read back as it was, tabs and all; a torn one is not taken for a line.
#[test]
fn lines_are_stored() {
    let source = Source { replica: "api-1".to_owned(), release: 7, error: true };
    let piece = Piece { text: "a\tb".into(), continued: true };
    let mut stored = String::new();
    piece.store(&source, 1_700_000_000_123, &mut stored);
    assert_eq!(stored, "1700000000123\tapi-1\t7\tec\ta\tb\n");
    assert_eq!(Line::parse(stored.trim_end()), Some(piece.line(&source, 1_700_000_000_123)));
    for torn in ["", "1700000000123", "1700000000123\tapi-1\t7\tx\ttext", "x\tapi-1\t7\to\ttext"] {
        assert_eq!(Line::parse(torn), None, "{torn}");
    }
}
