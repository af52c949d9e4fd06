//! Choosing and choosing again, with real sockets: replicas that are killed, slow, stuck, failing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prumo_edge::{Balance, HashBy, Hedge, Retry, Route, Traffic};
use site::{Answer, App, Raised, Site, eventually, forward, reply_with};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn three() -> [App; 3] {
    NAMES.map(App::named)
}

fn serve(site: &Site, apps: &[App]) {
    let upstreams: Vec<_> = apps.iter().zip(NAMES).map(|(app, name)| app.upstream(name)).collect();
    site.serve(&upstreams);
}

/// One core, so that what it learns is seen by every request.
fn site(shape: impl FnOnce(&mut Route)) -> Site {
    Site::start_with(|settings| settings.cores = Some(1), shape)
}

fn treat(site: &Site, traffic: Traffic) {
    let generation = site.edge.traffic(BTreeMap::from([("app".to_owned(), traffic)]));
    eventually("the cores know", || site.edge.settled(generation));
}

/// One request with a header of its own, on a connection of its own.
fn ask(site: &Site, head: &str) -> Answer {
    let mut wire = site.connect();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{head}\r\n").as_bytes());
    wire.answer()
}

fn respond(stream: &mut TcpStream, status: &str) {
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
}

fn failing(status: &'static str) -> App {
    App::start(move |_, stream| {
        respond(stream, status);
        true
    })
}

/// An app that answers when it is told to, and until then not at all.
fn stuck() -> (App, Arc<AtomicBool>) {
    let may_answer = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&may_answer);
    let app = App::start(move |_, stream| {
        while !told.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        reply_with(stream, b"stuck");
        true
    });
    (app, may_answer)
}

fn metric(site: &Site, name: &str) -> u64 {
    let text = site.metrics();
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Goal: LB-01, three replicas each get requests, and one that is killed under load fails none of them.
#[test]
fn a_killed_replica_fails_no_request() {
    for balance in [Balance::Auto, Balance::RoundRobin, Balance::LeastConnections, Balance::Hash(HashBy::Path)] {
        let site = site(|route| forward(route).balance = balance.clone());
        let mut apps = Vec::from(three());
        serve(&site, &apps);
        let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let _over = Raised(&over);
            for client in 0..4 {
                let (site, over, answered) = (&site, &over, &answered);
                scope.spawn(move || {
                    let mut wire = site.connect();
                    for number in 0_usize.. {
                        if over.load(Ordering::SeqCst) {
                            return;
                        }
                        wire.send(format!("GET /{client}/{number} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
                        assert_eq!(wire.answer().status, 200);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            eventually("all three are asked", || apps.iter().all(|app| !app.asks().is_empty()));
            // As a kill does: the listener is gone, and so is every connection.
            apps.remove(1).kill();
            let before = answered.load(Ordering::SeqCst);
            eventually("it goes on", || answered.load(Ordering::SeqCst) > before + 200);
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(metric(&site, "prumo_edge_refused_total"), 0, "{balance:?}");
    }
}

/// Goal: LB-02, a slow replica gets fewer requests than the quick ones.
#[test]
fn a_slow_replica_gets_fewer_requests() {
    const REQUESTS: usize = 120;
    const QUICK_FIRST: usize = 100;
    for balance in [Balance::Auto, Balance::LeastConnections] {
        let quick_answers = Arc::new(AtomicUsize::new(0));
        let quick = |name: &'static [u8]| {
            let answered = Arc::clone(&quick_answers);
            App::start(move |_, stream| {
                answered.fetch_add(1, Ordering::SeqCst);
                reply_with(stream, name);
                true
            })
        };
        // Slow by count, not by a clock: it answers after nearly everybody else.
        let others = Arc::clone(&quick_answers);
        let slow = App::start(move |_, stream| {
            while others.load(Ordering::SeqCst) < QUICK_FIRST {
                std::thread::sleep(Duration::from_millis(1));
            }
            reply_with(stream, b"slow");
            true
        });
        let apps = [slow, quick(b"b"), quick(b"c")];
        let site = site(|route| forward(route).balance = balance.clone());
        serve(&site, &apps);
        let asked = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while asked.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                        assert_eq!(site.get("/").status, 200);
                    }
                });
            }
        });
        let counts = apps.each_ref().map(|app| app.asks().len());
        assert!(counts[0] <= REQUESTS - QUICK_FIRST, "{balance:?}: {counts:?}, a fair share is a third");
        assert_eq!(counts.iter().sum::<usize>(), REQUESTS);
    }
}

