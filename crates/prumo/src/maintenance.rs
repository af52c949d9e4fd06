//! Which routes are in maintenance: because the file says so, or because a person did, which outlives the process.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use prumo_config::{Config, Route};
use prumo_edge as edge;
use prumo_run::driver::open_regular;
use serde::{Deserialize, Serialize};

use crate::state::write_whole;
use crate::wire;

/// Where it is kept, in the state folder.
const FILE: &str = "maintenance.json";

/// A page is for reading; a larger one has its pictures inside.
const PAGE_BYTES_MAX: u64 = 1024 * 1024;

/// What people put into maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    /// Every route, also those that come later.
    pub all: bool,
    /// These.
    pub routes: BTreeSet<String>,
}

impl Standing {
    /// As it was kept. What cannot be read is nothing, and said so: a site must not stay closed for a broken file.
    pub(crate) fn load(state: &Path) -> Standing {
        let path = state.join(FILE);
        let read = std::fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into));
        read.unwrap_or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "maintenance not known: no route is in it");
            }
            Standing::default()
        })
    }

    /// Keeps it over a restart.
    pub(crate) fn store(&self, state: &Path) -> std::io::Result<()> {
        write_whole(&state.join(FILE), &serde_json::to_vec(self).expect("names are JSON"))
    }

    /// This with the routes named put into maintenance or taken out of it; none named means all.
    pub(crate) fn changed(&self, on: bool, routes: &[String]) -> Standing {
        let mut next = self.clone();
        match (on, routes.is_empty()) {
            (true, true) => next.all = true,
            (true, false) => next.routes.extend(routes.iter().cloned()),
            (false, true) => next = Standing::default(),
            (false, false) => next.routes.retain(|route| !routes.contains(route)),
        }
        next
    }

    /// Whether a route is in maintenance, because of this or because the file says so.
    pub(crate) fn closes(&self, route: &Route) -> bool {
        route.maintenance || self.all || self.routes.contains(&route.name)
    }

    /// What to tell people about it; `None` when there is nothing.
    pub(crate) fn note(&self) -> Option<String> {
        if self.all {
            return Some("the site is in maintenance: `prumo maintenance off` ends it".to_owned());
        }
        let names: Vec<String> = self.routes.iter().map(|route| format!("`{route}`")).collect();
        (!names.is_empty()).then(|| format!("in maintenance: {}; `prumo maintenance off` ends it", names.join(", ")))
    }
}

/// The routes for the edge, those in maintenance marked.
pub(crate) fn routes(config: &Config, base: &Path, standing: &Standing) -> Vec<edge::Route> {
    let mut routes = wire::routes_for_the_edge(config, base);
    let mut maintenance = None;
    for (route, of_file) in routes.iter_mut().zip(&config.routes) {
        if standing.closes(of_file) {
            let maintenance = maintenance.get_or_insert_with(|| {
                let page = config.maintenance.page.as_ref().and_then(|page| read_page(&base.join(page)));
                wire::maintenance_for_the_edge(&config.maintenance, page)
            });
            route.maintenance = Some(maintenance.clone());
        }
    }
    routes
}

/// The site's page. Without it the maintenance goes on with ours.
fn read_page(path: &Path) -> Option<String> {
    let read = || {
        let file = open_regular(path)?;
        if file.metadata()?.len() > PAGE_BYTES_MAX {
            return Err(std::io::Error::other(format!("it has more than {PAGE_BYTES_MAX} bytes")));
        }
        std::io::read_to_string(file)
    };
    read().inspect_err(|error| tracing::warn!(page = %path.display(), %error, "maintenance page not used")).ok()
}

#[cfg(test)]
mod tests;
