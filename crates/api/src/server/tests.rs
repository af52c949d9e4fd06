//! Live tests of the listeners over real sockets, with an answering function that only echoes the question.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::route::ROUTES;

/// A ledger, its tokens and a listener in a temporary folder.
struct Site {
    door: Door,
    stage: Stage,
    address: std::net::SocketAddr,
    tokens: Vec<(Option<Role>, String)>,
    _folder: tempfile::TempDir,
    _drain: prumo_drain::Drain,
}

async fn site(metrics_open: bool) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let drain = prumo_drain::Drain::new(clock.clone());
    let stage = drain.stage("test");
    let ledger =
        prumo_ledger::Ledger::open(&folder.path().join("ledger.db"), clock.clone(), &stage, &[&crate::token::TABLE])
            .unwrap();
    let known = Tokens::load(ledger, clock.clone()).await.unwrap();
    let mut tokens = vec![(None, String::new())];
    for role in Role::ALL {
        tokens.push((Some(role), known.create(role.word(), role, "test").await.unwrap().token));
    }
    let answering: Answering = Arc::new(|ask, caller| {
        Box::pin(async move {
            if ask == (Ask::Deploy { services: vec![] }) {
                let (sender, events) = mpsc::channel(4);
                sender.try_send(Event::Skipped { lines: 1 }).unwrap();
                sender.try_send(Event::Skipped { lines: 2 }).unwrap();
                return Ok(Reply::Events(events));
            }
            Ok(Reply::document(&format!("{ask:?} by {}", caller.name)))
        })
    });
    let door = Door::new(known, metrics_open, answering, clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    door.serve(Listener::Tcp(listener), &stage);
    Site { door, stage, address, tokens, _folder: folder, _drain: drain }
}

/// Sends raw bytes and reads to the end: status and body.
async fn converse(stream: impl AsyncRead + AsyncWrite, request: &str) -> (u16, String) {
    let mut stream = std::pin::pin!(stream);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn request(method: &str, path: &str, token: &str, host: &str, body: &str) -> String {
    let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Site {
    async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        self.ask_as_host(method, path, token, body, "127.0.0.1").await
    }

    async fn ask_as_host(&self, method: &str, path: &str, token: &str, body: &str, host: &str) -> (u16, String) {
        converse(TcpStream::connect(self.address).await.unwrap(), &request(method, path, token, host, body)).await
    }
}

/// A body that the route accepts, so that only access decides.
fn good_body(path: &str) -> &'static str {
    match path {
        "/api/v1/services/{service}/scale" => r#"{"replicas":2}"#,
        "/api/v1/secrets/{name}" => r#"{"value":"v"}"#,
        "/api/v1/tokens" => r#"{"name":"x","role":"viewer"}"#,
        "/api/v1/maintenance" => r#"{"on":true}"#,
        _ => "",
    }
}

/// Goal: every route admits exactly the roles that the table says, and nobody without a token beyond health (deny by default).
#[tokio::test]
async fn every_route_with_every_role() {
    let site = site(false).await;
    for route in ROUTES {
        let path = route.path.replace("{service}", "api").replace("{name}", "n");
        for (role, token) in &site.tokens {
            let (status, body) = site.ask(route.method, &path, token, good_body(route.path)).await;
            let expected = match (route.access.admits(*role), role) {
                (true, _) => 200,
                (false, None) => 401,
                (false, Some(_)) => 403,
            };
            assert_eq!(status, expected, "{} {path} as {role:?}: {body}", route.method);
        }
    }
}

/// Goal: an unknown token opens nothing, and closes nothing that is open to everybody.
#[tokio::test]
async fn an_unknown_token_is_refused() {
    let site = site(true).await;
    assert_eq!(site.ask("GET", "/health", "prumo_wrong", "").await.0, 200);
    assert_eq!(site.ask("GET", "/api/v1/status", "prumo_wrong", "").await.0, 401);
    assert_eq!(site.ask("GET", "/metrics", "", "").await.0, 200, "metrics are open here");
}

/// Goal: requests that are wrong get the status that says how.
#[tokio::test]
async fn wrong_requests_are_told() {
    let site = site(false).await;
    let admin = site.tokens[3].1.clone();
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    for (method, path, body, expected) in [
        ("GET", "/nothing", "", 404),
        ("POST", "/health", "", 400),
        ("PUT", "/api/v1/secrets/x", "{", 400),
        ("PUT", "/api/v1/secrets/x", large.as_str(), 400),
        ("GET", "/api/v1/services/api/logs?lines=many", "", 400),
    ] {
        let (status, answer) = site.ask(method, path, &admin, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer.contains("\"message\""), "{answer}");
    }
}

