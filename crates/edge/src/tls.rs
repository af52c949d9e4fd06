//! How TLS is spoken, and which certificates there are: the owner on the control plane.

mod handshake;
mod names;
mod pair;
mod rules;
mod store;
mod x509;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ProducesTickets};
use rustls::sign::CertifiedKey;

pub(crate) use handshake::shake_hands;
pub(crate) use names::Names;
pub(crate) use rules::{FINGERPRINT, Introduction, Rules, SUBJECT, Shown, is_about_certificate};
pub(crate) use store::Store;

use crate::authority::{Authority, LEAF_RENEWAL};
use crate::error::EdgeError;
use crate::settings::{CertificateFiles, ClientCertificates};
use names::Certificates;
use pair::{Kept, Pair};
use rules::KeptRule;

/// How often certificate files are looked at: a few `stat` calls, and soon enough after a renewal.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often a local certificate that cannot be renewed is tried again, and told about: two months are left for it.
const RENEW_AGAIN: Duration = Duration::from_secs(3600);

pub(crate) fn provider() -> CryptoProvider {
    // Mozilla's intermediate configuration as it comes: AEAD suites with forward secrecy, X25519MLKEM768 first, then
    // X25519, P-256 and P-384. The client's order of suites counts, because all are strong and it knows its hardware.
    aws_lc_rs::default_provider()
}

/// How every core speaks TLS: 1.2 and 1.3, HTTP/2 preferred. Sessions are resumed by tickets or not at all: a cache of
/// sessions would be a lock that all cores share.
fn server_config(
    certificates: Arc<Certificates>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The same with tickets, which any core can read. Keys are made anew every six hours, and the one before is still
/// accepted for six more.
fn server_config_with_tickets(
    certificates: Arc<Certificates>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = server_config(certificates, Arc::new(NoClientAuth))?;
    config.ticketer = tickets;
    // Two, as a browser opens a second connection before it has used the first ticket.
    config.send_tls13_tickets = 2;
    Ok(config)
}

/// The hosts that need a certificate of the local authority: those that no file covers.
fn uncovered<'a>(hosts: impl Iterator<Item = &'a str>, names: &Names) -> Vec<String> {
    let mut hosts: Vec<String> = hosts.map(str::to_ascii_lowercase).collect();
    hosts.retain(|host| !names.covers(host));
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Everything TLS, owned by the control plane.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    names: Arc<Names>,
    rules: Arc<Rules>,
    kept: Vec<Kept>,
    asked: Vec<KeptRule>,
    authority: Authority,
    store: Store,
    local: Local,
    clock: Clock,
}

/// The local authority's certificate, and what it is for.
struct Local {
    hosts: Vec<String>,
    key: Arc<CertifiedKey>,
    /// When it was made, or could last not be made anew.
    tried: Timestamp,
    /// How long after that it is made anew.
    renewal: Duration,
}

/// How one certificate is, for `prumo status` and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    /// The file of the certificate.
    pub file: std::path::PathBuf,
    /// The hosts it is for.
    pub names: Vec<String>,
    /// When it begins.
    pub valid_from: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Why its files as they are now are not used, so that the last good ones serve.
    pub trouble: Option<String>,
}

/// Whether certificate files could serve, without serving them: they exist, can be read and belong together. Whether
/// they are valid now, the dates say.
pub fn examine(files: &CertificateFiles) -> Result<CertificateState, EdgeError> {
    Pair::read(files).map(|pair| CertificateState::of(pair, files))
}

/// Which of these certificates a client that can verify each of them is shown for `host`, and those that cannot serve.
pub fn certificate_for<'f>(host: &str, files: &'f [CertificateFiles]) -> (Option<CertificateState>, Vec<&'f Path>) {
    let (mut pairs, mut unread) = (Vec::new(), Vec::new());
    for files in files {
        match Pair::read(files) {
            Ok(pair) => pairs.push((pair, files)),
            Err(_) => unread.push(files.certificate.as_path()),
        }
    }
    let names = Names::new(pairs.iter().map(|(pair, _)| pair), None);
    let chosen = names.first(host).cloned();
    let mut pairs = pairs.into_iter();
    let found = chosen.and_then(|key| pairs.find(|(pair, _)| Arc::ptr_eq(&pair.key, &key)));
    (found.map(|(pair, files)| CertificateState::of(pair, files)), unread)
}

impl CertificateState {
    fn of(pair: Pair, files: &CertificateFiles) -> CertificateState {
        let Pair { names, valid_from, expires, .. } = pair;
        CertificateState { file: files.certificate.clone(), names, valid_from, expires, trouble: None }
    }
}

/// Whether clients could be asked for certificates by this rule.
pub fn examine_client_certificates(rule: &ClientCertificates) -> Result<(), EdgeError> {
    rules::verifier(rule).map(drop)
}

impl Local {
    fn make(authority: &Authority, hosts: Vec<String>, clock: &Clock) -> Result<Local, EdgeError> {
        let key = Arc::new(authority.certify(&hosts)?);
        Ok(Local { hosts, key, tried: clock.wall(), renewal: LEAF_RENEWAL })
    }
}

