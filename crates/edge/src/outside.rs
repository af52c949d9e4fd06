//! Services outside: a thread of their own looks up their names and knocks at their addresses, and the cores get the
//! upstreams that follow from that.
//!
//! What was known stays when a name cannot be looked up. An address that does not accept a connection is left out, unless
//! none does: then all stay, because a look from here proves less than a request would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prumo_clock::{Clock, Moment};
use prumo_drain::Stage;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::error::EdgeError;
use crate::settings::{Address, Outside, Place, Protocol, Secure, Upstream};

/// From one knock to the next.
const KNOCK_EVERY: Duration = Duration::from_secs(5);

/// How long looking up a name, or being let in, may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Addresses of one name that are used: a bound for what a name server may make us hold.
const ADDRESSES_MAX: usize = 64;

/// Takes the upstreams of all services outside.
pub(crate) type Publish = Box<dyn Fn(BTreeMap<String, Vec<Upstream>>) + Send>;

/// How one service outside is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideReport {
    /// Its upstreams: the address, and what keeps it from being used.
    pub upstreams: Vec<(String, Option<String>)>,
    /// Names that could not be looked up the last time, and why.
    pub lost: Vec<String>,
}

impl OutsideReport {
    fn is_reachable(&self) -> bool {
        self.upstreams.iter().any(|(_, refusal)| refusal.is_none())
    }
}

/// What the watching thread and its owner share.
#[derive(Default)]
pub(crate) struct Watch {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Default)]
struct Wanted {
    services: Arc<Vec<Watched>>,
    reports: BTreeMap<String, OutsideReport>,
    lookups_failed: u64,
    is_running: bool,
}

/// A service with what is the same for all its addresses.
struct Watched {
    settings: Outside,
    config: Option<Arc<ClientConfig>>,
}

impl Watch {
    /// Watches these from now on. Fails when an authority's file cannot be read; what was watched before then stays.
    pub(crate) fn set(&self, services: Vec<Outside>) -> Result<(), EdgeError> {
        let before = Arc::clone(&self.lock().services);
        let keep_or_make = |settings: Outside| -> Result<Watched, EdgeError> {
            let known = before.iter().find(|known| known.settings == settings);
            let config = match known {
                Some(known) => known.config.clone(),
                None => client_config(&settings)?,
            };
            Ok(Watched { settings, config })
        };
        let services = services.into_iter().map(keep_or_make).collect::<Result<Vec<_>, _>>()?;
        self.lock().services = Arc::new(services);
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) fn reports(&self) -> BTreeMap<String, OutsideReport> {
        self.lock().reports.clone()
    }

    pub(crate) fn lookups_failed(&self) -> u64 {
        self.lock().lookups_failed
    }

