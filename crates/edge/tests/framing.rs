//! Raw requests and what becomes of them: nothing may mean one thing here and another in the app (SEC-16).
//!
//! The cases are text files in `framing/`; its README says how to read and write them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "framing/case.rs"]
mod case;
#[path = "site/cases.rs"]
mod cases;
mod site;

use std::time::Duration;

use case::{Case, Seen, Verdict};
use site::{App, Ask, Site, Wire};

/// The largest body that the route accepts in these cases.
const BODY_MAX: u64 = 1 << 20;

/// How long a case may watch for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(150);

/// Goal: every raw request has the one fate that is written beside it.
#[test]
fn raw_requests_have_one_meaning() {
    judge_all(true);
}

/// Goal: the same, when nothing goes the fast way.
#[test]
fn raw_requests_have_one_meaning_on_the_general_path() {
    judge_all(false);
}

fn judge_all(fast_path: bool) {
    let cases: Vec<Case> = cases::files("framing").iter().flat_map(|path| case::read(path)).collect();
    assert!(cases.len() >= 200, "only {} cases were found", cases.len());
    cases::judge_all(&cases, |case| Bench::new(fast_path).judge(case));
}

/// An edge with one app behind it, for one case.
struct Bench {
    app: App,
    site: Site,
}

impl Bench {
    fn new(fast_path: bool) -> Bench {
        let app = App::named("app");
        let set = |settings: &mut prumo_edge::Settings| {
            settings.cores = Some(1);
            settings.fast_path = fast_path;
        };
        let site = Site::start_with(set, |route| route.body_max = BODY_MAX);
        site.serve(&[app.upstream("one")]);
        Bench { app, site }
    }

    fn judge(&self, case: &Case) -> Result<(), String> {
        let mut wire = self.site.connect();
        // The edge may refuse and close before it has read everything.
        wire.try_send(&case.sent);
        let judged = case.verdicts.iter().try_for_each(|verdict| judge_next(&mut wire, verdict));
        judged
            .and_then(|()| self.judge_app(case))
            .map_err(|why| format!("{}:{} {}\n    {why}", case.file, case.line, case.about))
    }

    /// What the app saw is what the verdicts say, and nothing else.
    fn judge_app(&self, case: &Case) -> Result<(), String> {
        let asks: Vec<Ask> = self.app.asks().into_iter().filter(|ask| ask.is_whole).collect();
        let expected: Vec<&Seen> = case.verdicts.iter().filter_map(Verdict::seen).collect();
        if asks.len() != expected.len() {
            let lines: Vec<&str> = asks.iter().map(|ask| ask.first.as_str()).collect();
            return Err(format!("the app saw {} requests: {lines:?}", asks.len()));
        }
        asks.iter().zip(expected).try_for_each(|(ask, seen)| compare(ask, seen))
    }
}

fn judge_next(wire: &mut Wire, verdict: &Verdict) -> Result<(), String> {
    match verdict {
        Verdict::Passed(_) => expect_status(wire, 200),
        Verdict::Refused { status, stays_open } => {
            expect_status(wire, *status)?;
            if !stays_open && !wire.is_closed() {
                return Err(format!("the connection is still open after the {status}"));
            }
            Ok(())
        }
        Verdict::Closed => match wire.try_answer() {
            None => Ok(()),
            Some(answer) => Err(format!("should be closed, and answers {}", answer.status)),
        },
        Verdict::Waits => {
            std::thread::sleep(SILENCE);
            if wire.has_something_to_read() { Err("should wait, and says something".to_owned()) } else { Ok(()) }
        }
    }
}

fn expect_status(wire: &mut Wire, expected: u16) -> Result<(), String> {
    match wire.try_answer() {
        Some(answer) if answer.status == expected => Ok(()),
        Some(answer) => Err(format!("should answer {expected}, and answers {}", answer.status)),
        None => Err(format!("should answer {expected}, and closes without an answer")),
    }
}

fn compare(ask: &Ask, seen: &Seen) -> Result<(), String> {
    let first = format!("{} HTTP/1.1", seen.first);
    if ask.first != first {
        return Err(format!("the app should see {first:?}, and sees {:?}", ask.first));
    }
    if ask.body != seen.body {
        return Err(format!("the app should see the body {:?}, and sees {:?}", ascii(&seen.body), ascii(&ask.body)));
    }
    for (field, value) in &seen.fields {
        let found = ask.header(field);
        if found != value.as_deref() {
            return Err(format!("the app should see {field} as {value:?}, and sees {found:?}"));
        }
    }
    Ok(())
}

fn ascii(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
