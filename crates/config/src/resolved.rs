//! The third step: plain values, with every default filled in and every reference known to be good.
//!
//! Nothing here remembers where in the file it came from. Whoever receives a [`Config`] needs no
//! further check before acting on it.

mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::settings::{
    Admin, Answer, Certificate, ClientCertificate, Edge, Files, HealthTable, Maintenance, Mirror, OutsideTable,
    Restart, Retry, Root, RouteHeaders, RouteTable, ServiceTable, Site, Stop, Traffic,
};
use crate::value::{Cidr, Size, Template};

/// Everything the file says, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the whole site shares.
    pub site: Site,
    /// The programs to keep running, by name. None only where a route needs none.
    pub services: BTreeMap<String, Service>,
    /// Services that somebody else runs, by name. No name is in both.
    pub outside: BTreeMap<String, Outside>,
    /// Which requests go to which service, in the order of the file.
    pub routes: Vec<Route>,
    /// Certificates that are kept as files.
    pub certificates: Vec<Certificate>,
    /// Hosts whose clients show certificates of their own.
    pub client_certificates: Vec<ClientCertificate>,
    /// The front door.
    pub edge: Edge,
    /// What clients get while routes are in maintenance.
    pub maintenance: Maintenance,
    /// The listener for people and tools that run the site.
    pub admin: Admin,
}

/// A program that prumo keeps running, in one or more replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name: the `api` of `[service.api]`.
    pub name: String,
    /// The argument vector. `$PORT`, `$SOCKET`, `$REPLICA` and `$RELEASE` are left for the driver to fill in.
    pub run: Vec<String>,
    /// The working folder, relative to the folder of the file.
    pub folder: PathBuf,
    /// The environment of each replica, on top of the little that prumo passes on.
    pub environment: BTreeMap<String, Value>,
    /// The user to run as.
    pub user: Option<String>,
    /// The group to run as.
    pub group: Option<String>,
    /// How a replica takes requests.
    pub listen: Listen,
    /// What a replica speaks to the edge.
    pub protocol: Protocol,
    /// How many replicas run at once.
    pub replicas: u32,
    /// How prumo knows that a replica can serve.
    pub health: Health,
    /// The most memory a replica may use.
    pub memory: Option<Size>,
    /// The most processor time a replica may use, in cores.
    pub cpu: Option<f64>,
    /// The most processes and threads a replica may have.
    pub processes: Option<u32>,
    /// The most files a replica may have open.
    pub files: Option<u32>,
    /// How a replica is asked to stop.
    pub stop: Stop,
    /// How long a replica may finish its requests after it left the routing.
    pub drain: Duration,
    /// How the edge spares the replicas.
    pub traffic: Traffic,
    /// What happens when a replica ends by itself.
    pub restart: Restart,
    /// How much of what the replicas print is kept.
    pub log_keep: Size,
}

/// The value of one environment variable.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A text, as the file has it.
    Text(String),
    /// A secret, to be fetched when a replica starts.
    Secret(SecretSource),
}

impl fmt::Debug for Value {
    /// A text may be a password that somebody wrote into the file, so it is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(_) => f.write_str("Text([redacted])"),
            Value::Secret(source) => f.debug_tuple("Secret").field(source).finish(),
        }
    }
}

/// Where a secret comes from. The secret itself is never part of a [`Config`].
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// Kept by prumo: `prumo secret set NAME`.
    Named(String),
    /// The content of a file.
    File(PathBuf),
    /// A variable in the environment of prumo itself.
    Env(String),
    /// What a command prints.
    Command(Vec<String>),
}

/// How a replica takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a private TCP port, given as `$PORT`.
    Port,
    /// On a Unix socket, given as `$SOCKET`.
    Socket,
    /// Not at all: a worker.
    Nothing,
}

/// A service that somebody else runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// Where it is.
    pub at: Vec<Place>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Who signs its certificates; the authorities of the system when absent. Relative to the folder of the file.
    pub authority: Option<PathBuf>,
    /// The host that it sees.
    pub host: SeenHost,
    /// How often its names are looked up.
    pub resolve_every: Duration,
    /// How prumo knows which of its addresses can serve.
    pub health: Health,
    /// How its addresses are spared.
    pub traffic: Traffic,
}

/// One place of a service outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or an address.
    Host {
        /// The name or the address, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken there.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Place::Host { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                match host.contains(':') {
                    true => write!(formatter, "{scheme}://[{host}]:{port}"),
                    false => write!(formatter, "{scheme}://{host}:{port}"),
                }
            }
        }
    }
}

/// The host that a service outside sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenHost {
    /// Its own.
    Upstream,
    /// The one that the client asked for.
    Client,
}

/// What a replica speaks to the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2 without TLS and without being asked first.
    H2,
}

/// How prumo knows that a replica can serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked of the replica.
    pub check: Check,
    /// The time from one check to the next.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many good checks in a row make a replica healthy.
    pub healthy: u32,
    /// How many bad checks in a row make a replica unhealthy.
    pub unhealthy: u32,
    /// How long a new replica may take until its first good check.
    pub start_within: Duration,
}

