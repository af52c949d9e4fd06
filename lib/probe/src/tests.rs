use super::*;

/// Goal: each question has a name that stands in a sentence.
#[test]
fn questions_in_words() {
    let check = |question: &Question, expected: &str| assert_eq!(question.to_string(), expected);
    check(&Question::Connection, "the connection");
    check(&Question::Http { path: "/health".to_owned(), status: Vec::new(), body: None }, "GET /health");
    check(&Question::Grpc { service: String::new() }, "the gRPC health check");
    check(&Question::WebSocket { path: "/ws".to_owned() }, "the web socket at /ws");
}
