//! The routes of the file become what the edge serves.

use std::path::Path;

use prumo_config as config;
use prumo_edge as edge;

use super::{headers, network, traffic};

/// A route of the file.
pub(super) fn route(route: &config::Route, front: &config::Edge, base: &Path) -> edge::Route {
    let action = match &route.action {
        config::Action::Forward(to) => edge::Action::Forward(forward(to)),
        config::Action::Files(from) => edge::Action::Files(files(from, base)),
        config::Action::Redirect(redirect) => {
            edge::Action::Redirect(edge::Redirect { to: template(&redirect.to), status: redirect.status })
        }
        config::Action::Answer(answer) => edge::Action::Answer(edge::Answer {
            status: u16::try_from(answer.status).unwrap_or(200),
            body: answer.body.clone(),
            content_type: answer.content_type.clone(),
        }),
    };
    edge::Route {
        host: route.host.clone(),
        path: match &route.path {
            config::PathMatch::Prefix(path) => edge::PathMatch::Prefix(path.clone()),
            config::PathMatch::Exact(path) => edge::PathMatch::Exact(path.clone()),
            config::PathMatch::Regex(expression) => edge::PathMatch::Regex(expression.clone()),
        },
        methods: route.when.methods.clone(),
        headers: route.when.headers.iter().map(condition).collect(),
        query: route.when.query.iter().map(condition).collect(),
        body_max: route.body_max.bytes(),
        access: [(&front.allow, &front.deny), (&route.allow, &route.deny)].into_iter().filter_map(access).collect(),
        answer_headers: headers::of_route(route.headers.as_ref(), front),
        ..edge::Route::new(&route.name, action)
    }
}

/// `None` where everybody is admitted.
fn access((allow, deny): (&Vec<config::Cidr>, &Vec<config::Cidr>)) -> Option<edge::Access> {
    let networks = |blocks: &[config::Cidr]| blocks.iter().map(network).collect();
    (!allow.is_empty() || !deny.is_empty()).then(|| edge::Access { allow: networks(allow), deny: networks(deny) })
}

/// What the edge says of a route in maintenance.
pub(crate) fn maintenance(settings: &config::Maintenance, page: Option<String>) -> edge::Maintenance {
    edge::Maintenance {
        hold: settings.hold,
        retry_after: settings.retry_after,
        page,
        except: settings.except.iter().map(network).collect(),
    }
}

fn condition(condition: &config::Condition) -> edge::Condition {
    let wanted = match &condition.wanted {
        config::Wanted::Present => edge::Wanted::Present,
        config::Wanted::Absent => edge::Wanted::Absent,
        config::Wanted::Equal(text) => edge::Wanted::Equal(text.clone()),
    };
    edge::Condition { name: condition.name.clone(), wanted }
}

fn files(files: &config::Files, base: &Path) -> edge::Files {
    edge::Files {
        folder: base.join(&files.folder),
        index: files.index.clone(),
        fallback: files.fallback.clone(),
        precompressed: files.precompressed,
        cache: files.cache,
    }
}

fn forward(forward: &config::Forward) -> edge::Forward {
    edge::Forward {
        to: forward.to.iter().map(target).collect(),
        rewrite: forward.rewrite.as_ref().map(|rewrite| match rewrite {
            config::Rewrite::Strip => edge::Rewrite::Strip,
            config::Rewrite::Path(path) => edge::Rewrite::Path(template(path)),
        }),
        balance: traffic::balance(&forward.balance),
        retry: traffic::retry(&forward.retry),
        hedge: forward.hedge.map(traffic::hedge),
        mirror: forward.mirror.as_ref().map(traffic::mirror),
        timeout: forward.timeout,
        idle_timeout: forward.idle_timeout,
    }
}

fn target(target: &config::Target) -> edge::Target {
    edge::Target { service: target.service.clone(), weight: target.weight }
}

fn template(template: &config::Template) -> edge::Template {
    let part = |part: &config::Part| match part {
        config::Part::Text(text) => edge::Part::Text(text.clone()),
        config::Part::Host => edge::Part::Host,
        config::Part::Path => edge::Part::Path,
        config::Part::Rest => edge::Part::Rest,
        config::Part::Query => edge::Part::Query,
        config::Part::Group(name) => edge::Part::Group(name.clone()),
    };
    edge::Template(template.parts.iter().map(part).collect())
}