/// What is asked of a replica to know its health.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// A GET request.
    Http {
        /// The path to ask for.
        path: String,
        /// Ranges of status codes that count as healthy, both ends included.
        status: Vec<std::ops::RangeInclusive<u16>>,
        /// A text that the body must contain.
        body: Option<String>,
    },
    /// A TCP (or Unix socket) connection that is accepted.
    Tcp,
    /// The health service of gRPC, about a service of the program or, when empty, all of it.
    Grpc(String),
    /// A web socket at this path that answers a ping.
    WebSocket(String),
    /// A command that ends with 0.
    Command(Vec<String>),
    /// Nothing but a process that runs.
    Alive,
}

/// Which requests go to which service.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// A name for logs and metrics: host and path, unless the file gives another.
    pub name: String,
    /// The host in lower case, or `*.example.com`; absent for any host.
    pub host: Option<String>,
    /// Which paths.
    pub path: PathMatch,
    /// What a request must say beside its host and path.
    pub when: When,
    /// What is done with a request.
    pub action: Action,
    /// The only addresses from which requests are taken; empty for everywhere.
    pub allow: Vec<Cidr>,
    /// Addresses from which none is taken.
    pub deny: Vec<Cidr>,
    /// Whether the file says that it is in maintenance.
    pub maintenance: bool,
    /// The largest request body that is let through.
    pub body_max: Size,
    /// Where its answers' headers differ from those of the edge.
    pub headers: Option<RouteHeaders>,
}

impl Route {
    /// The services it may send requests to, none if it answers itself.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().map(|target| target.service.as_str())
    }

    /// Those of them that have a share of its requests.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().filter(|target| target.weight > 0).map(|target| target.service.as_str())
    }

    fn targets(&self) -> &[Target] {
        match &self.action {
            Action::Forward(forward) => &forward.to,
            Action::Files(_) | Action::Redirect(_) | Action::Answer(_) => &[],
        }
    }
}

/// Which paths a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Those that begin with this, segment by segment.
    Prefix(String),
    /// This one.
    Exact(String),
    /// Those that the whole of this expression describes.
    Regex(String),
}

impl fmt::Display for PathMatch {
    /// `/api`, `= /login` or `~ /users/[0-9]+`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathMatch::Prefix(path) => f.write_str(path),
            PathMatch::Exact(path) => write!(f, "= {path}"),
            PathMatch::Regex(expression) => write!(f, "~ {expression}"),
        }
    }
}

/// What a request must say beside its host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Which methods, in capitals; empty for all.
    pub methods: Vec<String>,
    /// What headers must say. All of them must.
    pub headers: Vec<Condition>,
    /// What the query must say. All of it must.
    pub query: Vec<Condition>,
}

/// What a header or a part of the query must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The name: of a header in lower case, of a part of the query as it is written.
    pub name: String,
    /// What its value must be.
    pub wanted: Wanted,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
    /// Exactly this.
    Equal(String),
}

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A service answers.
    Forward(Forward),
    /// Files of a folder answer.
    Files(Files),
    /// The client is sent to another address.
    Redirect(Redirect),
    /// Always the same answer.
    Answer(Answer),
}

/// Where a client is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The address.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// What becomes of the path before a service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// The route's beginning is taken away.
    Strip,
    /// It becomes this.
    Path(Template),
}

/// Which service answers, and how it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// One service, or several that share the requests by weight. Never empty.
    pub to: Vec<Target>,
    /// What becomes of the path.
    pub rewrite: Option<Rewrite>,
    /// How a replica is chosen.
    pub balance: Balance,
    /// When another replica is asked again.
    pub retry: Retry,
    /// When a second replica is asked as well.
    pub hedge: Option<Hedge>,
    /// Where copies of requests go.
    pub mirror: Option<Mirror>,
    /// How long the service may take until it begins to answer.
    pub timeout: Duration,
    /// How long it may say nothing within an answer that has no length.
    pub idle_timeout: Duration,
}

/// A service and its share of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: String,
    /// Its share, measured by the sum of all.
    pub weight: u32,
}

/// How a replica is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn for two, by latency from three on.
    Auto,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastConnections,
    /// Of two at random the quicker and less busy.
    PeakEwma,
    /// The same for the same key.
    Hash(HashBy),
    /// The one that the client's cookie of this name stands for.
    Sticky(String),
}

/// The key that a request is tied to its replica by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The value of a header, its name in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The client's address.
    Client,
    /// The path.
    Path,
}

/// A failure after which a request may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The connection ended before the answer began.
    Reset,
    /// The answer has this status.
    Status(u16),
}

/// After which time a second replica is asked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// This.
    After(Duration),
    /// What this percentage of answers takes.
    Percentile(u8),
}

/// A port of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The standard port where prumo may bind it, else the one above 8000.
    Auto,
    /// Do not listen.
    Off,
    /// This port and no other.
    Number(u16),
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// A JSON object.
    Json,
    /// As Apache and nginx write it.
    Combined,
}

/// Whose traces go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFrom {
    /// Those of trusted proxies.
    TrustedProxies,
    /// Those of everybody.
    Anybody,
}