    /// Starts the thread, when there is something to watch for the first time.
    pub(crate) fn start(self: &Arc<Self>, clock: Clock, stage: &Stage, publish: Publish) -> std::io::Result<()> {
        {
            let mut wanted = self.lock();
            if wanted.is_running || wanted.services.is_empty() {
                return Ok(());
            }
            wanted.is_running = true;
        }
        let (watch, stopping) = (Arc::clone(self), stage.stopping());
        stage.thread("services outside", move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                tracing::error!("services outside are not watched: there is no runtime");
                return;
            };
            runtime.block_on(async {
                tokio::select! {
                    () = watch.run(&clock, publish) => {}
                    () = stopping.wait() => {}
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        })
    }

    async fn run(&self, clock: &Clock, publish: Publish) {
        let mut known = BTreeMap::new();
        let mut published = BTreeMap::new();
        loop {
            let services = Arc::clone(&self.lock().services);
            let (mut upstreams, mut reports) = (BTreeMap::new(), BTreeMap::new());
            for service in services.iter() {
                let (found, report) = self.look(service, &mut known, clock).await;
                upstreams.insert(service.settings.service.clone(), found);
                reports.insert(service.settings.service.clone(), report);
            }
            known.retain(|(service, _), _| upstreams.contains_key(service));
            tell_changes(&self.lock().reports, &reports);
            self.lock().reports = reports;
            if upstreams != published {
                publish(upstreams.clone());
                published = upstreams;
            }
            let _ = clock.timeout(KNOCK_EVERY, self.changed.notified()).await;
        }
    }

    async fn look(
        &self,
        service: &Watched,
        known: &mut BTreeMap<(String, usize), Known>,
        clock: &Clock,
    ) -> (Vec<Upstream>, OutsideReport) {
        let (mut all, mut report) = (Vec::new(), OutsideReport::default());
        for (number, place) in service.settings.at.iter().enumerate() {
            let known = known.entry((service.settings.service.clone(), number)).or_default();
            if let Err(why) = known.refresh(place, service.settings.resolve_every, clock).await {
                self.lock().lookups_failed += 1;
                tracing::warn!(service = service.settings.service, why, "name not looked up, what was known stays");
                report.lost.push(why);
            }
            for address in &known.addresses {
                let refusal = knock(address, clock).await.err();
                all.push((service.upstream(place, address), refusal));
            }
        }
        report.upstreams = all.iter().map(|(upstream, refusal)| (upstream.id.clone(), refusal.clone())).collect();
        let is_any_well = all.iter().any(|(_, refusal)| refusal.is_none());
        all.retain(|(_, refusal)| refusal.is_none() || !is_any_well);
        (all.into_iter().map(|(upstream, _)| upstream).collect(), report)
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Plain values, whole at every moment.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says which services have become reachable, and which no longer are.
fn tell_changes(before: &BTreeMap<String, OutsideReport>, now: &BTreeMap<String, OutsideReport>) {
    for (service, report) in now {
        let known = before.get(service).map(OutsideReport::is_reachable);
        match report.is_reachable() {
            is_reachable if known == Some(is_reachable) => {}
            true => tracing::info!(service, "service outside is reachable"),
            false => tracing::warn!(service, "service outside is not reachable at any address"),
        }
    }
}

/// The addresses of a place, as of the last time that it could be looked up.
#[derive(Default)]
struct Known {
    place: Option<Place>,
    addresses: Vec<Address>,
    looked: Option<Moment>,
}

impl Known {
    async fn refresh(&mut self, place: &Place, every: Duration, clock: &Clock) -> Result<(), String> {
        if self.place.as_ref() != Some(place) {
            *self = Known { place: Some(place.clone()), ..Known::default() };
        }
        let now = clock.now();
        if self.looked.is_some_and(|looked| now.since(looked) < every) {
            return Ok(());
        }
        let (host, port) = match place {
            Place::Unix(path) => {
                self.addresses = vec![Address::Unix(path.clone())];
                return Ok(());
            }
            Place::Host { host, port, .. } => (host.as_str(), *port),
        };
        let found = match clock.timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(format!("{host}: {error}")),
            Err(_) => return Err(format!("{host}: no answer from the name server within {PATIENCE:?}")),
        };
        let mut addresses: Vec<SocketAddr> = found.collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() {
            return Err(format!("{host}: the name has no address"));
        }
        self.addresses = addresses.into_iter().map(Address::Tcp).collect();
        self.looked = Some(now);
        Ok(())
    }
}

async fn knock(address: &Address, clock: &Clock) -> Result<(), String> {
    let Address::Tcp(address) = address else { return Ok(()) };
    match clock.timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {PATIENCE:?}")),
    }
}

impl Watched {
    fn upstream(&self, place: &Place, address: &Address) -> Upstream {
        let shown = match address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        };
        let secure = match (place, &self.config) {
            (Place::Host { host, tls: true, .. }, Some(config)) => {
                let name = ServerName::try_from(host.clone()).ok();
                name.map(|name| Secure { name, config: Arc::clone(config) })
            }
            _ => None,
        };
        Upstream {
            protocol: self.settings.protocol,
            secure,
            host: if self.settings.sees_clients_host { None } else { place.authority() },
            ..Upstream::new(format!("{}@{shown}", self.settings.service), address.clone())
        }
    }
}

/// How TLS is spoken to the service; `None` when it is nowhere.
fn client_config(settings: &Outside) -> Result<Option<Arc<ClientConfig>>, EdgeError> {
    if !settings.at.iter().any(|place| matches!(place, Place::Host { tls: true, .. })) {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    match &settings.authority {
        Some(file) => {
            let bad = |why: String| EdgeError::Certificate {
                file: file.clone(),
                why,
                hint: "give the certificate of the authority that signs the service's certificates, as PEM",
            };
            let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            for certificate in found.map_err(|error| bad(error.to_string()))? {
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("it holds no certificate".to_owned()));
            }
        }
        None => {
            let (_, ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            tracing::debug!(authorities = roots.len(), ignored, "authorities of the system");
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|error| EdgeError::System { doing: "setting up TLS", source: std::io::Error::other(error) })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = match settings.protocol {
        Protocol::H1 => vec![b"http/1.1".to_vec()],
        Protocol::H2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(Some(Arc::new(config)))
}
