//! Runs every file in `tests/scenarios/`; each is one result. `cargo test --test scenarios -- rollback` runs those
//! with `rollback` in their names; `UPDATE_SCENARIOS=1` writes what really happened into the files.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this is a test harness: it runs files side by side and prints their results"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use prumo_tests::scenario::{self, Scenario};

/// Scenarios mostly wait for replicas to become healthy, so more of them than cores can run at once.
const AT_ONCE: usize = 4;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let paths: Vec<PathBuf> = scenarios().into_iter().filter(|path| is_wanted(path, &wanted)).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = path.file_stem().unwrap().display();
                    let began = Instant::now();
                    match play(path) {
                        Ok(()) => println!("test {name} ... ok ({:.1?})", began.elapsed()),
                        Err(why) => {
                            println!("test {name} ... FAILED ({:.1?})", began.elapsed());
                            failures.lock().unwrap().push(format!("---- {name} ----\n{why}"));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    failures.iter().for_each(|failure| println!("\n{failure}"));
    println!("\n{} scenarios passed, {} failed", paths.len() - failures.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    paths.sort();
    paths
}

fn is_wanted(path: &Path, wanted: &[String]) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part))
}

fn play(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let expected = Scenario::read(&text)?;
    let done = catch_unwind(|| scenario::run(&expected)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })?;
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        return fs::write(path, expected.corrected(&done).write()).map_err(|error| error.to_string());
    }
    let differences: Vec<String> = expected
        .steps()
        .zip(&done)
        .filter(|(step, done)| !step.is_met_by(done))
        .map(|(step, done)| {
            let (line, command) = (step.line, &step.command);
            let expected = format!("{}exit {}", step.says, step.exit);
            format!("line {line}: $ {command}\nexpected:\n{expected}\nreally:\n{}exit {}\n", done.says, done.exit)
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nhint: UPDATE_SCENARIOS=1 writes what really happened into the file", differences.join("\n")))
}
