//! Answers what can be asked of a running prumo.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prumo_api::ask::{
    AuditEntries, AuditEntry, ExecEnvironment, Finished, HealthReport, HealthWord, LogLine, SecretNames, TokenList,
};
use prumo_api::token::TokenError;
use prumo_api::{Answering, Ask, Caller, Event, Refusal, RefusalKind, Reply};
use prumo_clock::{Moment, Timestamp};
use prumo_run::{Followed, Line, Step};
use tokio::sync::mpsc;

use crate::site::{Site, ledger_refusal, refusal};
use crate::wire;

/// Steps or lines that may wait for a slow reader.
const EVENTS_WAITING_MAX: usize = 256;

/// How often whoever waits for a change hears what it waits for, while nothing new happens.
const SAY_WHAT_IS_AWAITED_EVERY: Duration = Duration::from_secs(2);

/// The services that a change is about.
enum About {
    /// Those that are being deployed, or leave the file.
    Changing,
    /// This one, whatever it does.
    Service(String),
    /// None: the program itself is replaced, by one that has until then to be ready.
    Prumo { since: Moment, within: Duration },
}

/// The function that answers for this site.
pub(crate) fn answering(site: &Arc<Site>) -> Answering {
    let site = site.clone();
    Arc::new(move |ask, caller| {
        let site = site.clone();
        Box::pin(async move { Box::pin(answer(&site, ask, caller)).await })
    })
}

async fn answer(site: &Arc<Site>, ask: Ask, caller: Caller) -> Result<Reply, Refusal> {
    let actor = caller.name.clone();
    match ask {
        Ask::Health => Ok(Reply::document(&serde_json::json!({ "status": HealthWord::Healthy }))),
        Ask::HealthDetailed => Ok(health(site.health().await, caller.role.is_some())),
        Ask::Metrics => {
            Ok(Reply::Text { content_type: "text/plain; version=0.0.4; charset=utf-8", body: site.metrics() })
        }
        Ask::Status { service } => Ok(Reply::document(&site.status(service.as_deref()).await?)),
        Ask::EdgeCounters => {
            Ok(Reply::document(&wire::edge_counters(site.name(), site.running_for(), site.edge().counters())))
        }
        Ask::Plan => Ok(Reply::document(&site.plan()?)),
        Ask::Deploy { services } => Ok(changing(site, About::Changing, move |site, steps| async move {
            site.deploy(&services, &actor, steps).await
        })),
        Ask::Upgrade { program: Some(_), .. } if !caller.is_owner() => {
            Err(Refusal::new(RefusalKind::Forbidden, "a program is chosen on the machine itself, not over the network")
                .hint("put it in the place of the present one and leave `program` out"))
        }
        Ask::Upgrade { program, within } => {
            let within = Duration::from_secs(within);
            let about = About::Prumo { since: site.clock().now(), within };
            Ok(changing(site, about, move |site, _| async move { site.upgrade(program, within, &actor).await }))
        }
        Ask::Rollback { service, to } => {
            Ok(changing(site, About::Service(service.clone()), move |site, steps| async move {
                site.rollback(&service, to, &actor, steps).await
            }))
        }
        Ask::Scale { service, replicas } => {
            Ok(changing(site, About::Service(service.clone()), move |site, _| async move {
                site.scale(&service, replicas, &actor).await
            }))
        }
        Ask::Restart { service } => {
            Ok(changing(site, About::Service(service.clone()), move |site, steps| async move {
                site.restart(&service, &actor, steps).await
            }))
        }
        Ask::Maintain { on, routes } => {
            Ok(changing(site, About::Changing, move |site, _| async move { site.maintain(on, &routes, &actor).await }))
        }
        Ask::Stop { service } => Ok(changing(site, About::Service(service.clone()), move |site, _| async move {
            site.stop(&service, &actor).await
        })),
        Ask::Logs { service, lines, follow } => logs(site, &service, lines, follow).await,
        Ask::Environment { service } => environment(site, &service, &actor).await,
        Ask::Secrets => secret_names(site),
        Ask::SetSecret { name, value } => {
            site.record(&actor, "secret set", &name, "").await?;
            site.secrets().set(&name, value.reveal())?;
            secret_names(site)
        }
        Ask::RemoveSecret { name } => {
            site.secrets().value(&name)?;
            site.record(&actor, "secret remove", &name, "").await?;
            site.secrets().remove(&name)?;
            secret_names(site)
        }
        Ask::Tokens => Ok(tokens(site)),
        Ask::CreateToken { name, role } => {
            site.tokens().create(&name, role, &actor).await.map(|made| Reply::document(&made)).map_err(token_refusal)
        }
        Ask::RevokeToken { name } => revoke(site, &name, &actor).await,
        Ask::AuditLog { after, limit } => audit_log(site, after, limit).await,
        Ask::VerifyAuditLog => Ok(Reply::document(&wire::audit_verdict(site.ledger().verify().await))),
    }
}

fn health(report: HealthReport, shows_all: bool) -> Reply {
    let status = if report.status == HealthWord::Unhealthy { 503 } else { 200 };
    let report = if shows_all { report } else { report.redacted() };
    Reply::document_with(status, &report)
}

