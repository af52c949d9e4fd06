//! The certificates of a running edge: replaced when the site's file says so, and when their own files change.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};

use prumo_clock::Clock;
use prumo_drain::Stage;

use super::{Edge, Registry, starting};
use crate::authority::Authority;
use crate::error::EdgeError;
use crate::secure::{Redirect, Secure};
use crate::settings::{Bound, CertificateFiles, ClientCertificates, Port, Route, Settings};
use crate::table::Table;
use crate::tls::{self, CertificateState, Store, Tls};

pub(super) fn open(settings: &Settings, clock: Clock) -> Result<Option<Tls>, EdgeError> {
    if settings.https == Port::Off {
        return Ok(None);
    }
    let authority = Authority::open(&settings.certs_folder, clock.clone())?;
    let store = Store::at(settings.certs_folder.join("kept"));
    Tls::open(&settings.certificates, &settings.client_certificates, authority, store, clock).map(Some)
}

impl Edge {
    /// The same as [`Edge::routes`], with other certificates: serves these, and asks clients for those, from now on. What
    /// is known already stays as it is; of what is new all must be good, or nothing changes. Routes and rules about
    /// clients change in the same instant, so that no route is open for a moment between the two.
    pub fn reload(
        &self,
        certificates: &[CertificateFiles],
        client_certificates: &[ClientCertificates],
        routes: Vec<Route>,
    ) -> Result<u64, EdgeError> {
        let mut registry = self.registry();
        let index = self.prepare(&routes)?;
        match (self.tls(), client_certificates) {
            (Some(mut tls), _) => tls.replace(certificates, client_certificates, hosts(&routes))?,
            (None, []) => {}
            (None, [first, ..]) => return Err(no_tls(first)),
        }
        Ok(self.serve(&mut registry, index, routes))
    }

    /// How the certificates from files are.
    pub fn certificate_states(&self) -> Vec<CertificateState> {
        self.tls().map(|tls| tls.states()).unwrap_or_default()
    }

    /// Hosts whose clients are asked for certificates (none for any host), each with the reason why its files are not used
    /// as they are now, so that the last good ones serve.
    pub fn client_certificate_states(&self) -> Vec<(Option<String>, Option<String>)> {
        self.tls().map(|tls| tls.asking()).unwrap_or_default()
    }

    /// Takes renewed certificate files and keeps the local certificate young, on a thread that mostly sleeps: reading
    /// and making certificates is work no core should do.
    pub(super) fn keep_certificates(&self, clock: Clock, stage: &Stage) -> Result<(), EdgeError> {
        if self.inner.tls.is_none() {
            return Ok(());
        }
        let edge = self.clone();
        let stopping = stage.stopping();
        let look = async move {
            let mut stopped = std::pin::pin!(stopping.wait());
            loop {
                tokio::select! {
                    () = clock.sleep(tls::LOOK_EVERY) => edge.look_at_certificates(),
                    () = &mut stopped => return,
                }
            }
        };
        stage.thread("certificates", move || run_alone(look)).map_err(starting("starting a thread"))
    }

    fn look_at_certificates(&self) {
        let changed = self.tls().is_some_and(|mut tls| tls.look());
        if changed && let Err(error) = self.publish_certificates(&self.registry()) {
            tracing::error!(%error, "hosts that no file covers any more have no certificate");
        }
    }

    /// Tells the cores what is known about hosts now; makes a certificate for those that no file covers.
    fn publish_certificates(&self, _one_change_at_a_time: &MutexGuard<'_, Registry>) -> Result<(), EdgeError> {
        let before = self.inner.shared.table.load_full();
        let hosts = before.routes.iter().filter_map(|known| known.route.host.as_deref());
        let covered = self.tls().map_or(Ok(()), |mut tls| tls.cover(hosts));
        // Before the first table nothing is served, and the first one will know.
        if before.generation > 0 {
            let (index, routes) = (Arc::clone(&before.index), Arc::clone(&before.routes));
            let (services, traffic) = (Arc::clone(&before.services), Arc::clone(&before.traffic));
            self.publish(Table { generation: 0, index, routes, services, traffic, secure: self.secure() });
        }
        covered
    }

    pub(super) fn secure(&self) -> Arc<Secure> {
        let (names, rules) = self.tls().map(|tls| tls.hosts()).unwrap_or_default();
        let port = |bound: &[SocketAddr]| bound.first().map(SocketAddr::port);
        let Bound { http, https, .. } = &self.inner.bound;
        let redirect = Redirect::new(self.inner.shared.settings.redirect_https, port(http), port(https));
        Arc::new(Secure { names, rules, redirect })
    }

    pub(super) fn tls(&self) -> Option<MutexGuard<'_, Tls>> {
        // What a panicking look left is whole: it is made beside and put in place.
        self.inner.tls.as_ref().map(|tls| tls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn hosts(routes: &[Route]) -> impl Iterator<Item = &str> {
    routes.iter().filter_map(|route| route.host.as_deref())
}

/// A rule that cannot be kept must not be taken for one that is.
fn no_tls(rule: &ClientCertificates) -> EdgeError {
    let why = "clients show certificates over HTTPS, which is off in the process that runs";
    let file = rule.authorities.first().cloned().unwrap_or_default();
    EdgeError::Certificate { file, why: why.to_owned(), hint: "turn HTTPS on and start prumo again" }
}

fn run_alone(work: impl Future<Output = ()>) {
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => tracing::error!(%error, "certificates are not renewed"),
    }
}