/// Which requests over HTTP are redirected to HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectHttps {
    /// Those for hosts with a certificate from a file.
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// How long browsers remember to come over HTTPS only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hsts {
    /// They are not told.
    Off,
    /// This long.
    For(Duration),
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowCertificate {
    /// Without one there is no connection.
    Required,
    /// The app decides about clients without one.
    Optional,
}

/// Who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Those with a token.
    Token,
    /// Everybody who reaches the admin listener.
    Open,
}

/// A signal that asks a process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM
    Term,
    /// SIGINT
    Int,
    /// SIGQUIT
    Quit,
    /// SIGHUP
    Hup,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGKILL
    Kill,
}

impl Config {
    /// What the checked tables mean. Nothing can be wrong any more.
    pub(crate) fn resolve(root: Root) -> Config {
        let (mut services, mut outside) = (BTreeMap::new(), BTreeMap::new());
        for (name, mut table) in root.service {
            match table.at.take() {
                Some(at) => drop(outside.insert(name, Outside::resolve(at, table))),
                None => drop(services.insert(name.clone(), Service::resolve(name, table))),
            }
        }
        Config {
            site: root.site,
            services,
            outside,
            routes: names::of_their_own(root.route.into_iter().map(Route::resolve).collect()),
            certificates: root.certificate,
            client_certificates: root.client_certificate,
            edge: root.edge,
            maintenance: root.maintenance,
            admin: root.admin,
        }
    }
}

impl Outside {
    fn resolve(at: OutsideTable, table: ServiceTable) -> Outside {
        Outside {
            at: at.url,
            protocol: table.protocol,
            authority: at.ca,
            host: at.host,
            resolve_every: at.resolve,
            // It listens, whatever it is: there is no process to look at instead.
            health: Health::resolve(table.health.unwrap_or_else(HealthTable::unstated), Listen::Port),
            traffic: table.traffic,
        }
    }
}

impl Service {
    /// Those of these that are not outside.
    pub(crate) fn resolve_all(tables: Vec<(String, ServiceTable)>) -> Vec<Service> {
        let inside = tables.into_iter().filter(|(_, table)| table.at.is_none());
        inside.map(|(name, table)| Service::resolve(name, table)).collect()
    }

    fn resolve(name: String, table: ServiceTable) -> Service {
        let health = table.health.unwrap_or_else(HealthTable::unstated);
        Service {
            name,
            run: table.run.unwrap_or_default(),
            folder: table.folder,
            environment: table.environment,
            user: table.user,
            group: table.group,
            listen: table.listen,
            protocol: table.protocol,
            replicas: table.replicas,
            health: Health::resolve(health, table.listen),
            memory: table.memory,
            cpu: table.cpu,
            processes: table.processes,
            files: table.files,
            stop: table.stop,
            drain: table.drain,
            traffic: table.traffic,
            restart: table.restart,
            log_keep: table.log_keep,
        }
    }
}

impl Health {
    fn resolve(table: HealthTable, listen: Listen) -> Health {
        // A rule has seen to it that there is at most one.
        let check = if let Some(path) = table.path {
            Check::Http { path, status: table.status, body: table.body }
        } else if let Some(service) = table.grpc {
            Check::Grpc(service)
        } else if let Some(path) = table.web_socket {
            Check::WebSocket(path)
        } else if let Some(run) = table.run {
            Check::Command(run)
        } else if listen == Listen::Nothing {
            Check::Alive
        } else {
            Check::Tcp
        };
        Health {
            check,
            every: table.every,
            timeout: table.timeout.min(table.every),
            healthy: table.healthy,
            unhealthy: table.unhealthy,
            start_within: table.start_within,
        }
    }
}

impl Route {
    fn resolve(table: RouteTable) -> Route {
        Route {
            name: table.name.clone().unwrap_or_else(|| names::describe(&table)),
            host: table.host,
            path: table.path,
            when: When {
                methods: table.when.method.unwrap_or_default(),
                headers: table.when.header,
                query: table.when.query,
            },
            action: match (table.files, table.redirect, table.answer) {
                (Some(files), ..) => Action::Files(files),
                (None, Some(redirect), _) => Action::Redirect(Redirect {
                    to: redirect.to,
                    status: u16::try_from(redirect.status).unwrap_or(307),
                }),
                (None, None, Some(answer)) => Action::Answer(answer),
                // A rule has seen to it that there is one of them.
                (None, None, None) => Action::Forward(Forward {
                    to: table.to.unwrap_or_default(),
                    rewrite: match table.rewrite {
                        Some(template) => Some(Rewrite::Path(template)),
                        None => table.strip.then_some(Rewrite::Strip),
                    },
                    balance: table.balance,
                    retry: table.retry,
                    hedge: table.hedge,
                    mirror: table.mirror,
                    timeout: table.timeout,
                    idle_timeout: table.idle_timeout,
                }),
            },
            allow: table.allow,
            deny: table.deny,
            maintenance: table.maintenance,
            body_max: table.body_max,
            headers: table.headers,
        }
    }
}
