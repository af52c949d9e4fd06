//! What the front door is told from outside: plain values, already checked by whoever wires them in.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;

mod access;
mod balance;
mod files;
mod outside;
mod route;
mod template;

pub use access::{Access, Maintenance};
pub use balance::{Balance, HashBy, Hedge, Retry, Traffic};
pub use files::Files;
pub use outside::{Outside, Place, Probe, Secure};
pub use route::{Action, Answer, Condition, Forward, Mirror, PathMatch, Redirect, Rewrite, Route, Target, Wanted};
pub(crate) use template::Filling;
pub use template::{Part, Template};

/// Everything that does not change while the edge runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The addresses that listeners bind. `::` takes IPv4 too unless `0.0.0.0` is also there.
    pub addresses: Vec<IpAddr>,
    /// The clear-text port.
    pub http: Port,
    /// The TLS port.
    pub https: Port,
    /// A Unix socket for clear text.
    pub socket: Option<UnixSocket>,
    /// Edge threads; `None` means one for each core the process may use.
    pub cores: Option<usize>,
    /// Proxies in front of us whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Load balancers whose connections must begin with a PROXY protocol header; nobody else's may.
    pub proxy_protocol: Vec<Network>,
    /// The largest request head, in bytes.
    pub headers_max: usize,
    /// How long a client may take to send a request head, or to finish the TLS handshake.
    pub header_timeout: Duration,
    /// How long a keep-alive connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client that has ended its side while its answer is due is taken to wait for it. Zero takes it to have gone.
    pub half_closed_timeout: Duration,
    /// How long a body may make no progress, in either direction.
    pub body_timeout: Duration,
    /// Bytes a second that a client must send of a request body, on average over half a minute of waiting for it.
    pub body_rate_min: u64,
    /// Client connections at once, over all cores.
    pub connections_max: u32,
    /// Client connections at once from one IPv4 address or one IPv6 /64, over all cores.
    pub connections_per_ip_max: u32,
    /// Where access lines go; `None` writes none.
    pub access_log: Option<AccessLog>,
    /// Certificates from files; hosts they do not cover get one from the local authority.
    pub certificates: Vec<CertificateFiles>,
    /// Hosts whose clients show certificates of their own.
    pub client_certificates: Vec<ClientCertificates>,
    /// Which requests in clear text are told to come again over TLS.
    pub redirect_https: RedirectHttps,
    /// Where the local authority keeps its certificate and key.
    pub certs_folder: PathBuf,
    /// What the cookies of sticky routes are made with; `None` makes one that ends with the process.
    pub sticky_key: Option<[u8; 32]>,
    /// The headers of answers that belong to no route.
    pub answer_headers: Headers,
    /// How requests are traced; `None` passes on what came, unread.
    pub tracing: Option<Tracing>,
    /// Whether plain HTTP/1.1 requests may go the fast way. It makes no difference to anybody but tests that compare.
    pub fast_path: bool,
}

impl Settings {
    /// Safe defaults, with the local authority in `certs_folder`.
    pub fn new(certs_folder: impl Into<PathBuf>) -> Settings {
        Settings {
            addresses: vec![IpAddr::from([0, 0, 0, 0])],
            http: Port::Auto,
            https: Port::Auto,
            socket: None,
            cores: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            headers_max: 16 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            half_closed_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate_min: 100,
            connections_max: 10_000,
            connections_per_ip_max: 1000,
            access_log: None,
            certificates: Vec::new(),
            client_certificates: Vec::new(),
            redirect_https: RedirectHttps::Auto,
            certs_folder: certs_folder.into(),
            sticky_key: None,
            answer_headers: Headers::default(),
            tracing: Some(Tracing::new(TraceFrom::TrustedProxies, 1.0)),
            fast_path: true,
        }
    }
}

/// Which port a listener binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// 80 or 443 when they may be bound, else 8080 or 8443.
    Auto,
    /// No listener.
    Off,
    /// This port; 0 lets the system choose.
    Number(u16),
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where it is made.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The user who gets it.
    pub owner: Option<u32>,
    /// The group who gets it.
    pub group: Option<u32>,
}

/// What is spoken on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

/// A socket that already listens, on its way from one process to another.
#[derive(Debug)]
pub struct ListeningSocket {
    /// What is spoken on it.
    pub scheme: Scheme,
    /// Whether a service manager chose its address, so that it stands in for whatever the settings say.
    pub given: bool,
    /// The socket.
    pub descriptor: OwnedFd,
}

/// The access log's file.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Lines are appended here; the full file before it is kept beside it with `.1` added.
    pub path: PathBuf,
    /// The current and the previous file together stay below this many bytes.
    pub keep_bytes: u64,
    /// How a line is written.
    pub format: LineFormat,
    /// Which of the requests that went well are written.
    pub sample: Share,
}

/// How an access line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// A JSON object.
    #[default]
    Json,
    /// What Apache and nginx call combined.
    Combined,
}

