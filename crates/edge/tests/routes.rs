//! What a route makes of a request, seen by its client and by its app.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use prumo_edge::{
    Access, Action, Answer, Forward, Maintenance, Network, Part, PathMatch, Redirect, Rewrite, Route, Target, Template,
};
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

/// Goal: what happens to replicas does not touch the routes: shares are kept while deploys go on.
#[test]
fn shares_outlive_deploys() {
    let site = Site::start_with(|settings| settings.cores = Some(1), |_| {});
    let (old, new) = (App::named("old"), App::named("new"));
    let target = |service: &str, weight| Target { service: service.into(), weight };
    let forward = Forward { to: vec![target("old", 1), target("new", 1)], ..Forward::to("app") };
    site.edge.routes(vec![Route::new("all", Action::Forward(forward))]).unwrap();
    for number in 0..20 {
        let replica = old.upstream(&format!("old-{number}"));
        let generation = site.edge.upstreams(BTreeMap::from([
            ("old".to_owned(), vec![replica]),
            ("new".to_owned(), vec![new.upstream("new-1")]),
        ]));
        eventually("settled", || site.edge.settled(generation));
        assert_eq!(site.get("/").status, 200);
    }
    let shares = (old.asks().len(), new.asks().len());
    assert!((8..=12).contains(&shares.0) && shares.0 + shares.1 == 20, "{shares:?}");
}

/// Goal: a request takes one turn of a route's services, also where the fast path leaves it to the general one.
#[test]
fn a_request_takes_one_turn() {
    for fast_path in [true, false] {
        let set = |settings: &mut prumo_edge::Settings| (settings.cores, settings.fast_path) = (Some(1), fast_path);
        let site = Site::start_with(set, |_| {});
        let apps = [App::named("a"), App::named("b")];
        let target = |service: &str| Target { service: service.into(), weight: 1 };
        let forward = Forward { to: vec![target("a"), target("b")], ..Forward::to("a") };
        let action = Action::Forward(forward.clone());
        site.edge.routes(vec![Route { body_max: 10, ..Route::new("all", action) }]).unwrap();
        let service = |number: usize| {
            let name = ["a", "b"][number];
            (name.to_owned(), vec![apps[number].upstream(name)])
        };
        let generation = site.edge.upstreams(BTreeMap::from([service(0), service(1)]));
        eventually("settled", || site.edge.settled(generation));
        for turn in 0..12 {
            let mut wire = site.connect();
            if turn % 3 == 1 {
                // Too large to be plain, and refused.
                wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n");
                assert_eq!(wire.answer().status, 413);
                continue;
            }
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            let expected = ["a GET / HTTP/1.1", "b GET / HTTP/1.1"][forward.choose(turn)];
            assert_eq!(wire.answer().text(), expected, "turn {turn}, {fast_path}");
        }
    }
}

fn network(address: &str, prefix: u8) -> Network {
    Network { address: address.parse().unwrap(), prefix }
}

