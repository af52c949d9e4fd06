//! A fault of ours, and what it ends: the request in which it happened, and nothing else.
//!
//! There is no such fault to be had on demand. So whoever listens to the log of this process panics when it hears certain
//! words, which are said in the middle of serving a request.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;
#[path = "site/streams.rs"]
mod streams;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use prumo_edge::Settings;
use site::{App, Gate, Site, reply_with};
use streams::{collect, connect, converse, get};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What the fast path and the general one say of an answer that is none.
const WORDS: [&str; 2] = ["upstream gives no usable answer", "upstream gives no answer"];

struct Startled;

impl Subscriber for Startled {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Words);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words;

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let said = format!("{value:?}");
        assert!(field.name() != "message" || !WORDS.contains(&said.as_str()), "startled by {said:?}");
    }
}

/// Goal: a panic in one request ends that request: over HTTP/1 with its connection, over HTTP/2 with its stream alone. The
/// core, its listener and its other requests go on, nothing stays in flight, and it is counted as an error of ours.
#[test]
fn a_panic_stays_where_it_happens() {
    tracing::subscriber::set_global_default(Startled).unwrap();
    for fast in [true, false] {
        let gate = Gate::closed();
        let held = Arc::clone(&gate);
        let app = App::start(move |ask, stream| match ask.path() {
            "/bad" => {
                let _ = stream.write_all(b"nonsense\r\n\r\n");
                false
            }
            "/slow" => {
                held.wait();
                reply_with(stream, b"slow");
                true
            }
            _ => {
                reply_with(stream, b"good");
                true
            }
        });
        let set = |settings: &mut Settings| {
            settings.fast_path = fast;
            settings.cores = Some(1);
        };
        let site = Site::start_with(set, |_| {});
        site.serve(&[app.upstream("one")]);
        for _ in 0..2 {
            let mut wire = site.connect();
            wire.send(b"POST /bad HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert!(wire.is_closed(), "fast {fast}");
        }
        assert_eq!(site.get("/").text(), "good");
        converse(async {
            let mut client = connect(site.http()).await.ready().await.unwrap();
            let (slow, _) = client.send_request(get("/slow"), true).unwrap();
            for _ in 0..3 {
                let (bad, _) = client.send_request(get("/bad"), true).unwrap();
                assert!(bad.await.unwrap_err().is_reset(), "fast {fast}");
                let (good, _) = client.send_request(get("/"), true).unwrap();
                assert_eq!(collect(&mut good.await.unwrap().into_body()).await.unwrap().0, b"good");
            }
            gate.open();
            assert_eq!(collect(&mut slow.await.unwrap().into_body()).await.unwrap().0, b"slow");
        });
        site.assert_nothing_in_flight("one");
        let route = &site.edge.counters().routes[0];
        assert_eq!((route.in_flight, route.status[4]), (0, 5), "fast {fast}");
        let metrics = site.metrics();
        assert!(metrics.contains("prumo_edge_refused_total{reason=\"client_gone\"} 0\n"), "fast {fast}: {metrics}");
    }
}