/// Runs a change on a task of its own: it goes on to its end also when the caller hangs up.
fn changing<F>(site: &Arc<Site>, about: About, change: impl FnOnce(Arc<Site>, mpsc::Sender<Step>) -> F) -> Reply
where
    F: Future<Output = Result<Finished, Refusal>> + Send + 'static,
{
    let (steps_in, mut steps) = mpsc::channel::<Step>(EVENTS_WAITING_MAX);
    let (events_in, events) = mpsc::channel(EVENTS_WAITING_MAX);
    let (ending, after) = (change(site.clone(), steps_in), site.clone());
    site.spawn("change", async move {
        let mut ending = std::pin::pin!(ending);
        let mut last = None;
        let ended = loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => {
                    last = Some(step.clone());
                    drop(events_in.try_send(Event::Step(wire::step(step))));
                }
                ended = &mut ending => break ended,
                () = after.clock().sleep(SAY_WHAT_IS_AWAITED_EVERY) => {
                    for step in awaited(&after, &about, last.as_ref()) {
                        drop(events_in.try_send(Event::Step(step)));
                    }
                }
            }
        };
        while let Ok(step) = steps.try_recv() {
            drop(events_in.try_send(Event::Step(wire::step(step))));
        }
        drop(events_in.send(ended.map_or_else(Event::Refused, Event::Finished)).await);
        drop(events_in);
        after.catch_up().await;
    });
    Reply::Events(events)
}

/// What a change waits for; at least that it is still at the step that was told last.
fn awaited(site: &Site, about: &About, last: Option<&Step>) -> Vec<prumo_api::ask::Step> {
    let names = match about {
        About::Changing => site.run().status().into_iter().map(|status| status.service).collect(),
        About::Service(name) => vec![name.clone()],
        About::Prumo { since, within } => {
            let passed = site.clock().now().since(*since).as_secs();
            let message = format!("waiting for the successor to be ready: {passed}s of at most {}s", within.as_secs());
            let (service, step) = ("prumo".to_owned(), "wait".to_owned());
            return vec![prumo_api::ask::Step { service, release: None, step, message, waiting: true }];
        }
    };
    let step = last.map_or("wait", |step| step.step.word());
    let found = names.into_iter().filter_map(|service| {
        let awaited = site.run().awaited(&service)?;
        let message = awaited.message.filter(|_| awaited.is_changing || matches!(about, About::Service(_)))?;
        let step = step.to_owned();
        Some(prumo_api::ask::Step { service, release: awaited.release, step, message, waiting: true })
    });
    let found: Vec<_> = found.collect();
    if !found.is_empty() {
        return found;
    }
    let still = last.map(|last| {
        let last = wire::step(last.clone());
        let message = format!("waiting: {}", last.message);
        prumo_api::ask::Step { message, waiting: true, ..last }
    });
    still.into_iter().collect()
}

async fn logs(site: &Arc<Site>, service: &str, lines: usize, follow: bool) -> Result<Reply, Refusal> {
    site.know(service)?;
    let mut found = site.run().logs(service, lines, follow).map_err(refusal)?;
    let (events_in, events) = mpsc::channel(EVENTS_WAITING_MAX);
    site.spawn("log reader", async move {
        for line in &found.past {
            if events_in.send(Event::Line(log_line(line))).await.is_err() {
                return;
            }
        }
        let Some(following) = &mut found.following else { return };
        loop {
            let event = tokio::select! {
                () = events_in.closed() => return,
                followed = following.next() => match followed {
                    Some(Followed::Line(line)) => Event::Line(log_line(&line)),
                    Some(Followed::Missed(lines)) => Event::Skipped { lines },
                    None => return,
                },
            };
            if events_in.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(Reply::Events(events))
}

fn log_line(line: &Line) -> LogLine {
    LogLine {
        at: Timestamp::from_millis(line.at_ms).rfc3339(),
        replica: line.replica.clone(),
        release: line.release,
        stream: if line.error { "err" } else { "out" }.to_owned(),
        text: line.text.clone(),
        continued: line.continued,
    }
}

async fn environment(site: &Arc<Site>, service: &str, actor: &str) -> Result<Reply, Refusal> {
    site.know(service)?;
    site.record(actor, "exec", service, "").await?;
    let found = site.run().environment(service).await.map_err(refusal)?;
    let environment =
        ExecEnvironment { environment: found.environment, folder: found.folder, user: found.user, group: found.group };
    Ok(Reply::document(&environment))
}

fn secret_names(site: &Arc<Site>) -> Result<Reply, Refusal> {
    Ok(Reply::document(&SecretNames { secrets: site.secrets().names()? }))
}

fn tokens(site: &Arc<Site>) -> Reply {
    Reply::document(&TokenList { tokens: site.tokens().list() })
}

async fn revoke(site: &Arc<Site>, name: &str, actor: &str) -> Result<Reply, Refusal> {
    let removed = site.tokens().revoke(name, actor).await.map_err(|error| ledger_refusal(&error))?;
    if removed {
        return Ok(tokens(site));
    }
    Err(Refusal::new(RefusalKind::NoSuchThing, format!("there is no token `{name}`"))
        .hint("`prumo token list` shows the ones there are"))
}

fn token_refusal(error: TokenError) -> Refusal {
    match error {
        TokenError::Ledger(error) => ledger_refusal(&error),
        other => Refusal::new(RefusalKind::Refused, other.to_string()),
    }
}

async fn audit_log(site: &Arc<Site>, after: u64, limit: u32) -> Result<Reply, Refusal> {
    let recorded = site.ledger().entries(after, limit).await.map_err(|error| ledger_refusal(&error))?;
    let entries = recorded.into_iter().map(|recorded| AuditEntry {
        seq: recorded.seq,
        at: recorded.at.rfc3339(),
        actor: recorded.entry.actor,
        action: recorded.entry.action,
        subject: recorded.entry.subject,
        detail: recorded.entry.detail,
    });
    Ok(Reply::document(&AuditEntries { entries: entries.collect() }))
}
