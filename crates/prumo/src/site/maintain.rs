//! Closing routes for a while, and opening them again.

use prumo_api::ask::Finished;
use prumo_api::{Refusal, RefusalKind};
use prumo_config::Config;

use super::{Site, status};
use crate::maintenance::Standing;

impl Site {
    /// Puts routes into maintenance or takes them out of it; none named means all.
    pub(crate) async fn maintain(&self, on: bool, routes: &[String], actor: &str) -> Result<Finished, Refusal> {
        let _turn = self.turn(format!("`prumo maintenance {}`", if on { "on" } else { "off" })).await?;
        let config = self.config();
        if let Some(unknown) = routes.iter().find(|name| !config.routes.iter().any(|route| route.name == **name)) {
            return Err(no_such_route(unknown, &config));
        }
        let before = self.standing();
        if before.all && !on && !routes.is_empty() {
            return Err(Refusal::new(RefusalKind::Refused, "the whole site is in maintenance, so no route can be opened alone")
                .hint("`prumo maintenance off` opens all; then `prumo maintenance on ROUTE…` closes those that are to stay closed"));
        }
        let next = before.changed(on, routes);
        let (action, subject) = (if on { "maintenance on" } else { "maintenance off" }, routes.join(" "));
        self.record(actor, action, if routes.is_empty() { "every route" } else { &subject }, "").await?;
        next.store(&self.parts.state).map_err(|error| {
            Refusal::new(RefusalKind::Failed, format!("the state folder cannot be written: {error}"))
                .hint("it would be forgotten at a restart, so nothing was changed")
        })?;
        self.set_standing(next.clone());
        if let Err(refusal) = self.apply_front((*config).clone()) {
            self.set_standing(before.clone());
            drop(before.store(&self.parts.state));
            return Err(refusal);
        }
        self.front_is_everywhere().await;
        let by_file = config.routes.iter().filter(|route| route.maintenance).map(|route| route.name.as_str());
        let still: Vec<&str> =
            by_file.filter(|name| !on && (routes.is_empty() || routes.iter().any(|one| one == name))).collect();
        let said = next.note().unwrap_or_else(|| "no route is in maintenance".to_owned());
        Ok(status::said(match still.as_slice() {
            [] => said,
            still => format!("{said}; but the file says `maintenance = true` for {}", still.join(", ")),
        }))
    }

    /// The routes that are in maintenance now, because a person said so or the file does.
    pub(super) fn in_maintenance(&self) -> Vec<String> {
        let (config, standing) = (self.config(), self.standing());
        let closed = config.routes.iter().filter(|route| standing.closes(route));
        closed.map(|route| route.name.clone()).collect()
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.read().expect("no holder of this lock panics").clone()
    }

    fn set_standing(&self, standing: Standing) {
        *self.standing.write().expect("no holder of this lock panics") = standing;
    }
}

fn no_such_route(name: &str, config: &Config) -> Refusal {
    let refusal = Refusal::new(RefusalKind::NoSuchThing, format!("there is no route `{name}`"));
    let names = || config.routes.iter().map(|route| route.name.as_str());
    match prumo_config::nearest(name, names()) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint(format!("the routes are {}", names().collect::<Vec<_>>().join(", "))),
    }
}
