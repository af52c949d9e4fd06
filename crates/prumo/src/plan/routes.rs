//! What changes about a route, in the words of the file.

use prumo_api::ask::Change;
use prumo_config::value::duration::show;
use prumo_config::{Action, Condition, Rewrite, Route, Target, Wanted};
use prumo_run::Value;

use super::{Fields, changed, fingerprint, headers, list, named, or_none, traffic};

/// The change from one route of a name to another.
pub(super) fn change(name: &str, old: Option<&Route>, new: Option<&Route>) -> Option<Change> {
    let subject = format!("route {name}");
    match (old, new) {
        (None, Some(new)) => Some(Change { sign: '+', subject, details: vec![action_in_words(&new.action)] }),
        (Some(old), None) => Some(Change { sign: '-', subject, details: vec![action_in_words(&old.action)] }),
        (Some(old), Some(new)) => changed(subject, &fields(old), &fields(new)),
        (None, None) => None,
    }
}

fn fields(route: &Route) -> Fields {
    let mut fields = treatment(route);
    fields.extend(named([
        ("host", or_none(route.host.as_ref())),
        ("path", route.path.to_string()),
        ("when.method", if route.when.methods.is_empty() { "all".to_owned() } else { route.when.methods.join(", ") }),
        ("when.header", conditions_in_words(&route.when.headers)),
        ("when.query", conditions_in_words(&route.when.query)),
    ]));
    fields
}

/// What is done with a request that the route takes.
pub(crate) fn treatment(route: &Route) -> Fields {
    let mut fields = named([
        ("body_max", route.body_max.to_string()),
        ("maintenance", if route.maintenance { "on" } else { "off" }.to_owned()),
        ("headers", route.headers.as_ref().map_or_else(|| "as of the edge".to_owned(), headers::own_in_words)),
    ]);
    for (name, networks) in [("allow", &route.allow), ("deny", &route.deny)] {
        if !networks.is_empty() {
            fields.insert(name.to_owned(), list(networks));
        }
    }
    fields.extend(match &route.action {
        Action::Forward(forward) => named([
            ("to", targets_in_words(&forward.to)),
            ("rewrite", or_none(forward.rewrite.as_ref().map(rewrite_in_words))),
            ("balance", traffic::balance(&forward.balance)),
            ("retry", traffic::retry(&forward.retry)),
            ("hedge", traffic::hedge(forward.hedge)),
            ("mirror", traffic::mirror(forward.mirror.as_ref())),
            ("timeout", show(forward.timeout)),
            ("idle_timeout", show(forward.idle_timeout)),
        ]),
        Action::Files(files) => named([
            ("files.folder", files.folder.display().to_string()),
            ("files.index", files.index.clone()),
            ("files.fallback", or_none(files.fallback.as_ref())),
            ("files.precompressed", files.precompressed.to_string()),
            ("files.cache", show(files.cache)),
        ]),
        other => named([("does", action_in_words(other))]),
    });
    fields
}

/// `x-beta is there, x-old is not there`; values only as fingerprints, because a header's may be a secret.
fn conditions_in_words(conditions: &[Condition]) -> String {
    let words = conditions.iter().map(|condition| match &condition.wanted {
        Wanted::Present => format!("{} is there", condition.name),
        Wanted::Absent => format!("{} is not there", condition.name),
        Wanted::Equal(text) => format!("{} is {}", condition.name, fingerprint(&Value::Text(text.clone()))),
    });
    or_none(Some(words.collect::<Vec<_>>().join(", ")).filter(|words| !words.is_empty()))
}

/// What a route does, in a few words.
pub(crate) fn action_in_words(action: &Action) -> String {
    match action {
        Action::Forward(forward) => format!("to {}", targets_in_words(&forward.to)),
        Action::Files(files) => format!("files of {}", files.folder.display()),
        Action::Redirect(redirect) => format!("redirect {} to {}", redirect.status, redirect.to),
        Action::Answer(answer) => format!("answer {} with {} bytes", answer.status, answer.body.len()),
    }
}

/// What becomes of the path, in a few words.
pub(crate) fn rewrite_in_words(rewrite: &Rewrite) -> String {
    match rewrite {
        Rewrite::Strip => "strip".to_owned(),
        Rewrite::Path(template) => template.to_string(),
    }
}

/// `api`, or `api 90, canary 10`.
fn targets_in_words(targets: &[Target]) -> String {
    match targets {
        [one] => one.service.clone(),
        several => {
            several.iter().map(|target| format!("{} {}", target.service, target.weight)).collect::<Vec<_>>().join(", ")
        }
    }
}
