//! Services outside: a thread of their own looks up their names and knocks at their addresses, and the cores get the
//! upstreams that follow from that.
//!
//! What was known stays when a name cannot be looked up. An address that does not accept a connection is left out, unless
//! none does: then all stay, because a look from here proves less than a request would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
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

/// The upstreams of all services outside.
type Upstreams = BTreeMap<String, Vec<Upstream>>;

/// Takes them.
pub(crate) type Publish = Box<dyn Fn(Upstreams) + Send>;

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
    /// What was in the authority's file.
    authority: Option<Vec<u8>>,
    config: Option<Arc<ClientConfig>>,
}

impl Watch {
    /// Watches these from now on. Fails when an authority's file cannot be read; what was watched before then stays.
    pub(crate) fn set(&self, services: Vec<Outside>) -> Result<(), EdgeError> {
        let before = Arc::clone(&self.lock().services);
        let keep_or_make = |settings: Outside| -> Result<Watched, EdgeError> {
            let authority = read_authority(&settings)?;
            let known = before.iter().find(|known| known.settings == settings && known.authority == authority);
            let config = match known {
                Some(known) => known.config.clone(),
                None => client_config(&settings, authority.as_deref())?,
            };
            Ok(Watched { settings, authority, config })
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
        let started = stage.thread("services outside", move || {
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
        });
        if started.is_err() {
            self.lock().is_running = false;
        }
        started
    }

    async fn run(&self, clock: &Clock, publish: Publish) {
        let mut known: BTreeMap<String, Vec<Known>> = BTreeMap::new();
        let mut published = Upstreams::new();
        loop {
            let services = Arc::clone(&self.lock().services);
            let is_wanted = |name: &String| services.iter().any(|service| service.settings.service == *name);
            self.lock().reports.retain(|name, _| is_wanted(name));
            let mut upstreams = published.clone();
            upstreams.retain(|name, _| is_wanted(name));
            tell(&publish, &mut published, &upstreams);
            let mut before = std::mem::take(&mut known);
            let looks = services.iter().map(|service| {
                let name = service.settings.service.clone();
                let known = before.remove(&name).unwrap_or_default();
                async { (name, service.look(known, clock).await) }
            });
            // Each is told as soon as it is known: one that cannot be reached keeps no other waiting.
            as_they_end(looks, |(name, looked)| {
                self.note(&name, &looked.report);
                upstreams.insert(name.clone(), looked.upstreams);
                known.insert(name, looked.known);
                tell(&publish, &mut published, &upstreams);
            })
            .await;
            let _ = clock.timeout(KNOCK_EVERY, self.changed.notified()).await;
        }
    }

    /// Keeps the report, and says what is new about the service.
    fn note(&self, service: &str, report: &OutsideReport) {
        let mut wanted = self.lock();
        wanted.lookups_failed += report.lost.len() as u64;
        let before = wanted.reports.insert(service.to_owned(), report.clone());
        drop(wanted);
        tell_changes(service, before.as_ref(), report);
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Plain values, whole at every moment.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes the upstreams if they are not what was published before.
fn tell(publish: &Publish, published: &mut Upstreams, upstreams: &Upstreams) {
    if upstreams != published {
        publish(upstreams.clone());
        published.clone_from(upstreams);
    }
}

/// Says whether a service has become reachable or no longer is, and which names can no longer be looked up.
fn tell_changes(service: &str, before: Option<&OutsideReport>, now: &OutsideReport) {
    let was_lost = |why: &String| before.is_some_and(|before| before.lost.contains(why));
    for why in now.lost.iter().filter(|why| !was_lost(why)) {
        tracing::warn!(service, why, "name not looked up, what was known stays");
    }
    match now.is_reachable() {
        is_reachable if before.map(OutsideReport::is_reachable) == Some(is_reachable) => {}
        true => tracing::info!(service, "service outside is reachable"),
        false => tracing::warn!(service, "service outside is not reachable at any address"),
    }
}

/// Does all of this work at once, and gives each outcome to `take` when it is there.
async fn as_they_end<T>(work: impl Iterator<Item = impl Future<Output = T>>, mut take: impl FnMut(T)) {
    let mut open: Vec<_> = work.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        open.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                take(outcome);
                false
            }
            Poll::Pending => true,
        });
        if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// What one look at a service found.
struct Looked {
    upstreams: Vec<Upstream>,
    report: OutsideReport,
    /// For the next look.
    known: Vec<Known>,
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
    /// Looks its names up where that is due, and knocks at its addresses, at all of them at once.
    async fn look(&self, mut known: Vec<Known>, clock: &Clock) -> Looked {
        let places = &self.settings.at;
        known.resize_with(places.len(), Known::default);
        let mut report = OutsideReport::default();
        let refreshed = known
            .iter_mut()
            .zip(places)
            .map(|(known, place)| async { known.refresh(place, self.settings.resolve_every, clock).await });
        as_they_end(refreshed, |looked| report.lost.extend(looked.err())).await;
        report.lost.sort_unstable();
        let addresses = known
            .iter()
            .zip(places)
            .flat_map(|(known, place)| known.addresses.iter().map(move |address| (place, address)));
        let mut found = Vec::new();
        let knocks = addresses.enumerate().map(|(number, (place, address))| async move {
            (number, self.upstream(place, address), knock(address, clock).await.err())
        });
        as_they_end(knocks, |one| found.push(one)).await;
        found.sort_unstable_by_key(|(number, _, _)| *number);
        let mut all = Vec::new();
        for (_, upstream, refusal) in found {
            match upstream {
                Ok(upstream) => {
                    report.upstreams.push((upstream.id.clone(), refusal.clone()));
                    all.push((upstream, refusal));
                }
                Err((id, why)) => report.upstreams.push((id, Some(why))),
            }
        }
        let is_any_well = all.iter().any(|(_, refusal)| refusal.is_none());
        all.retain(|(_, refusal)| refusal.is_none() || !is_any_well);
        Looked { upstreams: all.into_iter().map(|(upstream, _)| upstream).collect(), report, known }
    }

