//! The headers of answers, in words that differ when they do.

use prumo_config::{EdgeHeaders, RouteHeaders};

use super::{Fields, named, or_none};

/// Those of every answer.
pub(super) fn fields(headers: &EdgeHeaders) -> Fields {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
    };
    named([
        ("headers.nosniff", headers.nosniff.to_string()),
        ("headers.frame", headers.frame.clone()),
        ("headers.referrer", headers.referrer.clone()),
        ("headers.permissions", headers.permissions.clone()),
        ("headers.opener", headers.opener.clone()),
        ("headers.resource", headers.resource.clone()),
        ("headers.csp", or_none(headers.csp.as_ref())),
        ("headers.csp_enforce", headers.csp_enforce.to_string()),
        ("headers.force", headers.force.to_string()),
        ("headers.set", pairs(&headers.set)),
        ("headers.add", pairs(&headers.add)),
        ("headers.remove", headers.remove.join(", ")),
    ])
}

/// Those of one route: `frame off, set X-Robots-Tag: none`
pub(super) fn own_in_words(headers: &RouteHeaders) -> String {
    let switch = |value: Option<bool>| value.map(|value| value.to_string());
    let text = |value: &Option<String>| value.clone();
    let mut words: Vec<String> = [
        ("nosniff", switch(headers.nosniff)),
        ("frame", text(&headers.frame)),
        ("referrer", text(&headers.referrer)),
        ("permissions", text(&headers.permissions)),
        ("opener", text(&headers.opener)),
        ("resource", text(&headers.resource)),
        ("csp", text(&headers.csp)),
        ("csp_enforce", switch(headers.csp_enforce)),
        ("force", switch(headers.force)),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| format!("{name} {value}")))
    .collect();
    for (verb, pairs) in [("set", &headers.set), ("add", &headers.add)] {
        words.extend(pairs.iter().map(|(name, value)| format!("{verb} {name}: {value}")));
    }
    words.extend(headers.remove.iter().map(|name| format!("remove {name}")));
    words.join(", ")
}
