//! What all cores are told, and what one core makes of it.
//!
//! The control plane builds an immutable [`Table`] with a new generation and publishes it; each core takes it into
//! its own [`View`] and then says so. Requests look only at their core's view.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use prumo_clock::Moment;

use crate::fast;
use crate::files::{Folder, Shelf};
use crate::metrics::{RouteCells, ServiceCells, UpstreamCells};
use crate::respond::{AnswerHeaders, Refusal};
use crate::route::{Question, Readings, Rewriting, RouteIndex, other_readings};
use crate::secure::Secure;
use crate::settings::{Access, Action, Route, Traffic, Upstream as UpstreamSettings};
use crate::upstream::{Service, Upstream};

/// Routes and upstreams, as of one generation.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) generation: u64,
    pub(crate) index: Arc<RouteIndex>,
    pub(crate) routes: Arc<[TableRoute]>,
    pub(crate) services: Arc<BTreeMap<String, Vec<TableUpstream>>>,
    pub(crate) traffic: Arc<BTreeMap<String, TableTraffic>>,
    pub(crate) secure: Arc<Secure>,
}

#[derive(Clone)]
pub(crate) struct TableTraffic {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) cells: Arc<ServiceCells>,
}

#[derive(Clone)]
pub(crate) struct TableRoute {
    pub(crate) route: Arc<Route>,
    /// One for each service of the route, in its order; a single one without a service's name if it has none.
    pub(crate) cells: Vec<Arc<RouteCells>>,
}

#[derive(Clone)]
pub(crate) struct TableUpstream {
    pub(crate) settings: UpstreamSettings,
    pub(crate) cells: Arc<UpstreamCells>,
}

/// A route and, where it forwards, one of its services, as one core knows them.
pub(crate) struct RouteView {
    pub(crate) route: Arc<Route>,
    pub(crate) cells: Arc<RouteCells>,
    pub(crate) service: Rc<Service>,
    /// Who is sent copies of its requests.
    pub(crate) mirror: Option<Rc<Service>>,
    /// Where its files are, if it answers with files.
    pub(crate) folder: Option<Rc<Folder>>,
    /// What it makes of the path, if anything.
    pub(crate) rewriting: Option<Rewriting>,
    /// What its answers carry, with values that only this core counts references to.
    pub(crate) answer: AnswerHeaders,
    /// The fast path knows all that it asks for.
    is_plain: bool,
}

/// The services of one route, and how many requests chose among them.
struct Choices {
    views: Vec<Rc<RouteView>>,
    turn: Cell<u64>,
}

impl Choices {
    /// Whom the route admits.
    fn access(&self) -> Option<&[Access]> {
        self.views.first().map(|view| view.route.access.as_slice())
    }

    /// Whose turn it is; it stays so until it is counted.
    fn look(&self) -> Option<Rc<RouteView>> {
        let first = self.views.first()?;
        if self.views.len() == 1 {
            return Some(Rc::clone(first));
        }
        match &first.route.action {
            Action::Forward(forward) => self.views.get(forward.choose(self.turn.get())).cloned(),
            Action::Files(_) | Action::Redirect(_) | Action::Answer(_) => Some(Rc::clone(first)),
        }
    }

    fn count_turn(&self) {
        self.turn.set(self.turn.get().wrapping_add(1));
    }

    fn next(&self) -> Option<Rc<RouteView>> {
        let view = self.look()?;
        self.count_turn();
        Some(view)
    }
}

/// One core's routes and services.
pub(crate) struct View {
    /// Not all routes admit the same clients.
    is_guarded: Cell<bool>,
    shelf: Shelf,
    index: RefCell<Arc<RouteIndex>>,
    routes: RefCell<Vec<Choices>>,
    /// What those were made from.
    made_from: RefCell<Arc<[TableRoute]>>,
    services: RefCell<HashMap<String, Rc<Service>>>,
    secure: RefCell<Arc<Secure>>,
}

impl View {
    pub(crate) fn new(shelf: Shelf) -> View {
        View {
            is_guarded: Cell::new(false),
            shelf,
            index: RefCell::default(),
            routes: RefCell::default(),
            made_from: RefCell::default(),
            services: RefCell::default(),
            secure: RefCell::default(),
        }
    }

    /// The route for a request, and the service whose turn it is.
    pub(crate) fn find(&self, question: &Question<'_>) -> Result<Rc<RouteView>, Refusal> {
        let number = self.index.borrow().find(question).ok_or(Refusal::NO_ROUTE)?;
        if self.has_other_rules(number, question) {
            return Err(Refusal::AMBIGUOUS);
        }
        self.routes.borrow().get(number).and_then(Choices::next).ok_or(Refusal::NO_ROUTE)
    }

    /// Whether an app could read the path as one whose route admits other clients than the one that was found.
    fn has_other_rules(&self, number: usize, question: &Question<'_>) -> bool {
        if !self.is_guarded.get() {
            return false;
        }
        let Readings::Known(readings) = other_readings(question.path) else { return true };
        let (index, routes) = (self.index.borrow(), self.routes.borrow());
        let access_of = |number: usize| routes.get(number).and_then(Choices::access);
        let differs = |path: &String| {
            let other = index.find(&Question { path, ..*question });
            other.is_some_and(|other| access_of(other) != access_of(number))
        };
        readings.iter().any(differs)
    }

