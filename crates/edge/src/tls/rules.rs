//! Who must show a certificate of their own, by host.
//!
//! Which rule counts is decided twice: by the name in the handshake, which chooses whose certificates are asked for, and
//! by the host of each request. Only where both say the same is the request the host's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::names::Certificates;
use super::pair::{self, Mark};
use super::store::Store;
use super::{provider, x509};
use crate::error::EdgeError;
use crate::respond::Refusal;
use crate::settings::{ClientCertificates, ShowCertificate};

/// The verified certificate's subject, as RFC 4514 writes it.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("x-client-certificate-subject");
/// The SHA-256 of the whole certificate, in hexadecimal.
pub(crate) const FINGERPRINT: HeaderName = HeaderName::from_static("x-client-certificate-fingerprint");

/// What a host asks of its clients, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Rule {
    settings: ClientCertificates,
    config: Arc<ServerConfig>,
}

impl Rule {
    /// The rule that these settings name, with the files of those.
    fn open(
        settings: &ClientCertificates,
        files: &ClientCertificates,
        certificates: &Arc<Certificates>,
    ) -> Result<Rule, EdgeError> {
        let verifier = verifier(files)?;
        // Without tickets: each connection shows its certificate, so that an authority that is taken away counts at once.
        let config = super::server_config(Arc::clone(certificates), verifier)
            .map_err(|error| EdgeError::System { doing: "preparing TLS", source: std::io::Error::other(error) })?;
        Ok(Rule { settings: settings.clone(), config: Arc::new(config) })
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// A rule in use, with an eye on its files: the last good ones are kept, whatever happens to them.
pub(crate) struct KeptRule {
    pub(crate) rule: Arc<Rule>,
    /// Why the files as they are now do not serve.
    pub(crate) trouble: Option<String>,
    seen: Vec<Mark>,
}

impl KeptRule {
    /// What the files hold, or what they held when they could last serve.
    pub(crate) fn open(
        settings: &ClientCertificates,
        certificates: &Arc<Certificates>,
        store: &Store,
    ) -> Result<KeptRule, EdgeError> {
        // Looked at before they are read: what changes in between is seen the next time.
        let seen = pair::marks_of(files_of(settings));
        let (rule, trouble) = match Rule::open(settings, settings, certificates) {
            Ok(rule) => {
                store.keep_rule(settings);
                (rule, None)
            }
            Err(error) => {
                let Some(kept) = store.find_rule(settings) else { return Err(error) };
                let host = host_of(settings);
                tracing::error!(host, why = %error, "authorities of client certificates cannot serve: the last good ones do");
                (Rule::open(settings, &kept, certificates)?, Some(error.to_string()))
            }
        };
        Ok(KeptRule { rule: Arc::new(rule), trouble, seen })
    }

    pub(crate) fn settings(&self) -> &ClientCertificates {
        &self.rule.settings
    }

    /// Takes what is in the files now if they have changed and it can serve. True when it was taken.
    pub(crate) fn look(&mut self, certificates: &Arc<Certificates>, store: &Store) -> bool {
        let marks = pair::marks_of(files_of(self.settings()));
        if marks == self.seen {
            return false;
        }
        self.seen = marks;
        let host = host_of(self.settings()).to_owned();
        match Rule::open(self.settings(), self.settings(), certificates) {
            Ok(rule) => {
                (self.rule, self.trouble) = (Arc::new(rule), None);
                store.keep_rule(self.settings());
                tracing::info!(host, "authorities of client certificates, or what they have revoked, replaced");
                true
            }
            Err(error) => {
                tracing::warn!(host, %error, "authorities of client certificates changed and cannot serve: the last good ones do");
                self.trouble = Some(error.to_string());
                false
            }
        }
    }
}

fn host_of(settings: &ClientCertificates) -> &str {
    settings.host.as_deref().unwrap_or("any host")
}

pub(super) fn files_of(settings: &ClientCertificates) -> impl Iterator<Item = &PathBuf> {
    settings.authorities.iter().chain(&settings.revoked)
}

fn read_revoked(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, EdgeError> {
    const HINT: &str = "give the authority's list of revoked certificates as PEM (`openssl crl -inform DER -in LIST`)";
    let lists = pair::text_of(file)
        .and_then(|text| CertificateRevocationListDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>());
    let lists = lists.map_err(|error| pair::unreadable(file, &error, HINT))?;
    if lists.is_empty() {
        return Err(pair::bad(file, "there is no list of revoked certificates in it".to_owned(), HINT));
    }
    // One that cannot be read would be found out only by the first client.
    for list in &lists {
        let read = webpki::BorrowedCertRevocationList::from_der(list);
        read.map_err(|error| pair::bad(file, format!("it cannot be read: {error}"), HINT))?;
    }
    Ok(lists)
}

pub(super) fn verifier(settings: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, EdgeError> {
    const HINT: &str = "give the certificates of the authorities that sign your clients' certificates, as PEM";
    let mut roots = RootCertStore::empty();
    for file in &settings.authorities {
        for authority in pair::read_chain(file)? {
            roots.add(authority).map_err(|error| pair::bad(file, error.to_string(), HINT))?;
        }
    }
    let mut revoked = Vec::new();
    for file in &settings.revoked {
        revoked.extend(read_revoked(file)?);
    }
    // With lists, an authority without one is unknown, and unknown is refused. Without lists nothing is looked up.
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider())).with_crls(revoked);
    let builder = match settings.show {
        ShowCertificate::Required => builder,
        ShowCertificate::Optional => builder.allow_unauthenticated(),
    };
    let first = settings.authorities.first().cloned().unwrap_or_default();
    builder.build().map_err(|error| pair::bad(&first, error.to_string(), HINT))
}

/// The rules of all hosts. Immutable, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    exact: HashMap<String, Arc<Rule>>,
    /// Keyed by what follows `*.`, which stands for one label or more, as it does in a route.
    wildcard: HashMap<String, Arc<Rule>>,
    any: Option<Arc<Rule>>,
}

impl Rules {
    pub(crate) fn new(rules: &[KeptRule]) -> Rules {
        let mut all = Rules::default();
        for kept in rules {
            let rule = Arc::clone(&kept.rule);
            match rule.settings.host.as_deref().map(str::to_ascii_lowercase) {
                None => drop(all.any.get_or_insert(rule)),
                Some(host) => match host.strip_prefix("*.") {
                    Some(parent) => drop(all.wildcard.entry(parent.to_owned()).or_insert(rule)),
                    None => drop(all.exact.entry(host).or_insert(rule)),
                },
            }
        }
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.any.is_none()
    }