impl Tls {
    /// Loads the files, opens or makes the local authority, and is ready to serve names it does not know yet.
    pub(crate) fn open(
        files: &[CertificateFiles],
        asked: &[ClientCertificates],
        authority: Authority,
        store: Store,
        clock: Clock,
    ) -> Result<Tls, EdgeError> {
        let certificates = Arc::new(Certificates::default());
        let config = aws_lc_rs::Ticketer::new()
            .and_then(|tickets| server_config_with_tickets(Arc::clone(&certificates), tickets))
            .map_err(|error| EdgeError::System { doing: "preparing TLS", source: std::io::Error::other(error) })?;
        let local = Local::make(&authority, Vec::new(), &clock)?;
        let mut tls = Tls {
            config: Arc::new(config),
            certificates,
            names: Arc::default(),
            rules: Arc::default(),
            kept: Vec::new(),
            asked: Vec::new(),
            authority,
            store,
            local,
            clock,
        };
        tls.replace(files, asked, std::iter::empty())?;
        Ok(tls)
    }

    /// Serves these certificates from now on, and one of the local authority to those of `hosts` that they do not cover.
    /// What is known already is kept as it is, so that files that are being renewed at this moment do no harm; what is
    /// new must be good, or nothing changes.
    pub(crate) fn replace<'a>(
        &mut self,
        files: &[CertificateFiles],
        asked: &[ClientCertificates],
        hosts: impl Iterator<Item = &'a str>,
    ) -> Result<(), EdgeError> {
        let now = self.clock.wall();
        let mut fresh = Vec::new();
        for files in files.iter().filter(|files| !self.kept.iter().any(|kept| &kept.files == *files)) {
            fresh.push(Kept::open(files, &self.store, now)?);
        }
        let mut fresh_rules = Vec::new();
        for asked in asked.iter().filter(|asked| !self.asked.iter().any(|rule| rule.settings() == *asked)) {
            fresh_rules.push(KeptRule::open(asked, &self.certificates, &self.store)?);
        }
        let all = self.kept.iter().chain(&fresh).filter(|kept| files.contains(&kept.files));
        let hosts = uncovered(hosts, &Names::new(all.map(|kept| &kept.pair), None));
        let local = self.local_for(hosts)?;
        // Nothing fails from here on.
        if let Some(local) = local {
            self.local = local;
        }
        self.kept.append(&mut fresh);
        self.kept.retain(|kept| files.contains(&kept.files));
        self.store.retain(files, asked);
        self.kept.sort_by_key(|kept| files.iter().position(|files| &kept.files == files));
        self.asked.append(&mut fresh_rules);
        self.asked.retain(|rule| asked.contains(rule.settings()));
        self.publish();
        Ok(())
    }

    /// Makes sure that `hosts` have certificates. Called when routes change.
    pub(crate) fn cover<'a>(&mut self, hosts: impl Iterator<Item = &'a str>) -> Result<(), EdgeError> {
        if let Some(local) = self.local_for(uncovered(hosts, &self.names))? {
            self.local = local;
            self.publish();
        }
        Ok(())
    }

    /// A certificate for these hosts, unless the one that is there is for them.
    fn local_for(&self, hosts: Vec<String>) -> Result<Option<Local>, EdgeError> {
        if hosts == self.local.hosts { Ok(None) } else { Local::make(&self.authority, hosts, &self.clock).map(Some) }
    }

    /// Looks at the files again, and renews what is old. True when something has changed.
    pub(crate) fn look(&mut self) -> bool {
        let now = self.clock.wall();
        // Asked to read a ticket, the ticketer makes a new key when it is time: also at a site that nobody visits.
        let _ = self.config.ticketer.decrypt(&[]);
        let mut changed = false;
        for kept in &mut self.kept {
            if kept.look(now) {
                self.store.keep(&kept.files);
                changed = true;
            }
        }
        for rule in &mut self.asked {
            changed |= rule.look(&self.certificates, &self.store);
        }
        if now.since(self.local.tried) >= self.local.renewal {
            match Local::make(&self.authority, self.local.hosts.clone(), &self.clock) {
                Ok(local) => (self.local, changed) = (local, true),
                Err(error) => {
                    tracing::error!(%error, "local certificate not renewed, it expires in time");
                    (self.local.tried, self.local.renewal) = (now, RENEW_AGAIN);
                }
            }
        }
        if changed {
            self.publish();
        }
        changed
    }

    fn publish(&mut self) {
        self.names = Arc::new(Names::new(self.kept.iter().map(|kept| &kept.pair), Some(Arc::clone(&self.local.key))));
        self.rules = Arc::new(Rules::new(&self.asked));
        self.certificates.replace(Arc::clone(&self.names));
    }

    /// What requests are judged by.
    pub(crate) fn hosts(&self) -> (Arc<Names>, Arc<Rules>) {
        (Arc::clone(&self.names), Arc::clone(&self.rules))
    }

    /// Hosts whose clients are asked for certificates, each with what keeps its files from being used as they are now.
    pub(crate) fn asking(&self) -> Vec<(Option<String>, Option<String>)> {
        self.asked.iter().map(|rule| (rule.settings().host.clone(), rule.trouble.clone())).collect()
    }

    pub(crate) fn states(&self) -> Vec<CertificateState> {
        let state = |kept: &Kept| CertificateState {
            file: kept.files.certificate.clone(),
            names: kept.pair.names.clone(),
            valid_from: kept.pair.valid_from,
            expires: kept.pair.expires,
            trouble: kept.trouble.clone(),
        };
        self.kept.iter().map(state).collect()
    }
}

#[cfg(test)]
pub(crate) use tests::{names_for_test, no_certificate};
#[cfg(test)]
mod tests;
