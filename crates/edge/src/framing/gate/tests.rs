use super::*;

/// What passes, step by step: the bytes that are read, whether an answer is due, and what passes then.
fn check(steps: &[(&str, bool, Result<&str, ()>)]) {
    let mut gate = Gate::new(64);
    for (step, (read, is_answered, expected)) in steps.iter().enumerate() {
        let mut put = Vec::new();
        let passed = gate.pass(read.as_bytes(), 1024, *is_answered, |bytes| put.extend_from_slice(bytes));
        let passed = passed.map(|_| String::from_utf8(put).unwrap()).map_err(drop);
        assert_eq!(passed.as_deref(), expected.as_deref(), "step {step} of {steps:?}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
const PUT: &str = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Goal: a head passes when it is complete, and the next when the one before is answered.
#[test]
fn heads_pass_one_by_one() {
    check(&[(GET, true, Ok(GET)), (GET, false, Ok("")), ("", false, Ok("")), ("", true, Ok(GET))]);
    check(&[("GET / HT", true, Ok("")), ("TP/1.1\r\n\r\n", true, Ok(GET))]);
    let two = [GET, GET].concat();
    check(&[(&two, true, Ok(GET)), ("", true, Ok(GET)), ("", true, Ok(""))]);
}

/// Goal: a body passes as it comes, and what comes behind it waits.
#[test]
fn bodies_pass() {
    let whole = [POST, "abc"].concat();
    let behind = [&whole, GET].concat();
    check(&[(&behind, true, Ok(&whole)), ("", false, Ok("")), ("", true, Ok(GET))]);
    check(&[(POST, true, Ok(POST)), ("ab", false, Ok("ab")), ("cG", false, Ok("c")), ("", false, Ok(""))]);
    check(&[(PUT, true, Ok(PUT)), ("1\r\na\r\n", false, Ok("1\r\na\r\n")), ("0\r\n\r\nG", false, Ok("0\r\n\r\n"))]);
    let empty = [PUT, "0\r\n\r\n"].concat();
    check(&[(&empty, true, Ok(&empty)), (GET, true, Ok(GET))]);
}

/// Goal: after a bad chunk nothing passes; what came before it does.
#[test]
fn bad_chunks_do_not_pass() {
    let bad = [PUT, "1 \r\na\r\n0\r\n\r\n"].concat();
    check(&[(&bad, true, Ok(PUT)), ("", false, Err(())), (GET, true, Err(()))]);
    check(&[(PUT, true, Ok(PUT)), ("1\r\nab", false, Err(())), ("", true, Err(()))]);
}

/// Goal: an unsafe head is told as such, and after it nothing waits any more: nothing of it is served.
#[test]
fn unsafe_heads_are_told() {
    let mut gate = Gate::new(64);
    assert_eq!(gate.pass(GET.as_bytes(), 1024, true, |_| {}).unwrap(), GET.len());
    assert!(!gate.is_unsafe());
    let sent = ["GET / HTTP/1.1\n\r\n", GET].concat();
    assert_eq!(gate.pass(sent.as_bytes(), 1024, true, |_| {}).unwrap(), sent.len());
    assert!(gate.is_unsafe() && !gate.is_full() && !gate.awaits_rest_of_head());
}

/// Goal: a head larger than what is taken passes as it is, for the one behind to refuse it.
#[test]
fn large_heads_are_refused_behind() {
    let long = format!("GET /{} ", "x".repeat(80));
    check(&[(&long, true, Ok(&long)), ("HTTP/1.1\r\n\r\n", true, Ok("HTTP/1.1\r\n\r\n"))]);
}

/// Goal: no more passes than there is room for.
#[test]
fn a_limit_is_kept() {
    let sent = [POST, "abc"].concat();
    let mut gate = Gate::new(64);
    let mut put = Vec::new();
    let mut read = sent.as_bytes();
    while put.len() < sent.len() {
        assert_eq!(gate.pass(std::mem::take(&mut read), 1, true, |bytes| put.extend_from_slice(bytes)).unwrap(), 1);
    }
    assert_eq!(put, sent.as_bytes());
}