    /// The rule for a host, or for a client that names none.
    pub(crate) fn find(&self, host: Option<&str>) -> Option<&Arc<Rule>> {
        let host = host.unwrap_or("");
        self.exact.get(host).or_else(|| self.find_wildcard(host)).or(self.any.as_ref())
    }

    fn find_wildcard(&self, host: &str) -> Option<&Arc<Rule>> {
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(parent) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }

    /// Whether a request for `host` may pass on a connection with this introduction, and what the app is to be told.
    pub(crate) fn admit<'a>(
        &self,
        host: &str,
        introduction: Option<&'a Introduction>,
    ) -> Result<Option<&'a Shown>, Refusal> {
        let Some(rule) = self.find(Some(host)) else { return Ok(None) };
        match introduction {
            Some(Introduction { rule: Some(own), shown }) if Arc::ptr_eq(own, rule) => Ok(shown.as_ref()),
            None if rule.settings.show == ShowCertificate::Optional => Ok(None),
            // Another host's handshake, or a rule that has been replaced since: the client may shake hands anew.
            _ => Err(Refusal::MISDIRECTED),
        }
    }
}

/// What a TLS handshake has told about the client.
pub(crate) struct Introduction {
    /// The rule by which it was asked for a certificate.
    pub(crate) rule: Option<Arc<Rule>>,
    /// The certificate, verified.
    pub(crate) shown: Option<Shown>,
}

/// A client's verified certificate, in the words for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) subject: HeaderValue,
    pub(crate) fingerprint: HeaderValue,
}

impl Shown {
    /// `None` for a certificate that the verifier took and we cannot read: nobody is better than somebody else.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Shown> {
        let facts = x509::read(certificate)?;
        let fingerprint = x509::hexadecimal(&Sha256::digest(certificate));
        Some(Shown {
            subject: HeaderValue::from_str(&facts.subject).ok()?,
            fingerprint: HeaderValue::from_str(&fingerprint).ok()?,
        })
    }
}

/// Whether a header is one that only a verified certificate may set. The names of RFC 9440 are guarded with ours,
/// because apps made for other proxies believe them.
pub(crate) fn is_about_certificate(name: &str) -> bool {
    name.starts_with("x-client-certificate-") || matches!(name, "client-cert" | "client-cert-chain")
}

#[cfg(test)]
mod tests;
