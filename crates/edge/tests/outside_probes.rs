//! Services outside that are asked whether they are well, as requests go to them: addresses that say no are left out
//! until they say yes again.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;
#[path = "site/streams.rs"]
mod streams;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prumo_edge::{Check, Outside, Place, Port, Probe, Protocol};
use site::{App, Ask, Site, eventually};
use streams::{H2App, ok, send, trailers};

fn outside(at: &[Place], check: Check) -> Outside {
    Outside {
        service: "app".into(),
        at: at.to_vec(),
        protocol: Protocol::H1,
        sees_clients_host: false,
        authority: None,
        resolve_every: Duration::from_secs(60),
        // Patient, so that a busy machine is not taken for a service that is not well.
        probe: Probe {
            check,
            every: Duration::from_millis(20),
            timeout: Duration::from_secs(20),
            healthy: 1,
            unhealthy: 2,
        },
    }
}

fn get(path: &str, body: Option<&str>) -> Check {
    Check::Http { path: path.to_owned(), status: vec![(200, 299)], body: body.map(str::to_owned) }
}

fn place(host: &str, port: u16, tls: bool) -> Place {
    Place::Host { host: host.into(), port, tls }
}

/// What keeps each address of the service from being used; nothing before the first look. Only what the tests listen on
/// counts: `localhost` has more addresses than that on many machines.
fn refusals(site: &Site) -> Vec<Option<String>> {
    let report = site.edge.outside_reports().remove("app").unwrap_or_default();
    let ours = |id: &str| id.starts_with("app@127.0.0.1:") || id.starts_with("app@unix:");
    report.upstreams.into_iter().filter(|(id, _)| ours(id)).map(|(_, refusal)| refusal).collect()
}

fn await_refusals(site: &Site, expected: &[Option<&str>]) {
    eventually(&format!("the addresses are {expected:?}"), || {
        refusals(site).iter().map(Option::as_deref).collect::<Vec<_>>() == expected
    });
}

/// An app that says its name, and on `/health` whether it is well.
fn app(name: &'static str, is_well: &Arc<AtomicBool>) -> App {
    let is_well = Arc::clone(is_well);
    App::start(move |ask, stream| {
        let status = if ask.path() != "/health" || is_well.load(Ordering::SeqCst) { "200 OK" } else { "503 No" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        true
    })
}

/// Goal: LB-02, HEALTH-11: an address that still takes connections and says that it is not well gets nothing, until it says that
/// it is; the report tells what it said.
#[test]
fn an_address_that_is_not_well_is_left_out() {
    let (site, first_is_well) = (Site::start(), Arc::new(AtomicBool::new(true)));
    let (first, second) = (app("first", &first_is_well), app("second", &Arc::new(AtomicBool::new(true))));
    let at = [&first, &second].map(|app| place("127.0.0.1", app.address.port(), false));
    site.edge.outside(vec![outside(&at, get("/health", None))]).unwrap();
    await_refusals(&site, &[None, None]);
    let names = || (0..8).map(|_| site.get("/").text()).collect::<Vec<_>>();
    eventually("both serve", || names().contains(&"first".to_owned()) && names().contains(&"second".to_owned()));
    first_is_well.store(false, Ordering::SeqCst);
    await_refusals(&site, &[Some("GET /health answered 503"), None]);
    eventually("only the second serves", || names().iter().all(|name| name == "second"));
    first_is_well.store(true, Ordering::SeqCst);
    await_refusals(&site, &[None, None]);
    eventually("both serve again", || names().contains(&"first".to_owned()));
    let asked: Vec<Ask> = first.asks().into_iter().filter(|ask| ask.path() == "/health").collect();
    assert_eq!(asked[0].header("host"), Some(first.address.to_string().as_str()));
}

/// Goal: when no address is well all of them serve: what an app says itself is better than nothing.
#[test]
fn the_last_one_serves() {
    let (site, is_well) = (Site::start(), Arc::new(AtomicBool::new(false)));
    let app = app("app", &is_well);
    let at = [place("127.0.0.1", app.address.port(), false)];
    site.edge.outside(vec![outside(&at, get("/health", None))]).unwrap();
    await_refusals(&site, &[Some("GET /health answered 503")]);
    assert_eq!(site.get("/").text(), "app");
    is_well.store(true, Ordering::SeqCst);
    await_refusals(&site, &[None]);
}

/// Goal: over TLS the probe trusts whom requests trust, by the same name, and sees what requests would see.
#[test]
fn asks_over_tls_as_requests_go() {
    let behind = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    let (site, app) = (Site::start(), App::named("far away"));
    behind.serve(&[app.upstream("one")]);
    let at = [place("localhost", behind.https().port(), true)];
    let check = get("/health", Some("far away GET /health"));
    let trusting = Outside { authority: Some(behind.edge.authority_certificate()), ..outside(&at, check.clone()) };
    site.edge.outside(vec![trusting.clone()]).unwrap();
    await_refusals(&site, &[None]);
    let ask = &app.asks()[0];
    let host = format!("localhost:{}", behind.https().port());
    assert_eq!((ask.header("host"), ask.header("x-forwarded-proto")), (Some(host.as_str()), Some("https")));
    // The authorities of the system have signed nothing of this.
    site.edge.outside(vec![outside(&at, check)]).unwrap();
    eventually("the certificate is not trusted", || {
        refusals(&site).iter().flatten().any(|why| why.contains("certificate"))
    });
    // What the app says counts, not only that it says something.
    let other = Outside { probe: Probe { check: get("/", Some("near")), ..trusting.probe.clone() }, ..trusting };
    site.edge.outside(vec![other]).unwrap();
    await_refusals(&site, &[Some("GET / answered 200 without `near` in its body")]);
}

/// Goal: gRPC's health service is asked over TLS too.
#[test]
fn asks_grpc_over_tls() {
    let behind = Site::start_with(|settings| settings.https = Port::Number(0), |_| {});
    let app = H2App::start(|request, mut respond| {
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let mut stream = respond.send_response(ok(), false).unwrap();
            // NOT_SERVING.
            send(&mut stream, Bytes::from_static(&[0, 0, 0, 0, 2, 8, 2]), false).await;
            stream.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        })
    });
    behind.serve(&[app.upstream("one")]);
    let site = Site::start();
    let authority = Some(behind.edge.authority_certificate());
    let at = [place("localhost", behind.https().port(), true)];
    let check = Check::Grpc { service: "shop.Cart".to_owned() };
    site.edge.outside(vec![Outside { authority, protocol: Protocol::H2, ..outside(&at, check) }]).unwrap();
    await_refusals(&site, &[Some("the gRPC health check says NOT_SERVING of `shop.Cart`")]);
}

