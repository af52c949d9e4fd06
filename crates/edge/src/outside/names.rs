//! The addresses behind the names of a service outside.

use std::net::SocketAddr;
use std::time::Duration;

use prumo_clock::{Clock, Moment};

use crate::settings::{Address, Place};

/// How long looking up a name may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// After so long at most a name that could not be looked up is looked up again. Each time the addresses of the service's
/// other places wait for it, so it is not soon.
const PAUSE: Duration = Duration::from_secs(10);

/// How far lookups drift apart, in percent, so that they do not all come at once.
const SPREAD_PERCENT: u32 = 10;

/// Addresses of one name that are used: a bound for what a name server may make us hold.
const ADDRESSES_MAX: usize = 64;

/// The addresses of a place, as of the last time that it could be looked up.
#[derive(Default)]
pub(super) struct Addresses {
    place: Option<Place>,
    pub(super) known: Vec<Address>,
    /// When they are to be looked up again.
    due: Due,
    /// Why they could not be looked up the last time.
    pub(super) lost: Option<String>,
}

/// When something is to be done.
#[derive(Clone, Copy, Default)]
enum Due {
    #[default]
    Now,
    At(Moment),
    Never,
}

impl Addresses {
    /// When to come again, if ever.
    pub(super) fn due(&self) -> Option<Moment> {
        match self.due {
            Due::Now => Some(Moment::default()),
            Due::At(due) => Some(due),
            Due::Never => None,
        }
    }

    /// Looks them up the next time, whenever that was due.
    pub(super) fn hurry(&mut self) {
        self.due = Due::Now;
    }

    /// Looks them up, when that is due, and says whether that failed.
    pub(super) async fn refresh(&mut self, place: &Place, every: Duration, clock: &Clock) -> bool {
        if self.place.as_ref() != Some(place) {
            *self = Addresses { place: Some(place.clone()), ..Addresses::default() };
        }
        if self.due().is_none_or(|due| due > clock.now()) {
            return false;
        }
        let found = match place {
            Place::Unix(path) => {
                (self.known, self.due) = (vec![Address::Unix(path.clone())], Due::Never);
                return false;
            }
            Place::Host { host, port, .. } => look_up(host, *port, clock).await,
        };
        let pause = if found.is_ok() { every } else { every.min(PAUSE) };
        self.due = Due::At(clock.now() + clock.jitter(pause, SPREAD_PERCENT));
        match found {
            Ok(known) => (self.known, self.lost) = (known, None),
            Err(why) => self.lost = Some(why),
        }
        self.lost.is_some()
    }
}

async fn look_up(host: &str, port: u16, clock: &Clock) -> Result<Vec<Address>, String> {
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
    Ok(addresses.into_iter().map(Address::Tcp).collect())
}

#[cfg(test)]
mod tests {
    use prumo_clock::Timestamp;

    use super::*;

    /// Goal: a name is looked up again when `resolve` says so, and one that failed sooner, after a pause.
    #[tokio::test]
    async fn failures_pause() {
        const EVERY: Duration = Duration::from_secs(60);
        let (clock, simulation) = Clock::simulated(1, Timestamp::from_millis(0));
        let place = |host: &str| Place::Host { host: host.to_owned(), port: 80, tls: false };
        // No part of a name may be so long, so that nobody is asked about it.
        let (bad, good) = (place(&format!("{}.invalid", "a".repeat(64))), place("127.0.0.1"));
        let mut addresses = Addresses::default();
        assert!(addresses.refresh(&bad, EVERY, &clock).await);
        assert!(!addresses.refresh(&bad, EVERY, &clock).await, "not due");
        assert!(addresses.lost.is_some(), "it is still lost");
        assert!(addresses.due().unwrap() >= clock.now() + PAUSE * 9 / 10);
        simulation.advance(PAUSE * 11 / 10);
        assert!(addresses.refresh(&bad, EVERY, &clock).await);
        assert!(!addresses.refresh(&good, EVERY, &clock).await);
        assert_eq!((addresses.known.len(), &addresses.lost), (1, &None));
        assert!(addresses.due().unwrap() >= clock.now() + EVERY * 9 / 10);
        addresses.hurry();
        assert!(addresses.due().unwrap() <= clock.now());
    }
}
