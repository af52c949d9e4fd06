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
    pub(super) url: String,
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

    pub(super) fn prumo(name: &str, site: Site, tls: bool) -> Peer {
        let url =
            if tls { format!("https://localhost:{}/", site.https) } else { format!("http://127.0.0.1:{}/", site.http) };
        // The replicas are children of prumo, and not its cost.
        Peer { name: name.to_owned(), url, running: site.prumo, cpu_time: process::cpu_time }
    }

    pub(super) fn nginx(folder: &Path, upstream: u16, tls: bool) -> Result<Peer, Failure> {
        let port = free_port()?;
        let listen = if tls {
            format!("listen 127.0.0.1:{port} ssl; ssl_certificate peer.pem; ssl_certificate_key peer.key;")
        } else {
            format!("listen 127.0.0.1:{port};")
        };
        let http = format!(
            "keepalive_requests 1000000000; upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
             server {{ {listen} location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }} }}"
        );
        checkout::write(&folder.join("nginx.conf"), &nginx_settings("nginx", &http))?;
        let nginx = on_proxy_core("nginx").arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.log"]);
        Peer::start(&version("nginx", "-v"), nginx, folder, port, tls, process::cpu_time_of_family)
    }

    pub(super) fn haproxy(folder: &Path, upstream: u16, tls: bool) -> Result<Peer, Failure> {
        let port = free_port()?;
        let bind = if tls { format!("127.0.0.1:{port} ssl crt both.pem") } else { format!("127.0.0.1:{port}") };
        let settings = format!(
            "global\n  nbthread 1\n  maxconn 4096\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n  option forwardfor\n\
             frontend front\n  bind {bind}\n  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n  default_backend app\n\
             backend app\n  server app 127.0.0.1:{upstream}\n"
        );
        checkout::write(&folder.join("haproxy.cfg"), &settings)?;
        let haproxy = on_proxy_core("haproxy").arg("-db").arg("-C").arg(folder).args(["-f", "haproxy.cfg"]);
        Peer::start(&version("haproxy", "-v"), haproxy, folder, port, tls, process::cpu_time)
    }

    fn start(
        name: &str,
        program: Program,
        folder: &Path,
        port: u16,
        tls: bool,
        cpu_time: fn(u32) -> Result<Duration, Failure>,
    ) -> Result<Peer, Failure> {
        let log = folder.join(format!("{}.printed", name.split(' ').next().unwrap_or(name)));
        let mut running = program.start(&log)?;
        running.ready(Duration::from_secs(10), || is_listening(port))?;
        let scheme = if tls { "https" } else { "http" };
        Ok(Peer { name: name.to_owned(), url: format!("{scheme}://127.0.0.1:{port}/"), running, cpu_time })
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

/// `nginx 1.22.1`, as Debian has it. nginx tells its version on standard error.
fn version(program: &str, flag: &str) -> String {
    let said = Program::new("sh").args(["-c", "exec \"$0\" \"$1\" 2>&1", program, flag]).answer().unwrap_or_default();
    let number = said.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| word.matches('.').count() >= 2);
    format!("{program} {}", number.unwrap_or("of unknown version"))
}