/// Goal: when every replica fails, the budget keeps retries to a share of the requests.
#[test]
fn retries_do_not_multiply_an_outage() {
    let apps = [failing("503 No"), failing("503 No"), failing("503 No")];
    let site = site(|route| forward(route).retry = Retry { times: 3, on_reset: true, on_status: vec![503] });
    treat(&site, Traffic { retry_budget: 20.0, eject_after: 0, ..Traffic::default() });
    serve(&site, &apps);
    let mut wire = site.connect();
    let start = Instant::now();
    for _ in 0..500 {
        wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.answer().status, 503, "what the app says is passed on");
    }
    let asked: usize = apps.iter().map(|app| app.asks().len()).sum();
    // A fifth, and ten that are always allowed in ten seconds, of which one has only begun.
    let most = 600 + 10 * (1 + start.elapsed().as_secs() as usize / 9);
    assert!((550..=most).contains(&asked), "{asked} for 500, at most {most}");
    assert!(metric(&site, "prumo_edge_retries_refused_total") > 0);
}

/// Goal: a failure that another replica does not share is not seen by clients, as far as the request may be repeated.
#[test]
fn retries_find_a_better_answer() {
    let broken = App::start(|_, _| false);
    let unwell = failing("503 No");
    let well = App::named("c");
    let site = site(|route| forward(route).balance = Balance::RoundRobin);
    // Nobody warms up or is ejected, so that turns alternate however long the test takes.
    treat(&site, Traffic { retry_budget: 100.0, slow_start: Duration::ZERO, eject_after: 0, ..Traffic::default() });
    for bad in [&broken, &unwell] {
        site.serve(&[bad.upstream("bad"), well.upstream("c")]);
        for _ in 0..4 {
            assert!(site.get("/").text().starts_with('c'));
        }
        assert!(!bad.asks().is_empty(), "it was asked, and failed");
    }
    let failed = broken.asks().len() + unwell.asks().len();
    assert_eq!(metric(&site, "prumo_edge_retries_total{"), failed as u64);

    // What changes something is asked once.
    site.serve(&[unwell.upstream("bad")]);
    let post = |site: &Site| {
        let mut wire = site.connect();
        wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi");
        wire.answer().status
    };
    site.serve(&[unwell.upstream("bad"), well.upstream("c")]);
    let mut answers: Vec<u16> = (0..2).map(|_| post(&site)).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 503]);
    site.serve(&[broken.upstream("broken"), well.upstream("c")]);
    let mut answers: Vec<u16> = (0..2).map(|_| post(&site)).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 502]);
}

/// Goal: a replica that fails again and again is left alone, and comes back; the only one is never left alone.
#[test]
fn failing_replicas_are_ejected() {
    let is_well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_well);
    let moody = App::start(move |_, stream| {
        if told.load(Ordering::SeqCst) {
            reply_with(stream, b"moody");
        } else {
            respond(stream, "500 No");
        }
        true
    });
    let well = App::named("b");
    let site = site(|route| forward(route).balance = Balance::RoundRobin);
    let eject_for = |time: Duration| {
        let slow_start = Duration::ZERO;
        treat(&site, Traffic { eject_after: 3, eject_for: time, slow_start, ..Traffic::default() });
    };
    eject_for(Duration::from_secs(200));
    site.serve(&[moody.upstream("moody"), well.upstream("b")]);
    let statuses: Vec<u16> = (0..20).map(|_| site.get("/").status).collect();
    assert_eq!(statuses.iter().filter(|&&status| status == 500).count(), 3, "{statuses:?}");
    assert_eq!(metric(&site, "prumo_edge_ejections_total"), 1);

    eject_for(Duration::from_millis(200));
    site.serve(&[moody.upstream("another"), well.upstream("b")]);
    eventually("it is ejected", || {
        site.get("/");
        metric(&site, "prumo_edge_ejections_total") >= 2
    });
    is_well.store(true, Ordering::SeqCst);
    eventually("it serves again", || site.get("/").text() == "moody");

    is_well.store(false, Ordering::SeqCst);
    site.serve(&[moody.upstream("moody")]);
    assert!((0..10).all(|_| site.get("/").status == 500), "there is no other");
}

/// Goal: an answer that another replica might have bettered is passed on when that one has none in time.
#[test]
fn a_held_answer_is_better_than_none() {
    let (unwell, (mute, may_answer)) = (failing("503 No"), stuck());
    let shape = |route: &mut Route| {
        forward(route).balance = Balance::RoundRobin;
        forward(route).timeout = Duration::from_secs(2);
    };
    // The fast path holds no answer.
    let site = Site::start_with(|settings| (settings.cores, settings.fast_path) = (Some(1), false), shape);
    site.serve(&[unwell.upstream("unwell"), mute.upstream("mute")]);
    let answer = site.get("/");
    may_answer.store(true, Ordering::SeqCst);
    assert_eq!((answer.status, mute.asks().len()), (503, 1), "{answer:?}");
}

