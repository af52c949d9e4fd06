//! `crowd WHAT ADDRESS …`: many clients at once, for `cargo xtask bench edge`; `crowd sink PORT` is an upstream for uploads.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement drives real sockets in real time"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use prumo_tests::crowd::pace::{Pace, Paced};
use prumo_tests::crowd::{idle, sink, talk};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::LocalSet;

/// Idle clients leave by themselves after this, should nobody end them.
const IDLE_MAX: Duration = Duration::from_secs(300);

const USAGE: &str = "\
crowd tls ADDRESS COUNT                     opens TLS connections, sends a request on each, says `open`, and is silent
crowd web-sockets ADDRESS COUNT             the same with web sockets
crowd talk ADDRESS COUNT SECONDS            web sockets that say something once a second
crowd pace ADDRESS PATH RATE SECONDS        requests at an exact rate
crowd sink PORT                             an upstream that takes any body";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    may_open_many();
    let done = match arguments[..] {
        ["tls", to, count] => hold(idle::over_tls(address(to), number(count) as usize)),
        ["web-sockets", to, count] => hold(idle::web_sockets(address(to), number(count) as usize)),
        ["talk", to, count, seconds] => {
            let outcome = run(talk::talk(address(to), number(count) as u32, Duration::from_secs_f64(number(seconds))));
            let (gaps, echoes) = (outcome.gaps, outcome.echoes.to_json());
            println!("{}", serde_json::json!({ "gaps": gaps, "echoes": echoes }));
            Ok(())
        }
        ["pace", to, path, rate, seconds] => {
            let lasts = Duration::from_secs_f64(number(seconds));
            let pace = Pace { to: address(to), path: path.to_owned(), rate: number(rate), lasts };
            let say = |paced: Paced| {
                let (answers, late) = (paced.answers.to_json(), paced.late.to_json());
                println!("{}", serde_json::json!({ "answers": answers, "late": late }));
            };
            pace.run().map(say).map_err(|error| error.to_string())
        }
        ["sink", port] => sink::serve(number(port) as u16).map_err(|error| error.to_string()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address such as 127.0.0.1:8080")
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

/// Opens connections, says so, and keeps them until somebody ends this process.
fn hold<T>(opening: impl Future<Output = Result<Vec<T>, String>>) -> Result<(), String> {
    run(async {
        let opened = opening.await?;
        println!("open");
        tokio::time::sleep(IDLE_MAX).await;
        drop(opened);
        Ok(())
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// A descriptor for each connection.
fn may_open_many() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
