//! What every answer carries and what is written down about it, as a client, an app and whoever reads the log see it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "record/grade.rs"]
mod grade;
mod site;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use grade::grade;
use prumo_edge::{
    AccessLog, Action, CertificateFiles, Files, Headers, LineFormat, PathMatch, Port, Route, Settings, Share,
    TraceFrom, Tracing,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use site::{Answer, App, Gate, Raised, Site, eventually, reply_with};

/// What a site must say for the best grade: it serves HTTPS and says so for two years, and knows what its pages load.
fn best_headers() -> Headers {
    Headers {
        csp: Some("default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'".into()),
        csp_enforce: true,
        hsts: Some("max-age=63072000".into()),
        ..Headers::default()
    }
}

/// An app with an answer of every kind, and headers of its own that say too much.
fn talkative_app() -> App {
    App::start(|ask, stream| {
        let answer: &[u8] = match ask.path() {
            "/redirect" => b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "/missing" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
            "/fault" => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
            "/unchanged" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            "/nothing" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/limited" => b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
            "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "/broken" => return false,
            "/hang" => {
                // Until the edge gives up.
                let _ = stream.read(&mut [0]);
                return false;
            }
            _ => b"HTTP/1.1 200 OK\r\nServer: app/1.2.3\r\nX-Powered-By: hope\r\nContent-Length: 2\r\n\r\nok",
        };
        stream.write_all(answer).is_ok()
    })
}

/// A site over TLS whose routes are an app, an app that is not there, and files.
fn site_of_every_kind(headers: &Headers) -> (Site, App) {
    let site = Site::start_with(
        |settings| {
            settings.https = Port::Number(0);
            settings.certificates = vec![certificate(&settings.certs_folder)];
            settings.answer_headers = headers.clone();
            // Long enough for an honest handshake on a busy machine; one case waits for its end.
            settings.header_timeout = Duration::from_secs(2);
        },
        |_| {},
    );
    std::fs::create_dir(site.folder.path().join("files")).unwrap();
    std::fs::write(site.folder.path().join("files/a.txt"), "a file").unwrap();
    let route = |name: &str, path: &str, action: Action| Route {
        path: PathMatch::Prefix(path.into()),
        host: Some("shop.test".into()),
        body_max: 1000,
        answer_headers: headers.clone(),
        ..Route::new(name, action)
    };
    let app = |service: &str| {
        let mut route = Route::to(service);
        site::forward(&mut route).timeout = Duration::from_secs(2);
        route.action
    };
    let files = Action::Files(Files::of(site.folder.path().join("files")));
    let routes =
        vec![route("app", "/", app("app")), route("gone", "/gone", app("gone")), route("files", "/files", files)];
    site.edge.routes(routes).unwrap();
    let app = talkative_app();
    site.serve(&[app.upstream("one")]);
    (site, app)
}

/// A certificate of the owner's for two hosts: only for such hosts is HSTS said.
fn certificate(folder: &Path) -> CertificateFiles {
    std::fs::create_dir_all(folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned(), "other.test".to_owned()]).unwrap();
    let files = CertificateFiles { certificate: folder.join("own.pem"), key: folder.join("own.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

/// The answer to raw bytes sent over TLS.
fn ask(site: &Site, request: &[u8]) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.folder.path().join("certs/own.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let connection = ClientConnection::new(config, ServerName::try_from("shop.test").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(site.https()).unwrap());
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    // Some refusals end without TLS' goodbye.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request:?}: {text}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Answer { status, headers: headers.collect(), body: body.into(), is_whole: true }
}

/// Every kind of route and of answer: the request, and the status it gets.
fn every_kind() -> Vec<(&'static str, Vec<u8>, u16)> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n").into_bytes();
    let raw = |text: &str| text.as_bytes().to_vec();
    let large = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Large: {}\r\n\r\n", "x".repeat(40_000));
    vec![
        ("the app's page", get("/"), 200),
        ("its answer to HEAD", raw("HEAD / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"), 200),
        ("its answer to HTTP/1.0", raw("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n"), 200),
        ("its stream", get("/chunked"), 200),
        ("its 204", get("/nothing"), 204),
        ("its redirect", get("/redirect"), 302),
        ("its 304", get("/unchanged"), 304),
        ("its 404", get("/missing"), 404),
        ("its 429", get("/limited"), 429),
        ("its 500", get("/fault"), 500),
        ("a file", get("/files/a.txt"), 200),
        ("no such file", get("/files/b.txt"), 404),
        ("no route", raw("GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n"), 404),
        ("no answer from the app", get("/broken"), 502),
        ("no replica", get("/gone"), 503),
        ("no answer in time", get("/hang"), 504),
        ("a method that is refused", raw("TRACE / HTTP/1.1\r\nHost: shop.test\r\n\r\n"), 405),
        ("a body too large", raw("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1001\r\n\r\n"), 413),
        ("no host", raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"), 400),
        ("no HTTP", raw("What is this?\r\n\r\n"), 400),
        ("no header", raw("GET / HTTP/1.1\r\nHost shop.test\r\n\r\n"), 400),
        ("headers too large", large.into_bytes(), 431),
        ("a head that never ends", raw("GET / HTTP/1.1\r\nHost: sho"), 408),
    ]
}

/// Goal: every answer of every route, refusals before the request was read included, carries the security headers and
/// is graded A+ by the public table, and none tells what it was made with (EDGE-04, SEC-10).
#[test]
fn every_answer_is_graded_best() {
    let (site, _app) = site_of_every_kind(&best_headers());
    for (what, request, status) in every_kind() {
        let answer = ask(&site, &request);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        // Refused before its host was looked at.
        let knows_host = ![
            "a method that is refused",
            "no host",
            "no HTTP",
            "no header",
            "headers too large",
            "a head that never ends",
        ]
        .contains(&what);
        assert_eq!(answer.header("strict-transport-security").is_some(), knows_host, "{what}");
        let (score, reasons) = grade(&answer, knows_host);
        assert!(score >= 100, "{what} gets {score}: {reasons:?}\n{:#?}", answer.headers);
        for name in ["x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy"] {
            assert!(answer.header(name).is_some(), "{what} says no {name}: {:#?}", answer.headers);
        }
        for name in ["server", "x-powered-by"] {
            assert_eq!(answer.header(name), None, "{what}");
        }
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        let once: HashSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), once.len(), "{what} says nothing twice: {names:?}");
    }
}

/// Goal: without a policy of its own a site is told apart by the grade only by that policy and by HSTS, which only its
/// owner can decide: 55, and 100 for prumo's own pages once HSTS is there.
#[test]
fn what_the_defaults_are_worth() {
    let (site, _app) = site_of_every_kind(&Headers::default());
    let get =
        |host: &str| ask(&site, format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
    let (score, reasons) = grade(&get("shop.test"), true);
    assert_eq!(score, 55, "{reasons:?}");
    assert_eq!(reasons, ["-25 content-security-policy", "-20 strict-transport-security", "+5 referrer-policy"]);
    let (score, reasons) = grade(&get("other.test"), true);
    assert_eq!(score, 80, "{reasons:?}");
}

/// Goal: a client that sends a good request and then garbage gets the answer, then a refusal with our headers.
#[test]
fn hyper_never_speaks_for_itself() {
    for fast_path in [true, false] {
        let site = Site::start_with(|settings| settings.fast_path = fast_path, |_| {});
        let app = App::named("one");
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        for _ in 0..3 {
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(wire.answer().text(), "one GET / HTTP/1.1");
        }
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nnonsense\r\n\r\n");
        assert_eq!(wire.answer().text(), "one GET / HTTP/1.1");
        let refusal = wire.answer();
        assert_eq!((refusal.status, refusal.header("x-frame-options")), (400, Some("SAMEORIGIN")), "{fast_path}");
        assert_eq!(refusal.text(), "400 Bad Request\nThe request could not be read safely.\n");
        assert!(wire.is_closed());
    }
}

/// Goal: an app whose body looks like hyper's refusal is passed on byte for byte, however it is cut into pieces.
#[test]
fn bodies_are_never_taken_for_refusals() {
    const TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let app = App::start(|_, stream| {
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TEXT.len() * 2).as_bytes());
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(30));
            let _ = stream.write_all(TEXT);
        }
        true
    });
    for fast_path in [true, false] {
        let site = Site::start_with(|settings| settings.fast_path = fast_path, |_| {});
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        for _ in 0..3 {
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(wire.answer().body, TEXT.repeat(2), "{fast_path}");
        }
    }
}

