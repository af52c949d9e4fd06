//! The sites that benchmarks run.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::peer::{OTHER_CORE, PROXY_CORE};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running, descriptors};

/// A whole site, from an empty state folder to healthy; slow machines included.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A port that no outgoing connection of a load can take before its server listens on it.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(prumo_tests::site::port::free())
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
    /// Web sockets; 0 when the site has but one route.
    pub(super) echo: u16,
    /// Uploads; 0 when the site has but one route.
    pub(super) sink: u16,
}

/// What a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One service and one route, as the smallest of users has it.
    OneRoute,
    /// The same without the headers that prumo adds to answers.
    WithoutHeaders,
    /// Files, web sockets and uploads beside it.
    Full,
}

impl Site {
    /// prumo is on the core of proxies, its services are on the other.
    pub(super) fn start(binary: &Path, folder: &Path, style: Style) -> Result<Site, Failure> {
        let (http, https) = (free_port()?, free_port()?);
        let file = folder.join("prumo.toml");
        checkout::write(&folder.join("upstream.conf"), &upstream_settings())?;
        checkout::write(&folder.join("upstream.sh"), UPSTREAM)?;
        checkout::write(&folder.join("noted.sh"), NOTED)?;
        for (name, kib) in
            [("100k", 100), ("10m", 10 * 1024), ("static/1k", 1), ("static/100k", 100), ("static/4m", 4 * 1024)]
        {
            checkout::write(&folder.join(name), &"0123456789abcdef".repeat(64 * kib))?;
        }
        let mut settings = settings(http, https, free_port()?);
        match style {
            Style::OneRoute => {}
            Style::WithoutHeaders => settings.push_str(WITHOUT_HEADERS),
            Style::Full => settings.push_str(&more_routes(binary)),
        }
        checkout::write(&file, &settings)?;
        let mut prumo = Program::on_core(PROXY_CORE, binary)
            .arg("--file")
            .arg(&file)
            .arg("--state")
            .arg(folder.join("state"))
            .arg("up")
            .start(&folder.join("prumo.log"))?;
        let answers = format!("http://127.0.0.1:{http}/");
        prumo.ready(READY_WITHIN, || is_answered(&answers))?;
        let noted = |name: &str| checkout::read(&folder.join(name)).ok()?.trim().parse::<u16>().ok();
        let mut ports = [0; 3];
        let names = ["upstream.port", "echo.port", "sink.port"];
        for (name, port) in names.into_iter().zip(&mut ports).take(if style == Style::Full { 3 } else { 1 }) {
            prumo.ready(READY_WITHIN, || {
                *port = noted(name).unwrap_or(0);
                *port != 0 && is_listening(*port)
            })?;
        }
        if style == Style::Full {
            // The routes to them have an upstream, too.
            prumo.ready(READY_WITHIN, || {
                is_answered(&format!("{answers}whoami")) && is_answered(&format!("{answers}upload"))
            })?;
        }
        let [upstream, echo, sink] = ports;
        Ok(Site { prumo, http, https, upstream, echo, sink })
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

/// Access log and metrics are on, as they are for every user. Only the limits that would end a measurement are raised.
fn settings(http: u16, https: u16, admin: u16) -> String {
    format!(
        r#"[edge]
address = "127.0.0.1"
http = {http}
https = {https}
cores = 1
connections_max = 20000
connections_per_ip_max = 20000

[admin]
listen = "127.0.0.1:{admin}"

[service.upstream]
run = ["sh", "upstream.sh", "$PORT", "{OTHER_CORE}"]
health = {{ path = "/" }}

[[route]]
to = "upstream"
"#
    )
}

const WITHOUT_HEADERS: &str = r#"
[edge.headers]
nosniff = false
frame = "off"
referrer = "off"
permissions = "off"
opener = "off"
"#;

fn more_routes(binary: &Path) -> String {
    let (prumo, crowd) = (binary.display(), binary.with_file_name("crowd"));
    let crowd = crowd.display();
    format!(
        r#"
[service.echo]
run = ["sh", "noted.sh", "echo", "$PORT", "taskset", "--cpu-list", "{OTHER_CORE}", "{prumo}", "demo-app"]
health = {{ path = "/health" }}
files = {}

[service.sink]
run = ["sh", "noted.sh", "sink", "$PORT", "taskset", "--cpu-list", "{OTHER_CORE}", "{crowd}", "sink", "$PORT"]
health = {{ path = "/" }}

[[route]]
path = "/static"
files = "static"

[[route]]
path = "/ws"
to = "echo"

[[route]]
path = "/whoami"
to = "echo"

[[route]]
path = "/upload"
to = "sink"
body_max = "1GiB"
"#,
        descriptors()
    )
}

/// prumo chooses the port of a replica; the other proxies read it from `upstream.port`.
const UPSTREAM: &str = "sed \"s/PORT/$1/\" upstream.conf > upstream.used.conf\n\
     echo \"$1\" > upstream.port\n\
     exec taskset --cpu-list \"$2\" nginx -p \"$PWD\" -c upstream.used.conf -e upstream.log\n";

/// The same for any program.
const NOTED: &str = "echo \"$2\" > \"$1.port\"\nshift 2\nexec \"$@\"\n";

fn upstream_settings() -> String {
    let body = "0123456789abcdef".repeat(64);
    nginx_settings(
        "upstream",
        4096,
        &format!(
            "keepalive_requests 1000000000; server {{ listen 127.0.0.1:PORT backlog=4096; root .; \
             location = / {{ return 200 \"{body}\"; }} location / {{ }} }}"
        ),
    )
}

/// What every nginx here shares: one worker in the foreground, no access log, nothing written outside its folder.
pub(super) fn nginx_settings(name: &str, connections: u32, http: &str) -> String {
    let folders =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {name}.temp;"));
    format!(
        "daemon off; worker_processes 1; pid {name}.pid; events {{ worker_connections {connections}; }}\n\
         http {{ access_log off; {} {http} }}\n",
        folders.join(" ")
    )
}
