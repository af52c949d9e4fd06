//! The headers of answers, from the file's words to the edge's.

use prumo_config as config;
use prumo_edge as edge;

/// The headers of a route: its own words laid over those of the edge.
pub(super) fn of_route(own: Option<&config::RouteHeaders>, front: &config::Edge) -> edge::Headers {
    let headers = own.map(|own| own.clone().over(&front.headers));
    said(headers.as_ref().unwrap_or(&front.headers), front.hsts)
}

/// The headers of answers that belong to no route.
pub(super) fn of(front: &config::Edge) -> edge::Headers {
    said(&front.headers, front.hsts)
}

fn said(headers: &config::EdgeHeaders, hsts: config::Hsts) -> edge::Headers {
    let said = |word: &String| (word != "off").then(|| word.clone());
    edge::Headers {
        nosniff: headers.nosniff,
        frame: match headers.frame.as_str() {
            "deny" => edge::Frame::Deny,
            "off" => edge::Frame::Off,
            _ => edge::Frame::SameOrigin,
        },
        referrer: said(&headers.referrer),
        permissions: said(&headers.permissions),
        opener: said(&headers.opener),
        resource: said(&headers.resource),
        csp: headers.csp.as_ref().and_then(said),
        csp_enforce: headers.csp_enforce,
        hsts: match hsts {
            config::Hsts::Off => None,
            config::Hsts::For(time) => Some(format!("max-age={}", time.as_secs())),
        },
        force: headers.force,
        set: headers.set.clone(),
        add: headers.add.clone(),
        remove: headers.remove.clone(),
    }
}

#[cfg(test)]
mod tests;