/// Goal: a sticky client whose first request becomes a web socket gets its cookie with the 101.
#[test]
fn an_upgrade_carries_the_sticky_cookie() {
    let app = App::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        false
    });
    let site = site(|route| forward(route).balance = Balance::Sticky("replica".into()));
    site.serve(&[app.upstream("a")]);
    let mut wire = site.connect();
    wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let answer = wire.read_until("\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("set-cookie: replica="), "{answer}");
}

/// Goal: a second request beside a stuck first one answers, and the first is given up.
#[test]
fn a_hedge_answers_around_a_stuck_replica() {
    let (first, may_answer) = stuck();
    let quick = App::named("b");
    let site = site(|route| {
        forward(route).hedge = Some(Hedge::After(Duration::from_millis(30)));
        forward(route).balance = Balance::RoundRobin;
    });
    treat(&site, Traffic::default());
    site.serve(&[first.upstream("stuck"), quick.upstream("b")]);
    for _ in 0..4 {
        assert!(site.get("/").text().starts_with('b'));
    }
    // Every second one was asked of the stuck one first. On a slow machine the others are hedged too, and win nothing.
    assert_eq!(metric(&site, "prumo_edge_hedges_won_total"), 2);
    site.assert_nothing_in_flight("stuck");
    eventually("it is told by a closed connection", || {
        may_answer.store(true, Ordering::SeqCst);
        first.open.load(Ordering::SeqCst) == 0
    });

    // Never for what changes something.
    may_answer.store(false, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let before = metric(&site, "prumo_edge_hedges_total");
        let asked = first.asks().len();
        scope.spawn(|| {
            for _ in 0..2 {
                let mut wire = site.connect();
                wire.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
                assert_eq!(wire.answer().status, 200);
            }
        });
        eventually("it is asked", || first.asks().len() > asked);
        std::thread::sleep(Duration::from_millis(150));
        may_answer.store(true, Ordering::SeqCst);
        assert_eq!(metric(&site, "prumo_edge_hedges_total"), before);
    });
}

/// Goal: a hedge that fails changes nothing; the first answer is waited for.
#[test]
fn a_failing_hedge_is_forgotten() {
    let (first, may_answer) = stuck();
    let broken = failing("500 No");
    let site = site(|route| {
        forward(route).hedge = Some(Hedge::After(Duration::from_millis(20)));
        forward(route).balance = Balance::RoundRobin;
    });
    treat(&site, Traffic { eject_after: 1, ..Traffic::default() });
    site.serve(&[first.upstream("stuck"), broken.upstream("b")]);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| site.get("/"));
        eventually("the failure is held against who failed", || metric(&site, "prumo_edge_ejections_total") == 1);
        may_answer.store(true, Ordering::SeqCst);
        assert_eq!(answer.join().unwrap().text(), "stuck");
    });
    assert_eq!(metric(&site, "prumo_edge_hedges_won_total"), 0);
}

/// Goal: more requests in flight than a service may have are refused at once, with a word on when to come back.
#[test]
fn a_full_service_refuses_at_once() {
    let (app, may_answer) = stuck();
    let site = site(|_| {});
    treat(&site, Traffic { in_flight_max: Some(2), ..Traffic::default() });
    site.serve(&[app.upstream("a")]);
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..2).map(|_| scope.spawn(|| site.get("/"))).collect();
        eventually("two are in flight", || site.edge.in_flight("a").requests == 2);
        let refused = site.get("/");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
        may_answer.store(true, Ordering::SeqCst);
        assert!(held.into_iter().all(|held| held.join().unwrap().status == 200));
    });
    site.assert_nothing_in_flight("a");
    assert_eq!(site.get("/").status, 200);
    assert_eq!(metric(&site, "prumo_edge_full_total"), 1);
    assert_eq!(metric(&site, "prumo_edge_refused_total{reason=\"service_full\"}"), 1);

    // The same for those that wait for a replica.
    treat(&site, Traffic { waiting_max: 1, ..Traffic::default() });
    site.serve(&[]);
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| site.get("/").status)).collect();
        eventually("one is refused while the other waits", || metric(&site, "prumo_edge_full_total") == 2);
        site.serve(&[app.upstream("a")]);
        let mut statuses: Vec<u16> = both.into_iter().map(|asked| asked.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503]);
    });
}

