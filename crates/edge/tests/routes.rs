//! What a route makes of a request, seen by its client and by its app.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::collections::BTreeMap;

use prumo_edge::{Action, Answer, Forward, Part, PathMatch, Redirect, Rewrite, Route, Target, Template};
use site::{App, Site, eventually};

fn at(path: &str, action: Action) -> Route {
    Route { path: PathMatch::Prefix(path.into()), ..Route::new(path, action) }
}

/// A site whose app says its name and what it was asked.
fn start(routes: Vec<Route>) -> (Site, App) {
    let (site, app) = (Site::start(), App::named("app"));
    site.edge.routes(routes).unwrap();
    site.serve(&[app.upstream("one")]);
    (site, app)
}

/// Goal: the app is asked for the path that its route makes, with the same query, and told the prefix that was taken
/// away; what a stranger says of that is not believed.
#[test]
fn paths_are_rewritten() {
    let strip = Forward { rewrite: Some(Rewrite::Strip), ..Forward::to("app") };
    let template = Template(vec![Part::Text("/v2/u".into()), Part::Group("id".into())]);
    let rewrite = Forward { rewrite: Some(Rewrite::Path(template)), ..Forward::to("app") };
    let users =
        Route { path: PathMatch::Regex("/users/(?<id>.*)".into()), ..Route::new("users", Action::Forward(rewrite)) };
    let (site, app) = start(vec![at("/api", Action::Forward(strip)), users, Route::to("app")]);
    assert_eq!(site.get("/api/x?y=/api").text(), "app GET /x?y=/api HTTP/1.1");
    assert_eq!(site.get("/api").text(), "app GET / HTTP/1.1");
    assert_eq!(site.get("/users/7?x").text(), "app GET /v2/u7?x HTTP/1.1");
    assert_eq!(site.get("/other").text(), "app GET /other HTTP/1.1");
    let mut wire = site.connect();
    for (target, host) in [("/api/x", "a.test"), ("http://a.test/api/x", "a.test"), ("/users/a/../..", "a.test")] {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Prefix: /evil\r\n\r\n").as_bytes());
        let answer = wire.answer();
        match target {
            "/users/a/../.." => assert_eq!(answer.status, 400),
            _ => assert_eq!(answer.text(), "app GET /x HTTP/1.1"),
        }
    }
    let prefixes: Vec<Option<String>> =
        app.asks().iter().map(|ask| ask.header("x-forwarded-prefix").map(str::to_owned)).collect();
    let api = Some("/api".to_owned());
    assert_eq!(prefixes, [api.clone(), api.clone(), None, None, api.clone(), api]);
}

/// Goal: redirects and fixed answers need no app, keep the connection, and say the length of what HEAD does not get.
#[test]
fn routes_answer_by_themselves() {
    let to = Template(vec![Part::Text("https://www.test".into()), Part::Path, Part::Query]);
    let answer = Answer { status: 410, body: "gone\n".into(), content_type: "text/plain".into() };
    let empty = Answer { status: 204, body: String::new(), content_type: "text/plain".into() };
    let (site, app) = start(vec![
        at("/old", Action::Redirect(Redirect { to, status: 308 })),
        at("/gone", Action::Answer(answer)),
        at("/ping", Action::Answer(empty)),
    ]);
    let mut wire = site.connect();
    let mut ask = |line: &str| {
        wire.send(format!("{line} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
        wire.answer()
    };
    let moved = ask("GET /old/x?y=1");
    assert_eq!((moved.status, moved.header("location")), (308, Some("https://www.test/old/x?y=1")));
    assert_eq!(moved.header("content-length"), Some("0"));
    assert!(moved.header("x-request-id").is_some() && moved.header("x-content-type-options").is_some());
    let gone = ask("GET /gone");
    assert_eq!((gone.status, gone.text(), gone.header("content-type")), (410, "gone\n".into(), Some("text/plain")));
    let ping = ask("GET /ping");
    assert_eq!((ping.status, ping.header("content-length"), ping.header("content-type")), (204, None, None));
    assert!(app.asks().is_empty(), "the app is not asked");

    let mut wire = site.connect();
    wire.send(b"HEAD /gone HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut wire.reader, &mut text).unwrap();
    assert!(text.contains("content-length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");

    let mut wire = site.connect();
    wire.send(b"POST /gone HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nGET /ping");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.header("connection")), (410, Some("close")), "the body is not a request");
    let metrics = site.metrics();
    assert!(metrics.contains("route=\"/gone\",status=\"4xx\"} 3"), "{metrics}");
}

/// Goal: services share the requests of a route by weight, and each is counted under its own name.
#[test]
fn services_share_requests() {
    let site = Site::start();
    let (old, new) = (App::named("old"), App::named("new"));
    let target = |service: &str, weight| Target { service: service.into(), weight };
    let forward = Forward { to: vec![target("old", 9), target("new", 1), target("none", 0)], ..Forward::to("app") };
    site.edge.routes(vec![Route::new("all", Action::Forward(forward))]).unwrap();
    let generation = site.edge.upstreams(BTreeMap::from([
        ("old".to_owned(), vec![old.upstream("old-1")]),
        ("new".to_owned(), vec![new.upstream("new-1")]),
    ]));
    eventually("settled", || site.edge.settled(generation));
    // One connection stays on one core, and so on one sequence.
    let mut wire = site.connect();
    for _ in 0..100 {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    let shares = (old.asks().len(), new.asks().len());
    assert!((88..=92).contains(&shares.0) && shares.0 + shares.1 == 100, "{shares:?}");
    let metrics = site.metrics();
    let line = format!("prumo_edge_requests_total{{service=\"new\",route=\"all\",status=\"2xx\"}} {}", shares.1);
    assert!(metrics.contains(&line), "{metrics}");
}
