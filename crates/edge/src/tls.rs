//! Which certificate answers to which name, and how TLS is spoken.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::Authority;
use crate::error::EdgeError;
use crate::settings::CertificateFiles;

/// Certificates by name. Cheap to look at, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    names: ArcSwap<Names>,
}

#[derive(Debug, Default)]
struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Keyed by what follows `*.`, which stands for one label.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For names that no file covers, and clients that name none.
    fallback: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Replaces everything: the certificates from files, and the local authority's for the rest.
    pub(crate) fn replace(&self, loaded: &[Loaded], fallback: Option<Arc<CertifiedKey>>) {
        let mut names =
            Names { fallback: fallback.or_else(|| loaded.first().map(|one| Arc::clone(&one.key))), ..Names::default() };
        for one in loaded {
            for name in &one.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.wildcard, parent),
                    None => (&mut names.exact, name.as_str()),
                };
                // Of two certificates for a name the one written first in the file serves.
                map.entry(name.to_owned()).or_insert_with(|| Arc::clone(&one.key));
            }
        }
        self.names.store(Arc::new(names));
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let names = self.names.load();
        let Some(name) = name else { return names.fallback.clone() };
        let name = name.to_ascii_lowercase();
        let by_wildcard = || name.split_once('.').and_then(|(_, parent)| names.wildcard.get(parent));
        names.exact.get(&name).or_else(by_wildcard).or(names.fallback.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

/// A certificate from files, with the names it is for.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) names: Vec<String>,
    pub(crate) key: Arc<CertifiedKey>,
}

/// Reads a certificate and its key, and checks that they belong together.
pub(crate) fn load(files: &CertificateFiles) -> Result<Loaded, EdgeError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key)?;
    let names = names_of(&chain[0]).map_err(|why| bad(&files.certificate, why, HINT_CERTIFICATE))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let why = format!("it is not the key of certificate {}", files.certificate.display());
            bad(&files.key, why, "name the key that the certificate was requested with")
        }
        other => bad(&files.key, other.to_string(), HINT_KEY),
    })?;
    Ok(Loaded { names, key: Arc::new(key) })
}

const HINT_CERTIFICATE: &str = "give the full chain as PEM, the server's own certificate first (often `fullchain.pem`)";
const HINT_KEY: &str = "give the private key as PEM without a passphrase (often `privkey.pem`)";

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, EdgeError> {
    let chain = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => Err(bad(file, "there is no certificate in it".to_owned(), HINT_CERTIFICATE)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(bad(file, error.to_string(), HINT_CERTIFICATE)),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, EdgeError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| bad(file, error.to_string(), HINT_KEY))
}

fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| format!("it cannot be read: {error}"))?;
    let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
    if names.is_empty() { Err("it names no host (no DNS subject alternative name)".to_owned()) } else { Ok(names) }
}

fn bad(file: &Path, why: String, hint: &'static str) -> EdgeError {
    EdgeError::Certificate { file: file.to_owned(), why, hint }
}

pub(crate) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// How every core speaks TLS: 1.2 and 1.3, HTTP/2 preferred, tickets that any core can read.
pub(crate) fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// The hosts that need a certificate of the local authority: those that no file covers.
pub(crate) fn uncovered<'a>(hosts: impl Iterator<Item = &'a str>, loaded: &[Loaded]) -> Vec<String> {
    let covers = |one: &Loaded, host: &str| {
        one.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name == host,
        })
    };
    let mut hosts: Vec<String> = hosts.map(str::to_ascii_lowercase).collect();
    hosts.retain(|host| !loaded.iter().any(|one| covers(one, host)));
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Everything TLS, owned by the control plane.
pub(crate) struct Tls {
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) config: Arc<ServerConfig>,
    loaded: Vec<Loaded>,
    authority: Authority,
}

impl Tls {
    /// Loads the files, opens or makes the local authority, and is ready to serve names it does not know yet.
    pub(crate) fn open(files: &[CertificateFiles], authority: Authority) -> Result<Tls, EdgeError> {
        let loaded = files.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let certificates = Arc::new(Certificates::default());
        let config = server_config(Arc::clone(&certificates))
            .map_err(|error| EdgeError::System { doing: "preparing TLS", source: std::io::Error::other(error) })?;
        let tls = Tls { certificates, config: Arc::new(config), loaded, authority };
        tls.cover(std::iter::empty())?;
        Ok(tls)
    }

    /// Makes sure that `hosts` have certificates. Called when routes change, and before the local one expires.
    pub(crate) fn cover<'a>(&self, hosts: impl Iterator<Item = &'a str>) -> Result<(), EdgeError> {
        let leaf = self.authority.certify(&uncovered(hosts, &self.loaded))?;
        self.certificates.replace(&self.loaded, Some(Arc::new(leaf)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
