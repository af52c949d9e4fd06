//! One service outside: how it is spoken to, and a look at how it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prumo_clock::{Clock, Moment};
use prumo_probe::{Check, Origin, is_shortage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::names::Addresses;
use super::pulse::{Answer, Pulse};
use super::{OutsideReport, as_they_end};
use crate::error::EdgeError;
use crate::link;
use crate::named_file;
use crate::settings::{Address, Outside, Place, Protocol, Secure, Upstream};

/// A service with what is the same for all its addresses.
pub(super) struct Watched {
    pub(super) settings: Outside,
    /// What was in the authority's file.
    authority: Option<Vec<u8>>,
    config: Option<Arc<ClientConfig>>,
    /// The same, for what its probe speaks.
    probe_config: Option<Arc<ClientConfig>>,
}

/// The id of an upstream that cannot be used at all, and why.
type Unusable = (String, String);

/// What one look at a service found.
pub(super) struct Looked {
    pub(super) upstreams: Vec<Upstream>,
    pub(super) report: OutsideReport,
    /// How many names could not be looked up just now.
    pub(super) lookups_failed: u64,
}

/// What is known of a service from the looks before.
#[derive(Default)]
pub(super) struct Known {
    /// For each of its places.
    addresses: Vec<Addresses>,
    /// By the id of an upstream, with the place that it was found at and is asked as.
    pulses: BTreeMap<String, (Place, Pulse)>,
}

impl Known {
    /// What still counts when something about the service is another than before: its names, which are looked up anew,
    /// and what its probes have shown, if they `stay` the same.
    pub(super) fn carried_over(mut self, stay: bool) -> Known {
        self.addresses.iter_mut().for_each(Addresses::hurry);
        if stay { self } else { Known { pulses: BTreeMap::new(), ..self } }
    }

    /// When the next name is to be looked up, if ever.
    pub(super) fn names_due(&self) -> Option<Moment> {
        self.addresses.iter().filter_map(Addresses::due).min()
    }
}

impl Watched {
    pub(super) fn new(settings: Outside, authority: Option<Vec<u8>>) -> Result<Watched, EdgeError> {
        let config = client_config(&settings, authority.as_deref())?;
        let probe_config = config.as_ref().map(|config| {
            // It speaks one protocol, whatever requests speak; whom it trusts is the same.
            let alpn = if matches!(settings.probe.check, Check::Grpc { .. }) { "h2" } else { "http/1.1" };
            let mut config = ClientConfig::clone(config);
            config.alpn_protocols = vec![alpn.into()];
            Arc::new(config)
        });
        Ok(Watched { settings, authority, config, probe_config })
    }

    /// Whether it is this service, signed for by this authority.
    pub(super) fn is_of(&self, settings: &Outside, authority: Option<&[u8]>) -> bool {
        self.settings == *settings && self.authority.as_deref() == authority
    }

    /// Whether what the other's probes have shown is true of this one too, at the places that both have.
    pub(super) fn is_asked_as(&self, other: &Watched) -> bool {
        let (ours, others) = (&self.settings, &other.settings);
        ours.probe == others.probe && ours.protocol == others.protocol && self.authority == other.authority
    }

    /// Looks its names up where that is due, and asks at its addresses, at all of them at once: at each if `asks_all`,
    /// and otherwise at those that are new.
    pub(super) async fn look(&self, known: &mut Known, asks_all: bool, clock: &Clock) -> Looked {
        let (settings, places) = (&self.settings, &self.settings.at);
        let Known { addresses, pulses } = known;
        addresses.resize_with(places.len(), Addresses::default);
        let mut report = OutsideReport::default();
        let refreshed = addresses
            .iter_mut()
            .zip(places)
            .map(|(addresses, place)| addresses.refresh(place, settings.resolve_every, clock));
        let mut lookups_failed = 0;
        as_they_end(refreshed, |has_failed| lookups_failed += u64::from(has_failed)).await;
        report.lost.extend(addresses.iter().filter_map(|addresses| addresses.lost.clone()));
        report.lost.sort_unstable();
        let all = addresses.iter().zip(places).flat_map(|(addresses, place)| {
            addresses.known.iter().map(move |address| (place, self.upstream(place, address)))
        });
        let all: Vec<(&Place, Result<Upstream, Unusable>)> = all.collect();
        let mut usable: BTreeMap<&str, (&Place, &Upstream)> = BTreeMap::new();
        for (place, upstream) in &all {
            if let Ok(upstream) = upstream {
                // Two places may have one address: it is asked as the first of them.
                usable.entry(&upstream.id).or_insert((place, upstream));
            }
        }
        pulses.retain(|id, (place, _)| usable.get(id.as_str()).is_some_and(|(now, _)| *now == place));
        let asked = usable.values().filter(|(_, upstream)| asks_all || !pulses.contains_key(&upstream.id));
        let asked =
            asked.map(|(place, upstream)| async move { (*place, *upstream, self.ask(place, upstream, clock).await) });
        let mut answers = Vec::new();
        as_they_end(asked, |answer| answers.push(answer)).await;
        for (place, upstream, answer) in answers {
            let (_, pulse) = pulses.entry(upstream.id.clone()).or_insert_with(|| (place.clone(), Pulse::default()));
            pulse.note(answer, &settings.probe);
        }
        let (mut well, mut others) = (Vec::new(), Vec::new());
        for (_, upstream) in all {
            let (id, refusal) = match upstream {
                Err((id, why)) => (id, Some(why)),
                Ok(upstream) => {
                    let id = upstream.id.clone();
                    let refusal = pulses.get(&id).and_then(|(_, pulse)| pulse.refusal(&settings.probe));
                    if refusal.is_none() {
                        well.push(upstream);
                    } else {
                        others.push(upstream);
                    }
                    (id, refusal)
                }
            };
            report.upstreams.push((id, refusal));
        }
        Looked { upstreams: if well.is_empty() { others } else { well }, report, lookups_failed }
    }

    /// Asks once whether the service is well at this address.
    async fn ask(&self, place: &Place, upstream: &Upstream, clock: &Clock) -> Answer {
        let probe = &self.settings.probe;
        let secure = upstream.secure.as_ref().zip(self.probe_config.as_ref());
        let secure = secure.map(|(secure, config)| Secure { name: secure.name.clone(), config: Arc::clone(config) });
        // A connection that is accepted is enough where nothing is asked: no hands are shaken for it.
        let secure = secure.filter(|_| probe.check != Check::Connection);
        let scheme = if secure.is_some() { "https" } else { "http" };
        let upstream = Upstream { secure, ..Upstream::new(upstream.id.clone(), upstream.address.clone()) };
        let asking = async {
            let stream = match link::connect(&upstream).await {
                Ok(stream) => stream,
                Err(error) if is_shortage(&error, upstream.address.ip()) => return Answer::NotAsked(error.to_string()),
                Err(error) => return Answer::Bad(error.to_string()),
            };
            let host = place.authority();
            let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            match prumo_probe::ask(&probe.check, stream, Origin { scheme, host }).await {
                Ok(()) => Answer::Good,
                Err(why) => Answer::Bad(why),
            }
        };
        let late = |_| Answer::Bad(format!("{} did not answer within {:?}", probe.check, probe.timeout));
        clock.timeout(probe.timeout, asking).await.unwrap_or_else(late)
    }

    /// The upstream at one address. With the id of one that cannot be used comes the reason.
    fn upstream(&self, place: &Place, address: &Address) -> Result<Upstream, Unusable> {
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
pub(super) fn read_authority(settings: &Outside) -> Result<Option<Vec<u8>>, EdgeError> {
    let file = settings.authority.as_ref().filter(|_| speaks_tls(settings));
    let read = |file: &PathBuf| named_file::read(file).map_err(|error| bad_authority(file, error.to_string()));
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