    /// What is known about hosts and TLS.
    pub(crate) fn secure(&self) -> Ref<'_, Arc<Secure>> {
        self.secure.borrow()
    }

    /// The same with the route's number, but only a route that is plain, and none of whose upstreams needs more than
    /// HTTP/1.1. Whoever takes it counts its turn; whoever leaves it to the general path does not.
    pub(crate) fn find_plain(&self, question: &Question<'_>) -> Option<(usize, Rc<RouteView>)> {
        let number = self.index.borrow().find(question)?;
        if self.has_other_rules(number, question) {
            return None;
        }
        let routes = self.routes.borrow();
        let choices = routes.get(number)?;
        let is_plain = choices.views.iter().all(|view| view.is_plain && view.service.is_plain());
        if is_plain { Some((number, choices.look()?)) } else { None }
    }

    /// The service that a request has found on this route takes it.
    pub(crate) fn count_turn(&self, number: usize) {
        if let Some(choices) = self.routes.borrow().get(number) {
            choices.count_turn();
        }
    }

    /// Whether it matters to any request which headers it has.
    pub(crate) fn asks_headers(&self) -> bool {
        self.index.borrow().asks_headers()
    }

    /// Makes the view what the table says. Upstreams that stay keep their connections; those that go are closed when
    /// idle, and when their last answer has ended.
    pub(crate) fn take(&self, table: &Table, core: usize, now: Moment, sticky_key: &[u8; 32]) {
        let mut services = self.services.borrow_mut();
        services.retain(|name, service| {
            let is_routed =
                |known: &TableRoute| known.route.services().chain(known.route.shadow()).any(|routed| routed == name);
            let stays = table.services.contains_key(name) || table.routes.iter().any(is_routed);
            if !stays {
                service.replace(Vec::new());
            }
            stays
        });
        for service in table.routes.iter().flat_map(|known| known.route.services().chain(known.route.shadow())) {
            if !services.contains_key(service) {
                services.insert(service.to_owned(), Rc::new(Service::new(core)));
            }
        }
        for (name, service) in services.iter() {
            if let Some(TableTraffic { traffic, cells }) = table.traffic.get(name) {
                service.treat(traffic, cells);
            }
            let wanted = table.services.get(name).map_or(&[][..], Vec::as_slice);
            let make = |wanted: &TableUpstream| {
                Rc::new(Upstream::new(wanted.settings.clone(), Arc::clone(&wanted.cells), core, now, sticky_key))
            };
            let keep_or_make = |wanted| find_known(service, wanted).unwrap_or_else(|| make(wanted));
            service.replace(wanted.iter().map(keep_or_make).collect());
        }
        // Replicas change far more often than routes, whose headers and expressions take time to make.
        if !Arc::ptr_eq(&self.made_from.borrow(), &table.routes) {
            let mut neighbours = table.routes.windows(2);
            self.is_guarded.set(neighbours.any(|pair| pair[0].route.access != pair[1].route.access));
            self.routes.replace(table.routes.iter().map(|known| self.choices(known, &services)).collect());
            self.made_from.replace(Arc::clone(&table.routes));
        }
        self.index.replace(Arc::clone(&table.index));
        self.secure.replace(Arc::clone(&table.secure));
    }

    pub(crate) fn sweep(&self, now: Moment) {
        for service in self.services.borrow().values() {
            service.sweep(now);
        }
        let routes = self.routes.borrow();
        for folder in routes.iter().flat_map(|choices| &choices.views).filter_map(|view| view.folder.as_ref()) {
            folder.sweep(now);
        }
    }

    fn choices(&self, known: &TableRoute, services: &HashMap<String, Rc<Service>>) -> Choices {
        let folder = match &known.route.action {
            Action::Files(files) => Some(Rc::new(self.shelf.open(files))),
            Action::Forward(_) | Action::Redirect(_) | Action::Answer(_) => None,
        };
        let view = |cells: &Arc<RouteCells>| {
            let service = services.get(&cells.service).cloned().unwrap_or_else(|| Rc::new(Service::new(0)));
            let (route, folder) = (Arc::clone(&known.route), folder.clone());
            let (rewriting, answer) = (Rewriting::of(&route), AnswerHeaders::new(&route.answer_headers));
            let mirror = route.shadow().and_then(|shadow| services.get(shadow)).cloned();
            let is_plain = fast::knows(&route);
            Rc::new(RouteView { route, cells: Arc::clone(cells), service, mirror, folder, rewriting, answer, is_plain })
        };
        Choices { views: known.cells.iter().map(view).collect(), turn: Cell::new(0) }
    }
}

fn find_known(service: &Service, wanted: &TableUpstream) -> Option<Rc<Upstream>> {
    let is_same = |known: &&Rc<Upstream>| known.settings == wanted.settings;
    service.upstreams().iter().find(is_same).cloned()
}
