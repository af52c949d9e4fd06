//! Deploys under load. The long variants, 100 and 1,000 in a row, belong to `cargo xtask bench`.

use prumo_tests::deploys::Deploys;

/// Goal: ten deploys in a row under steady load with 50 open web sockets fail no request and cut no socket (DEP-07, WS-01).
#[test]
fn ten_deploys_lose_nothing() {
    let outcome = Deploys { count: 10, replicas: 3, rate: 200, web_sockets: 50 }.run(|_| ());
    assert!(outcome.is_clean(), "{outcome}\n{}", outcome.story);
    assert!(outcome.report.sockets.moved >= 50, "every deploy moves the sockets it finds\n{outcome}");
    assert!(outcome.report.sockets.messages >= 50, "and they were in use\n{outcome}");
}
