//! Runs the files in `cases/`: a `prumo.toml`, a separator, and exactly what prumo says about it.
//!
//! A case may begin with `# overlay: NAME` and `# env: NAME=value` lines. To write what prumo says now into the
//! files, run the test with `UPDATE_CASES=1`, and then read the difference with the eyes of a user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::flattened::flatten;
use crate::{Config, Mistakes, read};

const SEPARATOR: &str = "\n---- prumo says ----\n";

/// Goal: each bad file gives exactly the messages in its case.
#[test]
fn bad_files() {
    let ran = run_all("bad", |result| match result {
        Ok(_) => "nothing: the file is good".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    });
    assert!(ran >= 100, "only {ran} bad cases were found");
}

/// Goal: each good file means exactly the values in its case; only those that are not defaults are listed.
#[test]
fn good_files() {
    let smallest = read("[service.api]\nrun = \"api\"\n", "prumo.toml", None, &|_| None).unwrap();
    let defaults = flatten(&smallest);
    let ran = run_all("good", |result| match result {
        Ok(config) => differences(&config, &defaults),
        Err(mistakes) => mistakes.to_string(),
    });
    assert!(ran >= 15, "only {ran} good cases were found");
}

/// The values of the site that are not defaults; a service is compared with the smallest one.
fn differences(config: &Config, defaults: &BTreeMap<String, String>) -> String {
    let of_smallest = |path: &str| {
        let mut parts: Vec<&str> = path.split('.').collect();
        if let [services, name, ..] = &mut parts[..]
            && *services == "services"
        {
            *name = "api";
        }
        parts.join(".")
    };
    let values = flatten(config).into_iter();
    let values = values.filter(|(path, value)| defaults.get(&of_smallest(path)) != Some(value));
    values.map(|(path, value)| format!("{path}: {value}")).collect::<Vec<_>>().join("\n")
}

fn run_all(folder: &str, show: impl Fn(Result<Config, Mistakes>) -> String) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let failures: Vec<String> = files.iter().filter_map(|file| run(file, &show)).collect();
    assert!(failures.is_empty(), "{} cases failed:\n\n{}", failures.len(), failures.join("\n\n"));
    files.len()
}

/// Runs one case and says how it failed.
fn run(file: &Path, show: impl Fn(Result<Config, Mistakes>) -> String) -> Option<String> {
    let case = std::fs::read_to_string(file).unwrap();
    let (text, expected) = case.split_once(SEPARATOR).unwrap_or((case.trim_end_matches('\n'), ""));
    let text = format!("{text}\n");
    let said = show(read_case(&text));
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(file, format!("{}{SEPARATOR}{said}\n", text.trim_end_matches('\n'))).unwrap();
        return None;
    }
    (said != expected.trim_end_matches('\n'))
        .then(|| format!("{}:\n{said}\n-- instead of --\n{expected}", file.display()))
}

fn read_case(text: &str) -> Result<Config, Mistakes> {
    let settings = |name: &str| {
        let prefix = format!("# {name}: ");
        text.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let env: BTreeMap<String, String> = settings("env")
        .iter()
        .map(|variable| variable.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let overlay = settings("overlay").pop();
    read(text, "prumo.toml", overlay.as_deref(), &|name| env.get(name).cloned())
}