/// Goal: a Unix socket that nobody listens on is not well, and one that somebody does is.
#[test]
fn knocks_at_sockets() {
    let site = Site::start();
    let path = site.folder.path().join("app.sock");
    site.edge.outside(vec![outside(&[Place::Unix(path.clone())], Check::Connection)]).unwrap();
    await_refusals(&site, &[Some("No such file or directory (os error 2)")]);
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    await_refusals(&site, &[None]);
}

/// Goal: names are looked up again however seldom the addresses are asked, and nobody is asked more often for it.
#[test]
fn names_do_not_wait_for_probes() {
    let (site, app) = (Site::start(), app("app", &Arc::new(AtomicBool::new(true))));
    // No part of a name may be so long: it fails at once.
    let lost = place(&format!("{}.invalid", "a".repeat(64)), 80, false);
    let often = outside(&[lost, place("127.0.0.1", app.address.port(), false)], get("/health", None));
    let probe = Probe { every: Duration::from_secs(3600), ..often.probe.clone() };
    site.edge.outside(vec![Outside { resolve_every: Duration::from_millis(20), probe, ..often }]).unwrap();
    let failures = || {
        let metrics = site.metrics();
        let line = metrics.lines().find(|line| line.starts_with("prumo_edge_lookups_failed_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap()
    };
    eventually("it is looked up again and again", || failures() >= 5.0);
    assert_eq!(refusals(&site), [None]);
    assert_eq!(app.asks().len(), 1, "the next one is due in an hour");
}

/// Goal: a reload that changes nothing about how a service is asked forgets nothing about it.
#[test]
fn a_reload_forgets_nothing() {
    let (site, is_well) = (Site::start(), Arc::new(AtomicBool::new(true)));
    let app = app("app", &is_well);
    let at = [place("127.0.0.1", app.address.port(), false)];
    let often = outside(&at, get("/health", None));
    let seldom = Outside { probe: Probe { every: Duration::from_secs(3600), ..often.probe.clone() }, ..often };
    site.edge.outside(vec![seldom.clone()]).unwrap();
    await_refusals(&site, &[None]);
    is_well.store(false, Ordering::SeqCst);
    for _ in 0..5 {
        site.edge.outside(vec![seldom.clone()]).unwrap();
    }
    let seldom = Outside { sees_clients_host: true, resolve_every: Duration::from_secs(90), ..seldom };
    // Another service is looked at after all these.
    let other = Probe { check: get("/other", Some("else")), ..seldom.probe };
    let other = Outside { service: "other".into(), probe: other, ..seldom.clone() };
    site.edge.outside(vec![seldom, other]).unwrap();
    eventually("the other is looked at", || {
        site.edge.outside_reports().get("other").is_some_and(|report| report.upstreams[0].1.is_some())
    });
    assert_eq!(refusals(&site), [None]);
    let looks = app.asks().iter().filter(|ask| ask.path() == "/health").count();
    assert_eq!(looks, 1, "the next one is due in an hour");
}
