//! The sites that benchmarks run.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// A whole site, from an empty state folder to healthy; slow machines included.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A port that was free a moment ago. Benchmarks start their own servers, one after the other.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port())
        .map_err(|error| Failure::new(format!("no free port on the loopback address: {error}")))
}

pub(super) fn is_listening(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A prumo in front of a service that is itself an nginx and answers with 1 KiB, so that all proxies have the same
/// upstream.
pub(super) struct Site {
    pub(super) prumo: Running,
    pub(super) http: u16,
    pub(super) https: u16,
    pub(super) upstream: u16,
}

impl Site {
    /// `edge_core` is where prumo runs, `upstream_core` where its service does.
    pub(super) fn start(binary: &Path, folder: &Path, edge_core: &str, upstream_core: &str) -> Result<Site, Failure> {
        let (http, https) = (free_port()?, free_port()?);
        let file = folder.join("prumo.toml");
        checkout::write(&folder.join("upstream.conf"), &upstream_settings())?;
        checkout::write(&folder.join("upstream.sh"), &upstream_script(upstream_core))?;
        for (name, kib) in [("100k", 100), ("10m", 10 * 1024)] {
            checkout::write(&folder.join(name), &"0123456789abcdef".repeat(64 * kib))?;
        }
        checkout::write(&file, &settings(http, https, free_port()?))?;
        let mut prumo = Program::new("taskset")
            .args(["--cpu-list", edge_core])
            .arg(binary)
            .arg("--file")
            .arg(&file)
            .arg("--state")
            .arg(folder.join("state"))
            .arg("up")
            .start(&folder.join("prumo.log"))?;
        let answers = format!("http://127.0.0.1:{http}/");
        prumo.ready(READY_WITHIN, || is_answered(&answers))?;
        let port = folder.join("upstream.port");
        let upstream = checkout::read(&port)?.trim().parse();
        let upstream = upstream.map_err(|_| Failure::new(format!("{} holds no port", port.display())))?;
        Ok(Site { prumo, http, https, upstream })
    }
}

/// The demo site, on ports of its own.
pub(super) struct Demo {
    pub(super) prumo: Running,
    pub(super) http: u16,
    pub(super) state: PathBuf,
}

impl Demo {
    pub(super) fn start(binary: &Path, folder: &Path) -> Result<Demo, Failure> {
        let (http, state) = (free_port()?, folder.join("state"));
        let mut prumo = Program::new(binary)
            .args(["demo", "--http", &http.to_string()])
            .arg("--folder")
            .arg(&state)
            .args(["--https", &free_port()?.to_string(), "--admin", &free_port()?.to_string()])
            .start(&folder.join("prumo.log"))?;
        let answers = format!("http://127.0.0.1:{http}/");
        prumo.ready(READY_WITHIN, || is_answered(&answers))?;
        Ok(Demo { prumo, http, state })
    }
}

/// Whether a GET is answered well.
pub(crate) fn is_answered(url: &str) -> bool {
    Program::new("curl").args(["--silent", "--fail", "--output", "/dev/null", url]).run().is_ok()
}

/// Access log and metrics are on, as they are for every user.
fn settings(http: u16, https: u16, admin: u16) -> String {
    format!(
        r#"[service.upstream]
run = ["sh", "upstream.sh", "$PORT"]
health = {{ path = "/" }}

[[route]]
to = "upstream"

[edge]
address = "127.0.0.1"
http = {http}
https = {https}
cores = 1

[admin]
listen = "127.0.0.1:{admin}"
"#
    )
}

/// prumo chooses the port of a replica; the other proxies read it from `upstream.port`.
fn upstream_script(core: &str) -> String {
    format!(
        "sed \"s/PORT/$1/\" upstream.conf > upstream.used.conf\n\
         echo \"$1\" > upstream.port\n\
         exec taskset --cpu-list {core} nginx -p \"$PWD\" -c upstream.used.conf -e upstream.log\n"
    )
}

fn upstream_settings() -> String {
    let body = "0123456789abcdef".repeat(64);
    nginx_settings(
        "upstream",
        &format!(
            "keepalive_requests 1000000000; server {{ listen 127.0.0.1:PORT backlog=4096; root .; \
             location = / {{ return 200 \"{body}\"; }} location / {{ }} }}"
        ),
    )
}

/// What every nginx here shares: one worker in the foreground, no access log, nothing written outside its folder.
pub(super) fn nginx_settings(name: &str, http: &str) -> String {
    let folders =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {name}.temp;"));
    format!(
        "daemon off; worker_processes 1; pid {name}.pid; events {{ worker_connections 4096; }}\n\
         http {{ access_log off; {} {http} }}\n",
        folders.join(" ")
    )
}
