use super::*;

/// Goal: each check has a name that stands in a sentence.
#[test]
fn checks_in_words() {
    let check = |asked: &Check, expected: &str| assert_eq!(asked.to_string(), expected);
    check(&Check::Connection, "the connection");
    check(&Check::Http { path: "/health".to_owned(), status: Vec::new(), body: None }, "GET /health");
    check(&Check::Grpc { service: String::new() }, "the gRPC health check");
    check(&Check::WebSocket { path: "/ws".to_owned() }, "the web socket at /ws");
}
