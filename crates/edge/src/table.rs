//! What all cores are told, and what one core makes of it.
//!
//! The control plane builds an immutable [`Table`] with a new generation and publishes it; each core takes it into
//! its own [`View`] and then says so. Requests look only at their core's view.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use crate::metrics::{RouteCells, UpstreamCells};
use crate::respond::AnswerHeaders;
use crate::route::RouteIndex;
use crate::settings::{Route, Upstream as UpstreamSettings};
use crate::upstream::{Service, Upstream};

/// Routes and upstreams, as of one generation.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) generation: u64,
    pub(crate) index: Arc<RouteIndex>,
    pub(crate) routes: Arc<[TableRoute]>,
    pub(crate) services: Arc<BTreeMap<String, Vec<TableUpstream>>>,
}

#[derive(Clone)]
pub(crate) struct TableRoute {
    pub(crate) route: Arc<Route>,
    pub(crate) cells: Arc<RouteCells>,
}

#[derive(Clone)]
pub(crate) struct TableUpstream {
    pub(crate) settings: UpstreamSettings,
    pub(crate) cells: Arc<UpstreamCells>,
}

/// A route, as one core knows it.
pub(crate) struct RouteView {
    pub(crate) route: Arc<Route>,
    pub(crate) cells: Arc<RouteCells>,
    pub(crate) service: Rc<Service>,
    /// What its answers carry, with values that only this core counts references to.
    pub(crate) answer: AnswerHeaders,
}

/// One core's routes and services.
#[derive(Default)]
pub(crate) struct View {
    index: RefCell<Arc<RouteIndex>>,
    routes: RefCell<Vec<Rc<RouteView>>>,
    services: RefCell<HashMap<String, Rc<Service>>>,
}

impl View {
    /// The route for `host` (normalised) and `path`.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Rc<RouteView>> {
        let number = self.index.borrow().find(host, path)?;
        self.routes.borrow().get(number).cloned()
    }

    /// Makes the view what the table says. Upstreams that stay keep their connections; those that go are closed when
    /// idle, and when their last answer has ended.
    pub(crate) fn take(&self, table: &Table, core: usize) {
        let mut services = self.services.borrow_mut();
        services.retain(|name, service| {
            let stays =
                table.services.contains_key(name) || table.routes.iter().any(|known| &known.route.service == name);
            if !stays {
                service.replace(Vec::new());
            }
            stays
        });
        for known in table.routes.iter() {
            services.entry(known.route.service.clone()).or_insert_with(|| Rc::new(Service::new(core)));
        }
        for (name, service) in services.iter() {
            let wanted = table.services.get(name).map_or(&[][..], Vec::as_slice);
            service.replace(wanted.iter().map(|wanted| keep_or_make(service, wanted, core)).collect());
        }
        self.routes.replace(table.routes.iter().map(|known| Rc::new(view_of(known, &services))).collect());
        self.index.replace(Arc::clone(&table.index));
    }

    pub(crate) fn sweep(&self, now: prumo_clock::Moment) {
        for service in self.services.borrow().values() {
            service.sweep(now);
        }
    }
}

fn view_of(known: &TableRoute, services: &HashMap<String, Rc<Service>>) -> RouteView {
    let service = services.get(&known.route.service).cloned().unwrap_or_else(|| Rc::new(Service::new(0)));
    let answer = AnswerHeaders::new(&known.route.answer_headers);
    RouteView { route: Arc::clone(&known.route), cells: Arc::clone(&known.cells), service, answer }
}

fn keep_or_make(service: &Service, wanted: &TableUpstream, core: usize) -> Rc<Upstream> {
    let is_same = |known: &&Rc<Upstream>| known.id == wanted.settings.id && known.address == wanted.settings.address;
    let kept = service.upstreams().iter().find(is_same).cloned();
    kept.unwrap_or_else(|| {
        let UpstreamSettings { id, address } = wanted.settings.clone();
        Rc::new(Upstream::new(id, address, Arc::clone(&wanted.cells), core))
    })
}
