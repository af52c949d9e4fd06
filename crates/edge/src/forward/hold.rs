//! A request that comes while its route is in maintenance: it waits for the end of it, or is told to come again.

use std::rc::Rc;

use http::request::Parts;
use prumo_clock::Moment;

use super::{Found, find_again};
use crate::admit;
use crate::client::Client;
use crate::core::Core;
use crate::respond::Refusal;
use crate::settings::Maintenance;
use crate::table::RouteView;

/// Requests that one core holds. Each keeps its connection and its head in memory, and when all go on at once the
/// service has to bear them.
const HELD_MAX: usize = 512;

/// The route for a request, once it is not in maintenance. With the refusal comes the route that refuses, for its page.
pub(super) async fn hold(
    core: &Rc<Core>,
    client: &Client,
    parts: &Parts,
    found: Found,
    started: Moment,
) -> Result<Found, (Refusal, Rc<RouteView>)> {
    let (authority, mut route) = found;
    let mut held = None;
    while let Some(maintenance) = &route.route.maintenance {
        if is_excepted(maintenance, core, client, parts) {
            break;
        }
        let left = (started + maintenance.hold).since(core.clock.now());
        if held.is_none() && !left.is_zero() {
            held = Held::begin(core);
        }
        if left.is_zero() || held.is_none() || core.stopping.is_stopping() {
            return Err((Refusal::maintenance(maintenance.retry_after), route));
        }
        // Elapsed, changed or stopping: look again in any case.
        tokio::select! {
            _ = core.clock.timeout(left, core.view_changed.notified()) => {}
            () = core.stopping.wait() => {}
        }
        route = find_again(core, client, parts, &authority).map_err(|refusal| (refusal, Rc::clone(&route)))?;
    }
    Ok((authority, route))
}

fn is_excepted(maintenance: &Maintenance, core: &Core, client: &Client, parts: &Parts) -> bool {
    let trusted = &core.settings().trusted_proxies;
    !maintenance.except.is_empty()
        && admit::client_address(client.ip, &parts.headers, trusted)
            .is_some_and(|address| maintenance.except.iter().any(|network| network.contains(address)))
}

/// A request that is held, counted so that not all of them can be.
struct Held<'a>(&'a Core);

impl Held<'_> {
    fn begin(core: &Core) -> Option<Held<'_>> {
        if core.held.get() >= HELD_MAX {
            return None;
        }
        core.held.set(core.held.get() + 1);
        Some(Held(core))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
    }
}