fn log_to(folder: &Path, shape: impl FnOnce(&mut AccessLog)) -> impl FnOnce(&mut Settings) {
    let mut log = AccessLog {
        path: folder.join("access.log"),
        keep_bytes: 64 << 20,
        format: LineFormat::Json,
        sample: Share::ALL,
    };
    shape(&mut log);
    move |settings| settings.access_log = Some(log)
}

fn lines_of(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Goal: N requests make N whole lines with status, bytes and upstream time, while the log is moved away under the
/// writer again and again (EDGE-07).
#[test]
fn every_request_has_its_line() {
    const CLIENTS: usize = 4;
    const MOVES: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    // Every microsecond of it is looked at, so they are those of the machine.
    let site = Site::start_at(prumo_clock::Clock::system(), log_to(folder.path(), |_| {}), |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let (moves, requests) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Raised(&is_over);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut wire = site.connect();
                // Until the log was moved often enough, and a little beyond.
                for _ in 0.. {
                    let number = requests.fetch_add(1, Ordering::SeqCst);
                    wire.send(format!("GET /{number} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
                    assert_eq!(wire.answer().status, 200);
                    if moves.load(Ordering::SeqCst) == MOVES || is_over.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        for turn in 0..MOVES {
            let moved = folder.path().join(format!("access.log-{turn}"));
            eventually("there is a log to move", || std::fs::rename(folder.path().join("access.log"), &moved).is_ok());
            moves.fetch_add(1, Ordering::SeqCst);
        }
    });
    site.stop(Duration::from_secs(60));
    let lines: Vec<serde_json::Value> =
        lines_of(folder.path()).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: HashSet<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let requests = requests.into_inner();
    assert_eq!((lines.len(), paths.len()), (requests, requests), "one line each");
    for line in &lines {
        let body = format!("one GET {} HTTP/1.1", line["path"].as_str().unwrap());
        assert_eq!((&line["status"], &line["bytes_out"]), (&200.into(), &body.len().into()), "{line}");
        let micros = |key: &str| line[key].as_u64().unwrap();
        assert!(micros("duration_us") >= micros("upstream_whole_us"), "{line}");
        assert!(micros("upstream_whole_us") >= micros("upstream_us") && micros("upstream_us") > 0, "{line}");
    }
    assert!(lines.iter().any(|line| line["connect_us"].is_u64()), "somebody had to connect");
    assert!(site.metrics().contains("prumo_edge_access_log_lines_lost_total 0"));
}

/// Goal: the combined form is what Apache and nginx write, and says no more of a query than the other.
#[test]
fn writes_combined_lines() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start_with(log_to(folder.path(), |log| log.format = LineFormat::Combined), |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(
        b"GET /a?token=secret HTTP/1.1\r\nHost: a.test\r\nReferer: http://b.test/?key=secret\r\n\
          User-Agent: a \"b\"\r\n\r\n",
    );
    let length = wire.answer().body.len();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wire.answer();
    site.stop(Duration::from_secs(60));
    let lines = lines_of(folder.path());
    let (client, rest) = lines[0].split_once(" - - [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(client, "127.0.0.1");
    assert!(time.ends_with(" +0000") && time.len() == "21/Nov/2026:03:01:01 +0000".len(), "{time}");
    assert_eq!(rest, format!("\"GET /a HTTP/1.1\" 200 {length} \"http://b.test/\" \"a \\x22b\\x22\""));
    assert!(lines[1].ends_with(" \"GET / HTTP/1.1\" 200 18 \"-\" \"-\""), "{}", lines[1]);
}

/// Goal: a sampled log leaves out what went well, and never what went wrong.
#[test]
fn sampling_keeps_what_went_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start_with(log_to(folder.path(), |log| log.sample = Share::of(0.0)), |_| {});
    let app = talkative_app();
    site.serve(&[app.upstream("one")]);
    for path in ["/", "/missing", "/redirect", "/fault", "/broken"] {
        site.get(path);
    }
    site.stop(Duration::from_secs(60));
    let lines = lines_of(folder.path());
    let status: Vec<u64> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].as_u64().unwrap())
        .collect();
    let status: HashSet<u64> = status.into_iter().collect();
    assert_eq!(status, HashSet::from([404, 500, 502]));
}

/// Goal: a trusted caller's trace goes on through the app with a span of ours and stands in the log; a stranger's does
/// not; and no trace is touched where tracing is off (TRACE-01).
#[test]
fn traces_go_on() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let told = |tracing: Option<Tracing>| {
        let folder = tempfile::tempdir().unwrap();
        let log = log_to(folder.path(), |_| {});
        let site = Site::start_with(
            |settings| {
                log(settings);
                settings.tracing = tracing;
            },
            |_| {},
        );
        let app = App::named("one");
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        wire.send(
            format!("GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n\r\n").as_bytes(),
        );
        wire.answer();
        site.stop(Duration::from_secs(60));
        let line: serde_json::Value = serde_json::from_str(&lines_of(folder.path())[0]).unwrap();
        let ask = app.asks()[0].clone();
        let text = |name: &str| ask.header(name).unwrap_or_default().to_owned();
        (text("traceparent"), text("tracestate"), line["trace"].as_str().unwrap_or_default().to_owned())
    };
    let (parent, state, id) = told(Some(Tracing::new(TraceFrom::Anybody, 1.0)));
    assert_eq!((&parent[..36], &parent[52..], state.as_str()), (&PARENT[..36], "-01", "a=1"));
    assert_ne!(parent, PARENT, "the app's parent is our span");
    assert_eq!(id, &PARENT[3..35]);
    let (parent, state, id) = told(Some(Tracing::new(TraceFrom::TrustedProxies, 1.0)));
    assert!(parent[3..35] != PARENT[3..35] && parent.ends_with("-01") && state.is_empty(), "{parent} {state}");
    assert_eq!(id, parent[3..35]);
    assert_eq!(told(None), (PARENT.to_owned(), "a=1".to_owned(), String::new()));
}

