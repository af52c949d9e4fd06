//! Changing how many replicas run, and waiting until they do.

use std::time::Duration;

use prumo_api::ask::Finished;
use prumo_api::{Refusal, RefusalKind};
use prumo_run::Scaled;

use super::{Site, refusal, status};
use crate::cli::count;

/// How often to look whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Site {
    /// Changes how many replicas run, and waits until so many are healthy and no other is left.
    pub(crate) async fn scale(&self, service: &str, replicas: u32, actor: &str) -> Result<Finished, Refusal> {
        let turn = self.turn(format!("a scaling of `{service}`")).await?;
        self.know(service)?;
        if !(1..=100).contains(&replicas) {
            return Err(Refusal::new(RefusalKind::Refused, format!("a service has 1 to 100 replicas, not {replicas}"))
                .hint(format!("`prumo stop {service}` stops every replica")));
        }
        self.record(actor, "scale", service, &format!("{replicas} replicas")).await?;
        self.parts.run.scale(service, replicas).await.map_err(refusal)?;
        // What follows changes nothing, so that somebody else may.
        drop(turn);
        self.await_replicas(service, replicas).await
    }

    async fn await_replicas(&self, service: &str, replicas: u32) -> Result<Finished, Refusal> {
        let (clock, run) = (self.clock(), self.run());
        let (began, within) = (clock.now(), run.scales_within(service));
        let wanted = count(replicas as usize, "replica");
        loop {
            match run.scaled(service, replicas) {
                Scaled::Reached => {
                    return Ok(status::said(format!("{service} has {}", count(replicas as usize, "healthy replica"))));
                }
                Scaled::Stopped => {
                    return Ok(status::said(format!(
                        "{service} is to have {wanted}; it is stopped, and `prumo restart {service}` starts it"
                    )));
                }
                Scaled::Changed => {
                    let message = format!("`{service}` was to have {wanted}, and somebody has changed that since");
                    return Err(Refusal::new(RefusalKind::Refused, message)
                        .hint(format!("`prumo status {service}` shows how it is")));
                }
                Scaled::NotYet { healthy, why } if clock.now().since(began) >= within => {
                    let mut message = format!(
                        "`{service}` is to have {wanted}, and {healthy} of them run healthy after {}s",
                        within.as_secs()
                    );
                    why.iter().for_each(|why| message.push_str(&format!("\n  {why}")));
                    return Err(Refusal::new(RefusalKind::Unhealthy, message).hint(format!(
                        "they are still wanted and tried: `prumo status {service}` shows how it goes, and another `prumo scale {service} N` goes back"
                    )));
                }
                Scaled::NotYet { .. } => clock.sleep(LOOK_EVERY).await,
            }
        }
    }
}
