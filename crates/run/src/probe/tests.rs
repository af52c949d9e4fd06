#![allow(clippy::disallowed_methods, reason = "the pretended app is not a part of prumo")]

use super::*;
use prumo_drain::Drain;
use std::io::{Read, Write};
use std::net::TcpListener;

/// For what never answers.
const SHORT: Duration = Duration::from_millis(300);

/// For what answers, on a machine that may be busy.
const LONG: Duration = Duration::from_secs(60);

/// Asks a pretended app that answers with these bytes, and says what was found.
async fn check(check: Check, answer: Option<&'static str>, expected: &str) {
    // Bound, so that nobody else gets its port, and listening only when there is an answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let is_silent = answer == Some("") && check != Check::Tcp;
    let _unused = match answer {
        None => Some(socket),
        Some(answer) => {
            let listener = socket.listen(1).unwrap().into_std().unwrap();
            listener.set_nonblocking(false).unwrap();
            drop(std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                // Held open: an answer is judged by what it says, not by its end.
                let _ = stream.read(&mut [0; 1]);
            }));
            None
        }
    };
    let within = if is_silent { SHORT } else { LONG };
    let found = probe(check, Some(Address::Tcp(address)), within).check().await;
    let found = found.map_or_else(|bad| bad.to_string(), |()| "good".to_owned());
    assert_eq!(found.replace(&address.to_string(), "ADDRESS"), expected);
}

fn probe(check: Check, address: Option<Address>, timeout: Duration) -> Probe {
    let clock = Clock::system();
    let health = Health { check, timeout, ..crate::desired::tests::spec("api").health };
    let marker = Marker { site: "test".to_owned(), replica: "check".to_owned(), nonce: "0".to_owned() };
    let environment = Arc::new(Environment::default().with("PATH", "/usr/bin:/bin").with("WORD", "good"));
    let stage = Drain::new(clock.clone()).stage("test");
    let command = CommandContext { folder: PathBuf::from("/"), environment, user: None, marker, stage };
    Probe { service: "api".to_owned(), replica: "api-1".to_owned(), starts: 1, health, address, command, clock }
}

fn http(body: Option<&str>) -> Check {
    Check::Http { path: "/health".to_owned(), status: vec![(200, 299)], body: body.map(str::to_owned) }
}

/// Goal: an HTTP check looks at the status and, if asked to, at the body, and says what was wrong.
#[tokio::test]
async fn http_answers() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nall fine";
    check(http(None), Some(ok), "good").await;
    check(http(Some("all")), Some(ok), "good").await;
    check(http(Some("great")), Some(ok), "GET /health answered 200 without `great` in its body").await;
    check(http(None), Some("HTTP/1.1 204 No\r\n\r\n"), "good").await;
    check(http(None), Some("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), "GET /health answered 503").await;
    check(http(None), Some(""), "GET /health did not answer within 300ms").await;
    check(http(None), None, "nothing listens on ADDRESS").await;
}

/// Goal: something else than HTTP is a bad answer, not a good one.
#[tokio::test]
async fn nonsense_is_bad() {
    let found = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"SSH-2.0-OpenSSH\r\n").unwrap());
        probe(http(None), Some(Address::Tcp(address)), LONG).check().await
    };
    assert!(found.unwrap_err().to_string().starts_with("GET /health broke off"));
}

/// Goal: a TCP check is content with a connection.
#[tokio::test]
async fn tcp_connections() {
    check(Check::Tcp, Some(""), "good").await;
    check(Check::Tcp, None, "nothing listens on ADDRESS").await;
}

/// Goal: a command is good when it ends with 0, sees the service's environment, and is ended when it takes too long.
#[tokio::test]
async fn commands() {
    let ask = async |script: &str, within: Duration| {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let found = probe(Check::Command(argv), None, within).check().await;
        found.map_or_else(|bad| bad.to_string(), |()| "good".to_owned())
    };
    assert_eq!(ask("test $WORD = good", LONG).await, "good");
    assert_eq!(ask("exit 4", LONG).await, "`sh -c exit 4` exited with code 4");
    assert_eq!(ask("sleep 100", SHORT).await, "`sh -c sleep 100` did not answer within 300ms");
}

/// Goal: durations are said as people write them.
#[test]
fn durations_in_words() {
    let check = |millis: u64, expected: &str| assert_eq!(in_words(Duration::from_millis(millis)), expected);
    check(0, "0s");
    check(30_000, "30s");
    check(120_000, "2m");
    check(1_500, "1500ms");
}