/// Goal: what a scrape shows is what promtool accepts, with each series of a request told apart by route and replica.
#[test]
fn metrics_are_good_prometheus() {
    let site = Site::start();
    let app = talkative_app();
    site.serve(&[app.upstream("one")]);
    for path in ["/", "/fault", "/broken"] {
        site.get(path);
    }
    eventually("all is counted", || site.metrics().contains("replica=\"one\",status=\"5xx\"} 2"));
    let metrics = site.metrics();
    for line in [
        "prumo_edge_requests_total{service=\"app\",route=\"all\",status=\"2xx\"} 1",
        "prumo_edge_requests_total{service=\"app\",route=\"all\",status=\"5xx\"} 2",
        "prumo_edge_upstream_requests_total{service=\"app\",replica=\"one\",status=\"2xx\"} 1",
        "prumo_edge_request_duration_seconds_count{service=\"app\",route=\"all\"} 3",
        "prumo_edge_upstream_first_byte_duration_seconds_count{service=\"app\",replica=\"one\"} 2",
        "prumo_edge_upstream_duration_seconds_count{service=\"app\",route=\"all\"} 2",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\nin\n{metrics}");
    }
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is installed by `cargo xtask deps`");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}\n{metrics}", String::from_utf8_lossy(&said.stderr));
    let counters = site.edge.counters();
    let route = counters.routes.iter().find(|route| route.route == "all").unwrap();
    assert_eq!((route.status, route.in_flight), ([0, 1, 0, 0, 2], 0));
    assert_eq!(route.duration.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 3);
    assert_eq!(counters.replicas[0].status, [0, 1, 0, 0, 2]);
}

/// Goal: the app's own page still comes when the client hangs up on another; both are counted.
#[test]
fn in_flight_ends_at_zero() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let app = App::start(move |ask, stream| {
        if ask.path() == "/slow" {
            held.wait();
        }
        reply_with(stream, b"done");
        true
    });
    let site = Site::start_with(|settings| settings.half_closed_timeout = Duration::ZERO, |_| {});
    site.serve(&[app.upstream("one")]);
    let mut wire = site.connect();
    wire.send(b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let in_flight = || site.edge.counters().routes[0].in_flight;
    eventually("it is in flight", || in_flight() == 1);
    drop(wire);
    site.get("/");
    eventually("nothing is", || in_flight() == 0);
    gate.open();
}