/// Goal: a sticky client comes back to its replica, a deploy gives it another one, and no cookie tells an address.
#[test]
fn sticky_clients_come_back() {
    let apps = three();
    let site = site(|route| forward(route).balance = Balance::Sticky("replica".into()));
    serve(&site, &apps);
    let first = site.get("/");
    let cookie = first.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let port = apps[0].address.port().to_string();
    assert!(!cookie.contains("127.0.0.1") && !cookie.contains(&port), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let mine = first.text();
    for _ in 0..20 {
        let again = ask(&site, &format!("Cookie: theme=dark; {pair}\r\n"));
        assert_eq!((again.text(), again.header("set-cookie")), (mine.clone(), None));
    }
    let others: BTreeSet<String> = (0..30).map(|_| site.get("/").text()).collect();
    assert!(others.len() > 1, "those without a cookie are spread");
    for nonsense in ["replica=", "replica=00000000000000000000000000000000", "replica=127.0.0.1:80"] {
        assert!(ask(&site, &format!("Cookie: {nonsense}\r\n")).header("set-cookie").is_some());
    }

    // A deploy: other replicas, other ids.
    let next = [App::named("d"), App::named("e")];
    site.serve(&[next[0].upstream("d"), next[1].upstream("e")]);
    let moved = ask(&site, &format!("Cookie: {pair}\r\n"));
    let pair = moved.header("set-cookie").expect("it gets another").split(';').next().unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(ask(&site, &format!("Cookie: {pair}\r\n")).text(), moved.text());
    }
}

/// Goal: all cores know a sticky client, and so does the next prumo that has the same key.
#[test]
fn sticky_marks_are_the_same_everywhere() {
    let apps = three();
    let start = || {
        Site::start_with(
            |settings| (settings.cores, settings.sticky_key) = (Some(4), Some([9; 32])),
            |route| forward(route).balance = Balance::Sticky("replica".into()),
        )
    };
    let site = start();
    serve(&site, &apps);
    let first = site.get("/");
    let pair = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    drop(site);
    let site = start();
    serve(&site, &apps);
    for _ in 0..20 {
        let again = ask(&site, &format!("Cookie: {pair}\r\n"));
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
    }
}

/// Goal: the same key goes to the same replica, other keys to others, and a key whose replica goes finds another.
#[test]
fn keys_stay_at_their_replica() {
    let by = [(HashBy::Header("x-user".into()), "X-User: "), (HashBy::Cookie("user".into()), "Cookie: a=b; user=")];
    for (by, header) in by {
        let mut apps = Vec::from(three());
        let site = site(|route| forward(route).balance = Balance::Hash(by));
        serve(&site, &apps);
        let place = |site: &Site, user: usize| ask(site, &format!("{header}{user}\r\n")).text();
        let places: Vec<String> = (0..30).map(|user| place(&site, user)).collect();
        assert_eq!((0..30).map(|user| place(&site, user)).collect::<Vec<_>>(), places);
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 3);
        drop(apps.remove(1));
        site.serve(&[apps[0].upstream("a"), apps[1].upstream("c")]);
        for (user, before) in places.iter().enumerate() {
            let after = place(&site, user);
            assert!(before.starts_with('b') || &after == before, "{user}: {before} {after}");
        }
    }
}

/// Goal: an app that dies while it holds the only copy of a request is asked again when it is back.
#[test]
fn the_only_replica_may_restart() {
    let may_die = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&may_die);
    let dies = App::start(move |_, _| {
        while !told.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    });
    let back = App::named("b");
    let site = site(|_| {});
    site.serve(&[dies.upstream("a#1")]);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| site.get("/"));
        eventually("it was asked", || !dies.asks().is_empty());
        site.serve(&[back.upstream("a#2")]);
        may_die.store(true, Ordering::SeqCst);
        assert_eq!(answer.join().unwrap().text(), "b GET / HTTP/1.1");
    });
    assert_eq!(dies.asks().len(), 1);
}

/// Goal: the wait for a replica begins when there is none, so that a request which died late may also be asked again.
#[test]
fn the_only_replica_may_die_late() {
    let has_died = AtomicBool::new(false);
    let app = App::start(move |_, stream| {
        if has_died.swap(true, Ordering::SeqCst) {
            reply_with(stream, b"well");
            return true;
        }
        // Longer than a request waits for a replica.
        std::thread::sleep(Duration::from_millis(5_200));
        false
    });
    let site = site(|route| forward(route).timeout = Duration::from_secs(60));
    site.serve(&[app.upstream("a")]);
    assert_eq!(site.get("/").text(), "well");
}