/// Goal: a name that a stranger's web page pointed at this machine is not answered.
#[tokio::test]
async fn other_host_names_are_refused() {
    let site = site(false).await;
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:7700", 200),
        ("127.0.0.1:7700", 200),
        ("[::1]:7700", 200),
        ("evil.example", 403),
        ("", 403),
    ] {
        assert_eq!(site.ask_as_host("GET", "/health", "", "", host).await.0, expected, "{host}");
    }
}

/// Goal: a stream arrives as a line an event.
#[tokio::test]
async fn events_come_as_lines() {
    let site = site(false).await;
    let (status, body) = site.ask("POST", "/api/v1/deploys", &site.tokens[2].1.clone(), "").await;
    assert_eq!(status, 200);
    assert!(body.contains("{\"event\":\"skipped\",\"lines\":1}\n"), "{body}");
    assert!(body.contains("{\"event\":\"skipped\",\"lines\":2}\n"), "{body}");
}

/// Goal: a change that has nothing to tell for long has the head of its answer all the same.
#[tokio::test]
async fn a_slow_change_is_answered() {
    let (clock, simulation) = Clock::simulated(1, prumo_clock::Timestamp::from_millis(0));
    let drain = prumo_drain::Drain::new(clock.clone());
    let (sender, events) = mpsc::channel(4);
    let (answer, ()) = tokio::join!(stream(events, drain.stage("test").stopping(), &clock), async {
        simulation.advance(FIRST_EVENT_WITHIN);
    });
    assert_eq!(answer.status(), 200);
    sender.try_send(Event::Skipped { lines: 7 }).unwrap();
    drop(sender);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"event\":\"skipped\",\"lines\":7}"), "{body:?}");
}

/// Goal: the largest secret gets through, however JSON writes it.
#[tokio::test]
async fn the_largest_secret_gets_through() {
    let site = site(false).await;
    let body = format!("{{\"value\":\"{}\"}}", "\\u0001".repeat(SECRET_BYTES_MAX));
    let (status, answer) = site.ask("PUT", "/api/v1/secrets/key", &site.tokens[3].1.clone(), &body).await;
    assert_eq!(status, 200, "{answer}");
}

/// Goal: over the socket the owner is an administrator without a token, and the client of the command line understands the answers.
#[tokio::test]
async fn the_socket_knows_its_owner() {
    let site = site(false).await;
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("run")).unwrap();
    let listener = UnixListener::bind(state.path().join("run").join(crate::client::SOCKET)).unwrap();
    site.door.serve(Listener::Socket(listener), &site.stage);
    let mut client = crate::client::Client::connect(state.path(), &site.door.clock, &site.stage).await.unwrap();
    let answer: String = client.document("GET", "/api/v1/tokens", &()).await.unwrap();
    assert!(answer.starts_with("Tokens by user "), "{answer}");
    let refusal = client.document::<String>("GET", "/nothing", &()).await.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::NoSuchThing);
    let mut events = client.events("POST", "/api/v1/deploys", &()).await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(Event::Skipped { lines: 1 }));
    assert_eq!(events.next().await.unwrap(), Some(Event::Skipped { lines: 2 }));
    assert_eq!(events.next().await.unwrap(), None);
}

/// Goal: without a running prumo the client says so and what to do.
#[tokio::test]
async fn a_missing_prumo_is_said() {
    let drain = prumo_drain::Drain::new(Clock::system());
    let refusal =
        crate::client::Client::connect(Path::new("/nonexistent/state"), &Clock::system(), &drain.stage("test"))
            .await
            .map(|_| ())
            .unwrap_err();
    assert_eq!(refusal.message, "no prumo is running on the state folder /nonexistent/state");
}

/// Goal: only addresses and localhost pass as Host.
#[test]
fn hosts_are_recognised() {
    let check = |host, expected| assert_eq!(host_is_address(host), expected, "{host}");
    check("localhost", true);
    check("127.0.0.1", true);
    check("10.0.0.5:7700", true);
    check("[::1]", true);
    check("[fe80::1]:7700", true);
    check("localhost.evil.example", false);
    check("127.0.0.1.evil.example", false);
    check("[evil]", false);
    check("", false);
}
