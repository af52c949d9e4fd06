//! The addresses behind the names of a service outside.

use std::net::SocketAddr;
use std::time::Duration;

use prumo_clock::{Clock, Moment};

use crate::settings::{Address, Place};

/// How long looking up a name may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Addresses of one name that are used: a bound for what a name server may make us hold.
const ADDRESSES_MAX: usize = 64;

/// The addresses of a place, as of the last time that it could be looked up.
#[derive(Default)]
pub(super) struct Addresses {
    place: Option<Place>,
    pub(super) known: Vec<Address>,
    looked: Option<Moment>,
}

impl Addresses {
    /// Looks them up, when that is due.
    pub(super) async fn refresh(&mut self, place: &Place, every: Duration, clock: &Clock) -> Result<(), String> {
        if self.place.as_ref() != Some(place) {
            *self = Addresses { place: Some(place.clone()), ..Addresses::default() };
        }
        let now = clock.now();
        if self.looked.is_some_and(|looked| now.since(looked) < every) {
            return Ok(());
        }
        let (host, port) = match place {
            Place::Unix(path) => {
                self.known = vec![Address::Unix(path.clone())];
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
        self.known = addresses.into_iter().map(Address::Tcp).collect();
        self.looked = Some(now);
        Ok(())
    }
}
