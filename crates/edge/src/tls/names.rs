//! Which certificate answers to which name. Immutable, replaced as a whole, read by every core without a lock.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::pair::Pair;

/// The names as they are now, for the handshakes of all cores.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    names: ArcSwap<Names>,
}

impl Certificates {
    pub(crate) fn replace(&self, names: Arc<Names>) {
        self.names.store(names);
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.load().find(hello.server_name(), hello.signature_schemes()).cloned()
    }
}

/// Certificates by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exact: HashMap<String, Choices>,
    /// Keyed by what follows `*.`, which stands for one label.
    wildcard: HashMap<String, Choices>,
    /// For names that no file covers, and clients that name none.
    fallback: Option<Arc<CertifiedKey>>,
}

/// The certificates for one name, in the order in which they are offered.
type Choices = Vec<Arc<CertifiedKey>>;

impl Names {
    /// The certificates from files, in the order of the file, and the local authority's for the rest.
    pub(crate) fn new<'a>(pairs: impl Iterator<Item = &'a Pair>, fallback: Option<Arc<CertifiedKey>>) -> Names {
        let mut names = Names { fallback, ..Names::default() };
        for pair in pairs {
            for name in &pair.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.wildcard, parent),
                    None => (&mut names.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&pair.key));
            }
            names.fallback.get_or_insert_with(|| Arc::clone(&pair.key));
        }
        for choices in names.exact.values_mut().chain(names.wildcard.values_mut()) {
            // Stable, so that of two of a kind the one written first in the file serves.
            choices.sort_by_key(|key| rank(key));
        }
        names
    }

    /// The certificate for `name`: an exact name's before a wildcard's, and of those the first that a client with these
    /// signature schemes can verify.
    pub(crate) fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else { return self.fallback.as_ref() };
        let name = lower(name);
        let mut choices = self.choices(&name).peekable();
        // With none that fits, the handshake fails and says why.
        let first = choices.peek().copied();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        choices.find(fits).or(first).or(self.fallback.as_ref())
    }

    /// The certificate from a file for `name` that is offered first.
    pub(crate) fn first(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.choices(&lower(name)).next()
    }

    /// Whether a certificate from a file is for `name`.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Whether `name` is a host of the world with a certificate that the world can verify: one that may be told to speak
    /// TLS only. Never this machine, whose other programs would be told so too.
    pub(crate) fn is_public(&self, name: &str) -> bool {
        let is_local = name == "localhost" || name.ends_with(".localhost");
        !is_local && self.covers(name)
    }

    fn choices(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let by_wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        self.exact.get(name).into_iter().chain(by_wildcard).flatten()
    }
}

/// A handshake with an ECDSA key costs the server a tenth of one with RSA; Ed25519 is known to few clients, which say so.
fn rank(key: &CertifiedKey) -> u8 {
    match key.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

#[cfg(test)]
pub(crate) mod tests;
