use super::answered;

/// Goal: a run with errors is no measurement.
#[test]
fn errors_are_not_measured() {
    let good = "  1 threads and 64 connections\n  123456 requests in 5.01s, 140.12MB read\nRequests/sec:  24641.91\n";
    assert_eq!(answered(good), Ok(123_456));
    assert_eq!(answered(&format!("{good}  Non-2xx or 3xx responses: 3\n")), Err("met errors"));
    assert_eq!(answered(&format!("{good}  Socket errors: connect 0, read 1, write 0, timeout 0\n")), Err("met errors"));
    assert_eq!(answered("  0 requests in 5.01s, 0B read\n"), Err("got no answer"));
}
