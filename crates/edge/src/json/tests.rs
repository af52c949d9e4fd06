use super::*;

/// Goal: whatever bytes a client sends, the line stays JSON.
#[test]
fn escapes() {
    let check = |bytes: &[u8], max: usize, expected: &str| {
        let mut out = Vec::new();
        escape(&mut out, bytes, max);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        let quoted = [b"\"", &out[..], b"\""].concat();
        assert!(serde_json::from_slice::<String>(&quoted).is_ok(), "{bytes:?}");
    };
    check(b"plain /path", 100, "plain /path");
    check(b"a\"b\\c", 100, "a\\\"b\\\\c");
    check(b"\n\r\t\x00\x1f\x7f", 100, "\\n\\r\\t\\u0000\\u001f\\u007f");
    check("ä€".as_bytes(), 100, "ä€");
    check(b"\xff\xfe", 100, "\u{fffd}\u{fffd}");
    check(b"cut here", 3, "cut");
    check("ä".as_bytes(), 1, "\u{fffd}");
}

/// Goal: numbers are written as everybody writes them.
#[test]
fn writes_numbers() {
    for value in [0, 9, 10, 12_345, u64::MAX] {
        let mut out = Vec::new();
        number(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}
