//! Whether a request came the way its host wants: over TLS, by a handshake that was the host's own. Pure.

use std::fmt::Write as _;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;

use crate::client::Client;
use crate::forwarded;
use crate::respond::Refusal;
use crate::settings::RedirectHttps;
use crate::tls::{FINGERPRINT, Introduction, Names, Rules, SUBJECT, Shown};

/// Where a certificate authority looks for the proof that a name is ours: it comes in clear text, to a host that may
/// have no certificate yet (RFC 8555, 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// What is known about hosts and TLS, as of one table.
#[derive(Debug, Default)]
pub(crate) struct Secure {
    pub(crate) names: Arc<Names>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) redirect: Option<Redirect>,
}

/// How requests in clear text are sent to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) all: bool,
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
}

impl Redirect {
    pub(crate) fn new(wanted: RedirectHttps, http_port: Option<u16>, https_port: Option<u16>) -> Option<Redirect> {
        let all = match wanted {
            RedirectHttps::Off => return None,
            RedirectHttps::Auto => false,
            RedirectHttps::On => true,
        };
        // Without both listeners there is nobody to send, or nowhere.
        Some(Redirect { all, http_port: http_port?, https_port: https_port? })
    }
}

/// What follows from the way a request came.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Its answer may tell browsers to come over TLS only.
    pub(crate) tls_only: bool,
    /// Where it is to come again, when it was refused for that.
    pub(crate) location: Option<HeaderValue>,
    /// The certificate that the client has shown to this host.
    shown: Option<Shown>,
}

impl Terms {
    /// Of a request that was let in without a certificate.
    pub(crate) fn plain(tls_only: bool) -> Terms {
        Terms { tls_only, ..Terms::default() }
    }

    /// Tells the app whose certificate was verified; what the client says about that itself has been removed.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(shown) = &self.shown {
            headers.insert(SUBJECT, shown.subject.clone());
            headers.insert(FINGERPRINT, shown.fingerprint.clone());
        }
    }
}

/// How a request came.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) tls: bool,
    /// A trusted proxy in front of us says that its client used TLS.
    pub(crate) tls_before: bool,
    pub(crate) introduction: Option<&'a Introduction>,
}

impl Secure {
    /// Settles the terms of a request, or refuses it. `host` is the normalised form of `authority`.
    pub(crate) fn settle(
        &self,
        terms: &mut Terms,
        client: &Client,
        parts: &Parts,
        authority: &HeaderValue,
        host: &str,
    ) -> Result<(), Refusal> {
        let tls_before = client.facts.trusted && forwarded::is_https(&parts.headers);
        let way = Way { tls: client.tls, tls_before, introduction: client.introduction.get() };
        // Never for a host that has nothing but the local authority's certificate: development on it would stop
        // working, and not only with us.
        terms.tls_only = client.tls && self.names.is_public(host);
        let admitted = self.admit(host, parts.uri.path(), way);
        if admitted == Err(Refusal::HTTPS) {
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            terms.location = self.location(host, authority.to_str().unwrap_or(host), path);
        }
        terms.shown = admitted?.cloned();
        Ok(())
    }

    /// Lets a request pass, with what its app is to be told about the client's certificate.
    pub(crate) fn admit<'a>(&self, host: &str, path: &str, way: Way<'a>) -> Result<Option<&'a Shown>, Refusal> {
        if !way.tls && !way.tls_before && self.redirects(host, path) {
            return Err(Refusal::HTTPS);
        }
        if self.rules.is_empty() { Ok(None) } else { self.rules.admit(host, way.introduction) }
    }

    fn redirects(&self, host: &str, path: &str) -> bool {
        self.redirect
            .is_some_and(|redirect| (redirect.all || self.names.is_public(host)) && !path.starts_with(CHALLENGES))
    }

    /// The same page over TLS: path and query byte for byte.
    pub(crate) fn location(&self, host: &str, authority: &str, path_and_query: &str) -> Option<HeaderValue> {
        let redirect = self.redirect?;
        let mut url = format!("https://{host}");
        if let Some(port) = redirect.port_for(&authority[authority.len().min(host.len())..]) {
            // Writing to a string cannot fail.
            let _ = write!(url, ":{port}");
        }
        url.push_str(if path_and_query.starts_with('/') { path_and_query } else { "/" });
        HeaderValue::from_str(&url).ok()
    }
}

impl Redirect {
    /// The port to name for a client that wrote `after_host` behind the host, such as `:8080`.
    fn port_for(self, after_host: &str) -> Option<u16> {
        let written = after_host.rsplit_once(':').map_or("", |(_, port)| port);
        let came_to_usual = matches!(written, "" | "80");
        // Who came to port 80 while we listen on another came through something that maps ports, and that maps 443 too.
        let is_mapped = came_to_usual && self.http_port != 80;
        (!is_mapped && self.https_port != 443).then_some(self.https_port)
    }
}

#[cfg(test)]
mod tests;
