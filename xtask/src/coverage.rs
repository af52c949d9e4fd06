//! Which lines the tests run: those of `lib/` and of the decisions nearly all, and of everything else most.
//!
//! The compiler of everybody counts (`-C instrument-coverage`); what it counted is read by the LLVM tools of Debian, of the
//! same number as the compiler's own. Programs that tests start count too: they are told where by the environment. What is
//! killed with -9 writes nothing down, and replicas do not either, because their environment is clean.

mod report;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use report::Report;
use serde_json::Value;

use crate::checkout;
use crate::deps;
use crate::failure::Failure;
use crate::program::Program;

/// Stands between cargo and the compiler for our own packages, so that nobody else's are counted or made slow. The apps of
/// tests run in folders where nothing may be left behind.
const COMPILER: &str = "#!/bin/sh\n\
    # Written by `cargo xtask coverage`.\n\
    case \" $* \" in *' --crate-name app '* | *' --crate-name zoo '*) exec \"$@\" ;; esac\n\
    exec \"$@\" -C instrument-coverage\n";

/// As many files for each program: those that end at the same time wait for each other less.
const PROFILE: &str = "%4m.profraw";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests of these packages, and only their lines.
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    deps::install()?;
    let llvm = deps::llvm(&llvm_number()?)?;
    let folder = checkout::made(checkout::target().join("coverage"))?;
    let profiles = folder.join("profiles");
    // Counts of another day say nothing of today's lines.
    let _ = fs::remove_dir_all(&profiles);
    let build = Build { compiler: write_compiler(&folder)?, profiles, folder };
    let mut programs = build.programs(&["build", "--workspace", "--bins"])?;
    let scope = scope(&arguments.package);
    programs.extend(build.programs(&[&["test", "--no-run"][..], &words(&scope)].concat())?);
    let is_green = build.cargo(&[&["test", "--no-fail-fast"][..], &words(&scope)].concat()).run();
    let exported = export(&llvm, &build, &programs)?;
    let report = Report::read(&exported, &checkout::root(), &arguments.package)?;
    println!("\n{report}");
    is_green.and(report.judged())
}

/// The packages whose tests run.
fn scope(packages: &[String]) -> Vec<String> {
    if packages.is_empty() {
        return vec!["--workspace".to_owned()];
    }
    packages.iter().flat_map(|package| ["--package".to_owned(), package.clone()]).collect()
}

fn words(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// The first number of the compiler's LLVM, which decides who can read what it counts.
fn llvm_number() -> Result<String, Failure> {
    let version = Program::new("rustc").arg("-vV").output()?;
    let number = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next());
    number.map(str::to_owned).ok_or_else(|| Failure::new("rustc does not say which LLVM it is made with"))
}

fn write_compiler(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("rustc");
    checkout::write(&path, COMPILER)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::file("make executable", &path, &error))?;
    Ok(path)
}

/// A build beside the usual one.
struct Build {
    folder: PathBuf,
    compiler: PathBuf,
    profiles: PathBuf,
}

impl Build {
    fn cargo(&self, arguments: &[&str]) -> Program {
        Program::cargo()
            .args(arguments)
            .arg("--target-dir")
            .arg(&self.folder)
            .env("RUSTC_WORKSPACE_WRAPPER", &self.compiler)
            .env("LLVM_PROFILE_FILE", self.profiles.join(PROFILE))
    }

    /// Builds, and says where the programs are.
    fn programs(&self, arguments: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let mut programs = Vec::new();
        let said = self.cargo(arguments).arg("--message-format=json-render-diagnostics");
        let succeeded = said.each_line(|line| {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            programs.extend(message["executable"].as_str().map(PathBuf::from));
        })?;
        if succeeded { Ok(programs) } else { Err(Failure::new("it does not build")) }
    }
}

/// What was counted, file by file, as JSON.
fn export(llvm: &deps::Llvm, build: &Build, programs: &[PathBuf]) -> Result<String, Failure> {
    let entries = fs::read_dir(&build.profiles).map_err(|error| Failure::file("read", &build.profiles, &error))?;
    let profiles: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let merged = build.folder.join("merged.profdata");
    // A program that was killed while it wrote leaves a file that nobody can read.
    Program::new(&llvm.profdata)
        .args(["merge", "--sparse", "--failure-mode=all", "--output"])
        .arg(&merged)
        .args(profiles)
        .output()?;
    let objects = programs.iter().map(|program| format!("--object={}", program.display()));
    Program::new(&llvm.cov)
        .args(["export", "--summary-only"])
        .arg(format!("--instr-profile={}", merged.display()))
        .args(objects)
        .output()
}
