use super::*;

const TAG: &str = "\"a,b\"";
/// Sat, 21 Nov 2026 03:02:29 GMT
const MODIFIED: u64 = 1_795_230_149;
const SAME: &str = "Sat, 21 Nov 2026 03:02:29 GMT";
const BEFORE: &str = "Sat, 21 Nov 2026 03:02:28 GMT";
const AFTER: &str = "Sat, 21 Nov 2026 03:02:30 GMT";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Judges headers written as `Name: value` lines, a minute after the file was changed.
fn judged(lines: &[&str], now: u64) -> Verdict {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header line");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_str(value).expect("a header value"));
    }
    judge(&headers, Validators { tag: TAG.as_bytes(), modified: Some(at(MODIFIED)) }, at(now))
}

fn check(lines: &[&str], expected: Verdict) {
    assert_eq!(judged(lines, MODIFIED + 60), expected, "{lines:?}");
}

/// Goal: without conditions there is an answer.
#[test]
fn passes_plain_requests() {
    check(&[], Verdict::Pass);
    check(&["range: bytes=0-1"], Verdict::Pass);
}

/// Goal: a copy with the same tag, weak or strong, is still good.
#[test]
fn compares_tags_for_not_modified() {
    check(&["if-none-match: \"a,b\""], Verdict::NotModified);
    check(&["if-none-match: W/\"a,b\""], Verdict::NotModified);
    check(&["if-none-match: *"], Verdict::NotModified);
    check(&["if-none-match: \"x\", \"a,b\""], Verdict::NotModified);
    check(&["if-none-match: \"x\",,W/\"y\" ,\"a,b\""], Verdict::NotModified);
    check(&["if-none-match: \"x\"", "if-none-match: \"a,b\""], Verdict::NotModified);
    check(&["if-none-match: \"a\", \"b\""], Verdict::Pass);
    for broken in ["a,b", "\"a,b", "W/", "w/\"a,b\"", "", "x\"a,b\""] {
        check(&[&format!("if-none-match: {broken}")], Verdict::Pass);
    }
}

/// Goal: dates count to the second, and only when there is no tag.
#[test]
fn compares_dates_for_not_modified() {
    check(&[&format!("if-modified-since: {SAME}")], Verdict::NotModified);
    check(&[&format!("if-modified-since: {AFTER}")], Verdict::NotModified);
    check(&[&format!("if-modified-since: {BEFORE}")], Verdict::Pass);
    check(&["if-modified-since: Saturday, 21-Nov-26 03:02:29 GMT"], Verdict::NotModified);
    check(&["if-modified-since: Sat Nov 21 03:02:29 2026"], Verdict::NotModified);
    check(&["if-modified-since: yesterday"], Verdict::Pass);
    check(&[&format!("if-modified-since: {SAME}"), &format!("if-modified-since: {SAME}")], Verdict::Pass);
    check(&["if-none-match: \"x\"", &format!("if-modified-since: {SAME}")], Verdict::Pass);
}

/// Goal: a client that insists on a state is refused when it is gone; a weak tag never matches.
#[test]
fn refuses_failed_preconditions() {
    check(&["if-match: \"a,b\""], Verdict::Pass);
    check(&["if-match: *"], Verdict::Pass);
    check(&["if-match: \"x\""], Verdict::Failed);
    check(&["if-match: W/\"a,b\""], Verdict::Failed);
    check(&[&format!("if-unmodified-since: {SAME}")], Verdict::Pass);
    check(&[&format!("if-unmodified-since: {AFTER}")], Verdict::Pass);
    check(&[&format!("if-unmodified-since: {BEFORE}")], Verdict::Failed);
    check(&["if-unmodified-since: never"], Verdict::Pass);
}

/// Goal: the order is If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since; then If-Range.
#[test]
fn keeps_the_order() {
    check(&["if-match: \"a,b\"", &format!("if-unmodified-since: {BEFORE}")], Verdict::Pass);
    check(&["if-match: \"x\"", "if-none-match: \"a,b\""], Verdict::Failed);
    check(&["if-match: \"a,b\"", "if-none-match: \"a,b\""], Verdict::NotModified);
    check(&["if-none-match: \"a,b\"", "if-range: \"x\""], Verdict::NotModified);
    check(&["if-none-match: \"x\"", "if-range: \"x\""], Verdict::PassWhole);
}

/// Goal: a part is only sent of the state that the client has the other parts of.
#[test]
fn guards_ranges() {
    check(&["if-range: \"a,b\""], Verdict::Pass);
    check(&["if-range: W/\"a,b\""], Verdict::PassWhole);
    check(&["if-range: \"x\""], Verdict::PassWhole);
    check(&[&format!("if-range: {SAME}")], Verdict::Pass);
    check(&[&format!("if-range: {BEFORE}")], Verdict::PassWhole);
    check(&[&format!("if-range: {AFTER}")], Verdict::PassWhole);
    check(&["if-range: soon"], Verdict::PassWhole);
    assert_eq!(judged(&[&format!("if-range: {SAME}")], MODIFIED), Verdict::PassWhole, "the date is too young");
}

/// Goal: a file whose date is not to be believed has none to compare.
#[test]
fn goes_without_dates() {
    let headers: HeaderMap = [(header::IF_MODIFIED_SINCE, HeaderValue::from_static(SAME))].into_iter().collect();
    let validators = Validators { tag: TAG.as_bytes(), modified: None };
    assert_eq!(judge(&headers, validators, at(MODIFIED)), Verdict::Pass);
}