    /// The upstream at one address. With the id of one that cannot be used comes the reason.
    fn upstream(&self, place: &Place, address: &Address) -> Result<Upstream, (String, String)> {
        let shown = match address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        };
        let id = format!("{}@{shown}", self.settings.service);
        let secure = match (place, &self.config) {
            (Place::Host { host, tls: true, .. }, config) => match (ServerName::try_from(host.clone()), config) {
                (Ok(name), Some(config)) => Some(Secure { name, config: Arc::clone(config) }),
                // Never in clear text where TLS is wanted.
                _ => return Err((id, format!("`{host}` is no name that a certificate could be for"))),
            },
            _ => None,
        };
        Ok(Upstream {
            protocol: self.settings.protocol,
            secure,
            host: if self.settings.sees_clients_host { None } else { place.authority() },
            ..Upstream::new(id, address.clone())
        })
    }
}

fn speaks_tls(settings: &Outside) -> bool {
    settings.at.iter().any(|place| matches!(place, Place::Host { tls: true, .. }))
}

/// What is in the authority's file, where one is named and needed.
fn read_authority(settings: &Outside) -> Result<Option<Vec<u8>>, EdgeError> {
    let file = settings.authority.as_ref().filter(|_| speaks_tls(settings));
    let read = |file: &PathBuf| std::fs::read(file).map_err(|error| bad_authority(file, error.to_string()));
    file.map(read).transpose()
}

fn bad_authority(file: &Path, why: String) -> EdgeError {
    EdgeError::Certificate {
        file: file.to_owned(),
        why,
        hint: "give the certificate of the authority that signs the service's certificates, as PEM",
    }
}

/// How TLS is spoken to the service; `None` when it is nowhere.
fn client_config(settings: &Outside, authority: Option<&[u8]>) -> Result<Option<Arc<ClientConfig>>, EdgeError> {
    if !speaks_tls(settings) {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    match settings.authority.as_deref().zip(authority) {
        Some((file, authority)) => {
            for certificate in CertificateDer::pem_slice_iter(authority) {
                let certificate = certificate.map_err(|error| bad_authority(file, error.to_string()))?;
                roots.add(certificate).map_err(|error| bad_authority(file, error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad_authority(file, "it holds no certificate".to_owned()));
            }
        }
        None => {
            let (_, ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            tracing::debug!(authorities = roots.len(), ignored, "authorities of the system");
            if roots.is_empty() {
                let service = &settings.service;
                tracing::warn!(
                    service,
                    "this system knows no authorities, so no certificate of the service is trusted"
                );
            }
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
