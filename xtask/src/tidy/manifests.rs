//! The packages of the workspace and what they depend on, as cargo reads their manifests.

use serde_json::Value;

use crate::checkout;
use crate::program::Program;

#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// From the top of the repository: `crates/edge`.
    pub(super) folder: String,
    /// Names of direct dependencies of every kind.
    pub(super) dependencies: Vec<String>,
}

impl Package {
    pub(super) fn new(name: &str, folder: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        Package { name: name.to_owned(), folder: folder.to_owned(), dependencies }
    }
}

/// The packages of the workspace; `fuzz` has a workspace of its own and is asked for by `fuzz_packages`.
pub(super) fn packages() -> Vec<Package> {
    read("Cargo.toml")
}

pub(super) fn fuzz_packages() -> Vec<Package> {
    read("fuzz/Cargo.toml")
}

fn read(manifest: &str) -> Vec<Package> {
    let cargo = Program::cargo().args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest]);
    let text = cargo.output().expect("cargo reads the manifests");
    let metadata: Value = serde_json::from_str(&text).expect("cargo prints JSON");
    list(&metadata["packages"]).map(package).collect()
}

fn package(value: &Value) -> Package {
    let manifest = text(&value["manifest_path"]);
    let folder = manifest.strip_suffix("/Cargo.toml").unwrap_or(manifest);
    let folder = folder.strip_prefix(&*checkout::root().to_string_lossy()).unwrap_or(folder);
    let dependencies: Vec<&str> = list(&value["dependencies"]).map(|dependency| text(&dependency["name"])).collect();
    Package::new(text(&value["name"]), folder.trim_start_matches('/'), &dependencies)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo prints a list here").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo prints a text here")
}