/// Goal: a route takes requests of those whom it admits, by the client's own address behind trusted proxies, and no
/// other way to write its path gets around that.
#[test]
fn addresses_are_admitted() {
    let local = network("127.0.0.0", 8);
    let denied = Access { deny: vec![local], ..Access::default() };
    let office = Access { allow: vec![network("198.51.100.0", 24)], ..Access::default() };
    for trusted in [false, true] {
        let set = |settings: &mut prumo_edge::Settings| {
            if trusted {
                settings.trusted_proxies = vec![local];
            }
        };
        let (site, app) = (Site::start_with(set, |_| {}), App::named("app"));
        let guarded = |path: &str, rule: &Access| Route {
            name: path.into(),
            path: PathMatch::Prefix(path.into()),
            access: vec![rule.clone()],
            ..Route::to("app")
        };
        site.edge.routes(vec![guarded("/admin", &denied), guarded("/office", &office), Route::to("app")]).unwrap();
        site.serve(&[app.upstream("one")]);
        let ask = |path: &str, from: &str| {
            let mut wire = site.connect();
            wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {from}\r\n\r\n").as_bytes());
            wire.answer().status
        };
        assert_eq!(ask("/", "198.51.100.7"), 200);
        assert_eq!(ask("/admin", "127.0.0.1"), 403, "it is a local address in any case");
        assert_eq!(ask("/office", "198.51.100.7"), if trusted { 200 } else { 403 });
        assert_eq!(ask("/office", "198.51.100.7, 203.0.113.9"), 403);
        assert_eq!(ask("/office", "unknown"), 403, "nobody knows who that is");
        for disguise in [
            "//admin",
            "/x/../admin",
            "/%61dmin",
            "/x/%2e%2e/admin",
            "/admin;x",
            "/./office",
            // For one who resolves escapes and follows no dots, and for one who only merges slashes.
            "/%61dmin/x/../../y",
            "//admin/../y",
        ] {
            assert_eq!(ask(disguise, "198.51.100.7"), 400, "{disguise}");
        }
        assert_eq!(ask("/x//y", "198.51.100.7"), 200, "both readings lead to the same route");
        assert!(app.asks().iter().all(|ask| !ask.path().contains("admin")), "nothing got through");
        assert!(site.metrics().contains("prumo_edge_refused_total{reason=\"address\"}"));
    }
}

/// Goal: a route in maintenance says when to come again, shows browsers the site's page, and lets those through who see
/// whether all is well.
#[test]
fn maintenance_answers() {
    let (site, app) = (Site::start(), App::named("app"));
    let maintenance = Maintenance {
        hold: Duration::ZERO,
        retry_after: Duration::from_secs(120),
        page: Some("<h1>Back at ten</h1>".into()),
        except: Vec::new(),
    };
    let route = |maintenance: Maintenance| Route { maintenance: Some(maintenance), ..Route::to("app") };
    site.edge.routes(vec![route(maintenance.clone())]).unwrap();
    site.serve(&[app.upstream("one")]);
    let ask = |accept: &str| {
        let mut wire = site.connect();
        wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nAccept: {accept}\r\n\r\n").as_bytes());
        wire.answer()
    };
    let page = ask("text/html");
    assert_eq!((page.status, page.header("retry-after")), (503, Some("120")));
    assert_eq!((page.text().as_str(), page.header("content-security-policy")), ("<h1>Back at ten</h1>", None));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let problem = ask("application/json");
    assert_eq!((problem.status, problem.header("retry-after")), (503, Some("120")));
    assert!(problem.text().contains("being worked on"), "{}", problem.text());
    assert!(app.asks().is_empty());
    let generation =
        site.edge.routes(vec![route(Maintenance { except: vec![network("127.0.0.1", 32)], ..maintenance })]).unwrap();
    eventually("the cores take the table", || site.edge.settled(generation));
    assert_eq!(ask("text/html").status, 200);
}

/// Goal: requests that are held go on when the maintenance ends, and one that waited too long is answered.
#[test]
fn maintenance_holds() {
    let (site, app) = (Site::start(), App::named("app"));
    let held = |hold: u64| {
        let maintenance = Maintenance {
            hold: Duration::from_millis(hold),
            retry_after: Duration::from_secs(1),
            page: None,
            except: Vec::new(),
        };
        Route { maintenance: Some(maintenance), ..Route::to("app") }
    };
    site.edge.routes(vec![held(100)]).unwrap();
    site.serve(&[app.upstream("one")]);
    assert_eq!(site.get("/too-long").status, 503);
    let generation = site.edge.routes(vec![held(60_000)]).unwrap();
    eventually("the cores take the table", || site.edge.settled(generation));
    let mut wires: Vec<_> = (0..20)
        .map(|number| {
            let mut wire = site.connect();
            wire.send(format!("GET /{number} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
            wire
        })
        .collect();
    // They are in flight and nobody is asked.
    std::thread::sleep(Duration::from_millis(200));
    assert!(app.asks().is_empty());
    site.edge.routes(vec![Route::to("app")]).unwrap();
    for wire in &mut wires {
        assert_eq!(wire.answer().status, 200);
    }
    assert_eq!(app.asks().len(), 20);
}
