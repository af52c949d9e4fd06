use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prumo_drain::Drain;

use super::*;
use crate::Edge;
use crate::settings::Port;

fn edge(drain: &Drain, folder: &std::path::Path) -> Edge {
    let mut settings = Settings::new(folder.join("certs"));
    settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
    (settings.http, settings.https, settings.cores) = (Port::Number(0), Port::Off, Some(2));
    let edge = Edge::start(settings, Clock::system(), &drain.stage("edge")).unwrap();
    edge.routes(Vec::new()).unwrap();
    edge
}

/// Fails with the core's thread.
pub(super) const PANICS: u8 = 1;
/// Fails each time that it is to sweep.
pub(super) const NO_SWEEP: u8 = 2;
/// Its listeners are shut down.
const DEAF: u8 = 3;

async fn check_missed(how: u8) {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new(Clock::system()));
    let edge = edge(&drain, folder.path());
    let sockets = edge.sockets().unwrap();
    assert_eq!(sockets.len(), 2, "one for each core");
    edge.fail_core(1, how);
    if how == DEAF {
        socket2::SockRef::from(&sockets[1].descriptor).shutdown(std::net::Shutdown::Both).unwrap();
    }
    Clock::system().timeout(Duration::from_secs(60), edge.core_lost()).await.unwrap();
    assert!(edge.sockets().unwrap().is_empty());
    assert_eq!(edge.report().cores_living, 1);
    drain.stop(Duration::from_secs(60)).await;
}

/// Goal: a core that panics outside of a request is missed at once, and its sockets are handed to nobody.
#[tokio::test]
async fn a_core_that_panics_is_missed() {
    check_missed(PANICS).await;
}

/// Goal: a core that keeps its panics to itself, and can keep no deadline for them, is missed.
#[tokio::test]
async fn a_core_that_keeps_no_deadline_is_missed() {
    check_missed(NO_SWEEP).await;
}

/// Goal: a core whose listening socket was shut down is missed.
#[tokio::test]
async fn a_core_that_hears_nobody_is_missed() {
    check_missed(DEAF).await;
}

/// Goal: a core that was asked to stop is not missed.
#[tokio::test]
async fn a_core_that_stops_is_not_missed() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new(Clock::system()));
    let edge = edge(&drain, folder.path());
    assert!(drain.stop(Duration::from_secs(60)).await.is_clean());
    assert_eq!(edge.report().cores_living, 0);
    let lost = pin!(edge.core_lost()).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(lost, Poll::Pending);
}
