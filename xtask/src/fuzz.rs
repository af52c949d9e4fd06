//! Feed the parsers with inputs that nobody would write.
//!
//! `cargo fuzz` needs a nightly compiler. The part of it that matters, coverage feedback for libFuzzer, is a pass that
//! stable rustc can be asked for by name, so this works with the toolchain everybody has. What is lost is the address
//! sanitizer, which a workspace without `unsafe` needs least.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// Instrument every branch and comparison, the way libFuzzer reads them.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Targets at a time. CI has two cores, and a fuzz target uses exactly one.
const AT_ONCE: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Replay this one input instead of looking for new ones; needs exactly one target.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Which targets; all of `fuzz/targets` when none is named.
    targets: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = chosen(&arguments.targets)?;
    let binaries = build()?;
    if let Some(input) = &arguments.input {
        return replay(&binaries, &targets, input);
    }
    let mut found = Vec::new();
    for group in targets.chunks(AT_ONCE) {
        let mut started = Vec::new();
        for target in group {
            started.push(Fuzzing::start(&binaries, target, arguments.seconds)?);
        }
        for fuzzing in started {
            found.extend(fuzzing.finish()?);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Failure::new(found.join("\n\n"))) }
}

/// Every file of `fuzz/targets`, or those that were named.
fn chosen(named: &[String]) -> Result<Vec<String>, Failure> {
    let folder = checkout::root().join("fuzz/targets");
    let entries = fs::read_dir(&folder).map_err(|error| Failure::file("read", &folder, &error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut all: Vec<String> =
        files.filter_map(|file| Some(file.file_name()?.to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    all.sort();
    if named.is_empty() {
        return Ok(all);
    }
    match named.iter().find(|name| !all.contains(name)) {
        Some(unknown) => {
            Err(Failure::new(format!("there is no fuzz target `{unknown}`"))
                .hint(format!("there are: {}", all.join(", "))))
        }
        None => Ok(named.to_vec()),
    }
}

/// Build every target with coverage and return the folder of the binaries. `--target` keeps the instrumentation out of
/// build scripts and macros.
fn build() -> Result<PathBuf, Failure> {
    let host = host()?;
    let target = checkout::target().join("fuzz");
    Program::cargo()
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", COVERAGE)
        .run()?;
    Ok(target.join(host).join("release"))
}

fn host() -> Result<String, Failure> {
    let version = Program::new("rustc").arg("-vV").output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc does not say which host it compiles for"))
}

fn replay(binaries: &Path, targets: &[String], input: &Path) -> Result<(), Failure> {
    let [target] = targets else {
        return Err(Failure::new("an input is replayed by one target").hint("name the target before `--input`"));
    };
    Program::new(binaries.join(target)).arg(input).run()
}

/// One target at work.
struct Fuzzing {
    target: String,
    artifacts: PathBuf,
    running: Running,
}

impl Fuzzing {
    fn start(binaries: &Path, target: &str, seconds: u32) -> Result<Fuzzing, Failure> {
        let fuzz = checkout::root().join("fuzz");
        let corpus = checkout::made(fuzz.join("corpus").join(target))?;
        let artifacts = checkout::made(fuzz.join("artifacts").join(target))?;
        let mut program = Program::new(binaries.join(target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            // One input may take ten seconds and 1 GiB at the very most; parsers of ours should need neither.
            .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
        let dictionary = fuzz.join("seeds").join(format!("{target}.dict"));
        if dictionary.exists() {
            program = program.arg(format!("-dict={}", dictionary.display()));
        }
        let log = checkout::made(checkout::target().join("fuzz"))?.join(format!("{target}.log"));
        // One line says where it panicked; `--input` shows the rest.
        program = program.env("RUST_BACKTRACE", "0");
        let running = program.arg(corpus).arg(fuzz.join("seeds").join(target)).start(&log)?;
        println!("fuzz: {target} for {seconds}s");
        Ok(Fuzzing { target: target.to_owned(), artifacts, running })
    }

    /// Wait for the end; what it found as a sentence, or nothing.
    fn finish(mut self) -> Result<Option<String>, Failure> {
        let status = self.running.wait()?;
        let printed = self.running.printed();
        let target = &self.target;
        if !status.success() {
            return Ok(Some(self.finding(&printed)));
        }
        let coverage = coverages(&printed);
        let (Some(first), Some(last)) = (coverage.first(), coverage.last()) else {
            return Ok(Some(format!("fuzz target `{target}` was built without coverage, so it saw nothing")));
        };
        let runs = final_stat(&printed, "number_of_executed_units");
        println!("fuzz: {target} found nothing in {runs} runs; coverage {first} at the seeds, {last} at the end");
        Ok(None)
    }

    fn finding(&self, printed: &str) -> String {
        let why =
            printed.lines().skip_while(|line| !line.contains("panicked at")).take(4).collect::<Vec<_>>().join("\n");
        let input = printed.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1.trim()));
        let input = input.map_or_else(|| self.artifacts.display().to_string(), str::to_owned);
        let target = &self.target;
        format!(
            "fuzz target `{target}` failed on {input}\n{why}\n\n\
             hint: `cargo xtask fuzz {target} --input {input}` runs it again; once mended, keep it in fuzz/seeds/{target}/"
        )
    }
}

/// The growing number of branches reached, from lines such as `#17 NEW    cov: 312 ft: 840 corp: …`.
fn coverages(printed: &str) -> Vec<u64> {
    let numbers = printed.lines().filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    numbers.filter(|coverage| *coverage > 0).collect()
}

fn final_stat(printed: &str, name: &str) -> u64 {
    let value = printed.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