/// A share of many, drawn by lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// Every one.
    pub const ALL: Share = Share(u64::MAX);

    /// From 0.0 for none to 1.0 for all.
    pub fn of(ratio: f64) -> Share {
        // Saturates at both ends.
        Share((ratio * u64::MAX as f64) as u64)
    }

    /// Whether somebody who drew this number is among them.
    pub(crate) fn has(self, drawn: u64) -> bool {
        self == Share::ALL || drawn < self.0
    }
}

/// How requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Whose traces go on.
    pub from: TraceFrom,
    /// Which of the traces that begin here are marked as recorded.
    pub sample: Share,
}

impl Tracing {
    /// `sample` from 0.0 for none to 1.0 for all.
    pub fn new(from: TraceFrom, sample: f64) -> Tracing {
        Tracing { from, sample: Share::of(sample) }
    }
}

/// Whose traces go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFrom {
    /// Those of trusted proxies.
    TrustedProxies,
    /// Those of everybody.
    Anybody,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A host whose clients show certificates of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `admin.example.com`, `*.example.com`, or `None` for any host.
    pub host: Option<String>,
    /// PEM files with the certificates of the authorities that sign the clients'.
    pub authorities: Vec<PathBuf>,
    /// PEM files with the lists of what these have revoked; without any, nothing is.
    pub revoked: Vec<PathBuf>,
    /// Whether a client may come without.
    pub show: ShowCertificate,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowCertificate {
    /// Without one there is no connection.
    Required,
    /// The app decides what to do for a client without one. One that does not verify is refused.
    Optional,
}

/// Which requests in clear text are answered with a redirect to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectHttps {
    /// Those for hosts with a certificate from a file.
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of the block.
    pub address: IpAddr,
    /// How many leading bits the block's addresses share.
    pub prefix: u8,
}

impl Network {
    /// True when `address` lies in the block. An IPv4 address mapped into IPv6 counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                u32::from(block).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(block).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// What answers carry beside what the app says, and what they never carry. Names and values are checked by whoever
/// reads them; one that is no header is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `X-Content-Type-Options: nosniff`.
    pub nosniff: bool,
    /// Who may show the site in a frame.
    pub frame: Frame,
    /// `Referrer-Policy`.
    pub referrer: Option<String>,
    /// `Permissions-Policy`.
    pub permissions: Option<String>,
    /// `Cross-Origin-Opener-Policy`.
    pub opener: Option<String>,
    /// `Cross-Origin-Resource-Policy`.
    pub resource: Option<String>,
    /// `Content-Security-Policy`, or its report-only form.
    pub csp: Option<String>,
    /// Whether browsers enforce the policy, or only report what it would have stopped.
    pub csp_enforce: bool,
    /// `Strict-Transport-Security`; said over TLS only.
    pub hsts: Option<String>,
    /// Whether all of the above replace what the app says of the same name.
    pub force: bool,
    /// Headers that replace what the app says.
    pub set: Vec<(String, String)>,
    /// Headers that stand beside what the app says.
    pub add: Vec<(String, String)>,
    /// Headers of the app that go no further.
    pub remove: Vec<String>,
}

impl Default for Headers {
    /// What breaks no app that does nothing unusual.
    fn default() -> Headers {
        Headers {
            nosniff: true,
            frame: Frame::SameOrigin,
            referrer: Some("strict-origin-when-cross-origin".into()),
            permissions: Some(
                "camera=(self), display-capture=(self), geolocation=(self), microphone=(self), usb=(self)".into(),
            ),
            opener: Some("same-origin-allow-popups".into()),
            resource: None,
            csp: None,
            csp_enforce: false,
            hsts: None,
            force: false,
            set: Vec::new(),
            add: Vec::new(),
            remove: Vec::new(),
        }
    }
}

/// Who may show the site in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Nobody.
    Deny,
    /// The site itself.
    SameOrigin,
    /// Anybody: nothing is said.
    Off,
}

/// One healthy replica, as the edge sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Unique for each replica instance, so that a restarted replica is another upstream.
    pub id: String,
    /// Where it listens.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// How TLS is spoken to it, if it is.
    pub secure: Option<Secure>,
    /// The host it is asked for; the client's when absent.
    pub host: Option<HeaderValue>,
}

impl Upstream {
    /// An upstream that speaks HTTP/1.1.
    pub fn new(id: impl Into<String>, address: Address) -> Upstream {
        Upstream { id: id.into(), address, protocol: Protocol::H1, secure: None, host: None }
    }

    /// Whether it is asked in HTTP/1.1 without TLS, for the host that the client names.
    pub(crate) fn is_plain(&self) -> bool {
        self.protocol == Protocol::H1 && self.secure.is_none() && self.host.is_none()
    }
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2, without being asked first: what gRPC servers speak.
    H2,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Where it is over IP.
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

/// What an upstream is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Requests chosen for it whose answer has not ended.
    pub requests: u64,
    /// Upgraded connections that have not ended on both sides.
    pub tunnels: u64,
}

/// What the listeners are bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// The clear-text listeners.
    pub http: Vec<SocketAddr>,
    /// The TLS listeners.
    pub https: Vec<SocketAddr>,
    /// The Unix socket.
    pub socket: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
