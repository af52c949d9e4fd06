//! A mirror: copies of requests for a shadow, which nobody waits for and nobody hears of.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use prumo_edge::{Mirror, Traffic, Upstream};
use site::{App, Site, eventually, forward, reply_with};

/// A site whose requests to `app` are copied to `shadow`.
fn mirrored(shape: impl Fn(&mut Mirror)) -> Site {
    let mut mirror = Mirror::to("shadow");
    shape(&mut mirror);
    let shape = |route: &mut prumo_edge::Route| {
        forward(route).mirror = Some(mirror);
        forward(route).timeout = Duration::from_secs(60);
    };
    let site = Site::start_with(|_| {}, shape);
    site.edge.traffic(["app", "shadow"].map(|name| (name.to_owned(), Traffic::default())).into());
    site
}

fn serve(site: &Site, app: &[Upstream], shadow: &[Upstream]) {
    let services = BTreeMap::from([("app".to_owned(), app.to_vec()), ("shadow".to_owned(), shadow.to_vec())]);
    let generation = site.edge.upstreams(services);
    eventually("the cores take the table", || site.edge.settled(generation));
}

fn counted(site: &Site, name: &str) -> u64 {
    let line = format!("prumo_edge_{name}{{service=\"shadow\"}} ");
    site.metrics().lines().find_map(|known| known.strip_prefix(&line)?.parse().ok()).unwrap()
}

/// Goal: the shadow sees what the app sees, marked as a copy; what it answers reaches nobody; and a client cannot forge the
/// mark towards the app.
#[test]
fn a_shadow_sees_what_the_app_sees() {
    let site = mirrored(|mirror| mirror.methods = vec!["GET".to_owned(), "POST".to_owned()]);
    let (app, shadow) = (App::named("app"), App::named("shadow"));
    serve(&site, &[app.upstream("one")], &[shadow.upstream("two")]);
    let mut wire = site.connect();
    wire.send(b"GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Mirror: true\r\nX-Mine: 1\r\n\r\n");
    assert_eq!(wire.answer().text(), "app GET /a?b HTTP/1.1");
    wire.send(
        b"POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
    );
    assert_eq!(wire.answer().text(), "app POST /p HTTP/1.1");
    wire.send(b"DELETE /p HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.answer().text(), "app DELETE /p HTTP/1.1");
    eventually("two copies came", || shadow.asks().len() == 2);
    let copies = shadow.asks();
    let get = copies.iter().find(|ask| ask.first == "GET /a?b HTTP/1.1").unwrap();
    assert_eq!(
        (get.header("x-forwarded-mirror"), get.header("x-mine"), get.header("host")),
        (Some("true"), Some("1"), Some("a.test"))
    );
    assert_eq!(get.header("x-request-id"), app.asks()[0].header("x-request-id"));
    let post = copies.iter().find(|ask| ask.first == "POST /p HTTP/1.1").unwrap();
    assert_eq!((post.body.as_slice(), post.header("content-length")), (b"abcde".as_slice(), Some("5")));
    assert!(app.asks().iter().all(|ask| ask.header("x-forwarded-mirror").is_none()));
    eventually("both are counted", || counted(&site, "mirrored_total") == 2);
    site.assert_nothing_in_flight("two");
}

/// Goal: a shadow that never answers, one that is dead and one that is not there cost the client nothing, and copies
/// beyond what a core holds at once are dropped and counted.
#[test]
fn a_bad_shadow_harms_nobody() {
    let site = mirrored(|_| {});
    let app = App::named("app");
    let silent = App::start(|_, stream| {
        // Until the edge hangs up.
        let _ = std::io::Read::read(stream, &mut [0]);
        false
    });
    serve(&site, &[app.upstream("one")], &[silent.upstream("two")]);
    let ask = |times: usize| {
        let mut wire = site.connect();
        for _ in 0..times {
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(wire.answer().status, 200);
        }
    };
    // One connection is one core's, which holds 128 copies.
    ask(200);
    eventually("the others were dropped", || counted(&site, "mirror_dropped_total") >= 72);
    assert!(counted(&site, "mirrored_total") <= 128);
    let dead = App::named("dead");
    dead.kill();
    serve(&site, &[app.upstream("one")], &[dead.upstream("three")]);
    ask(3);
    serve(&site, &[app.upstream("one")], &[]);
    ask(3);
    assert_eq!(app.asks().len(), 206);
    let stopped = site.stop(Duration::from_secs(60));
    assert!(stopped.is_clean(), "a stop waits for no shadow: {stopped:?}");
}

/// Goal: a body that is larger than copies may be is not mirrored, whether its length was told or not, and counted.
#[test]
fn large_bodies_are_not_mirrored() {
    let site = mirrored(|mirror| {
        mirror.methods = vec!["POST".to_owned()];
        mirror.body_max = 10;
    });
    let app = App::start(|ask, stream| {
        reply_with(stream, &ask.body);
        true
    });
    let shadow = App::named("shadow");
    serve(&site, &[app.upstream("one")], &[shadow.upstream("two")]);
    let mut wire = site.connect();
    for (framing, body) in [
        ("Content-Length: 11", "elevenbytes"),
        ("Transfer-Encoding: chunked", "8\r\neightbyt\r\n3\r\nes!\r\n0\r\n\r\n"),
        ("Content-Length: 10", "just right"),
    ] {
        wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n{body}").as_bytes());
        assert_eq!(wire.answer().status, 200);
    }
    eventually("one copy came", || shadow.asks().len() == 1);
    assert_eq!(shadow.asks()[0].body, b"just right");
    assert_eq!(counted(&site, "mirror_large_total"), 2);
}

/// Goal: the share of the requests that is copied is the one that the route says.
#[test]
fn a_share_is_a_share() {
    let site = mirrored(|mirror| mirror.share = prumo_edge::Share::of(0.25));
    let (app, shadow) = (App::named("app"), App::named("shadow"));
    serve(&site, &[app.upstream("one")], &[shadow.upstream("two")]);
    let mut wire = site.connect();
    for _ in 0..400 {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    let known = || counted(&site, "mirrored_total") + counted(&site, "mirror_dropped_total");
    // Ten times the deviation that chance has.
    eventually("about a hundred were drawn", || (20..200).contains(&known()));
}
