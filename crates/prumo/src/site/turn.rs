//! One change at a time on the whole site, and what is said to those who come meanwhile.

use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_run::ServiceStatus;
use tokio::sync::MutexGuard;

use super::Site;

/// How long a change waits for the one before it, beyond which a person should know that there is one.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// The right to change the site, until it is dropped.
pub(super) struct Turn<'site> {
    site: &'site Site,
    _changing: MutexGuard<'site, ()>,
}

impl Site {
    /// Waits a little for one that is nearly done, as the start of a site is when its status says so already.
    pub(super) async fn turn(&self, change: String) -> Result<Turn<'_>, Refusal> {
        match self.parts.clock.timeout(TURN_WITHIN, self.changing.lock()).await {
            Ok(changing) => Ok(self.begin_turn(changing, change)),
            Err(_) => Err(self.another_is_under_way()),
        }
    }

    /// The turn of the start, which waits for nobody.
    pub(super) async fn first_turn(&self) -> Turn<'_> {
        let changing = self.changing.lock().await;
        self.begin_turn(changing, "the start of the site".to_owned())
    }

    /// A turn without waiting for one.
    pub(super) fn turn_at_once(&self, change: &str) -> Option<Turn<'_>> {
        let changing = self.changing.try_lock().ok()?;
        Some(self.begin_turn(changing, change.to_owned()))
    }

    fn begin_turn<'site>(&'site self, changing: MutexGuard<'site, ()>, change: String) -> Turn<'site> {
        let since = self.parts.clock.now();
        *self.under_way.write().expect("no holder of this lock panics") = Some((change, since));
        Turn { site: self, _changing: changing }
    }

    fn another_is_under_way(&self) -> Refusal {
        let under_way = self.under_way.read().expect("no holder of this lock panics").clone();
        let message = match under_way {
            Some((change, since)) => {
                let seconds = self.parts.clock.now().since(since).as_secs();
                format!("{change} is under way for {seconds}s, and there is one change at a time on a site")
            }
            None => "another change is under way on this site".to_owned(),
        };
        // Before the shift, and only a service of the configuration that runs can be stopped.
        let config = self.config();
        let can_be_given_up = |step: &str| matches!(step, "preflight" | "start" | "health");
        let deploying = |status: &ServiceStatus| status.deploy.as_ref().is_some_and(|it| can_be_given_up(&it.step));
        let stopped_by = self
            .parts
            .run
            .status()
            .into_iter()
            .find(deploying)
            .map(|status| status.service)
            .filter(|name| config.services.contains_key(name));
        let hint = match stopped_by {
            Some(name) => format!("`prumo status` shows it, `prumo stop {name}` gives it up and stops `{name}`"),
            None => "`prumo status` shows it; try again when it is done".to_owned(),
        };
        Refusal::new(RefusalKind::Refused, message).hint(hint)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.site.under_way.write().expect("no holder of this lock panics") = None;
    }
}

/// A deploy, as it is told to others.
pub(super) fn deploy_in_words(names: &[String]) -> String {
    match names {
        [] => "a deploy of every service".to_owned(),
        names => format!("a deploy of `{}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a deploy is told by what it deploys.
    #[test]
    fn deploys_are_named() {
        let check = |names: &[&str], expected: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(deploy_in_words(&names), expected);
        };
        check(&[], "a deploy of every service");
        check(&["app"], "a deploy of `app`");
        check(&["app", "files"], "a deploy of `app`, `files`");
    }
}
