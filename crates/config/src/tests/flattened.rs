//! A [`Config`] as one line for each value, so that two can be compared and a case can be read.

use std::collections::BTreeMap;

use crate::Config;

/// The values by their paths: `services.api.replicas` is `1`.
pub(super) fn flatten(config: &Config) -> BTreeMap<String, String> {
    let debug = format!("{config:#?}");
    let mut path: Vec<String> = Vec::new();
    // For each open bracket, the number of the next item without a name.
    let mut counts: Vec<usize> = Vec::new();
    let mut values = BTreeMap::new();
    for line in debug.lines().map(str::trim) {
        let line = line.trim_end_matches(',');
        if matches!(line, "}" | ")" | "]") {
            path.pop();
            counts.pop();
            continue;
        }
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) if !name.contains(['(', ' ']) => (name.trim_matches('"').to_owned(), value),
            _ => (next_number(&mut counts), line),
        };
        match value.strip_suffix(['{', '(', '[']) {
            Some(kind) => {
                path.push(if kind.trim().is_empty() || is_struct(kind) {
                    name
                } else {
                    format!("{name}.{}", kind.trim())
                });
                counts.push(0);
            }
            None => drop(values.insert([&path[1..], &[name]].concat().join("."), value.to_owned())),
        }
    }
    values
}

/// Structs whose name adds nothing to the name of the field.
fn is_struct(kind: &str) -> bool {
    let noise = [
        "Config",
        "Site",
        "Service",
        "Health",
        "Stop",
        "Restart",
        "Route",
        "Target",
        "Redirect",
        "Answer",
        "Template",
        "When",
        "Certificate",
        "ClientCertificate",
        "Edge",
        "EdgeHeaders",
        "RouteHeaders",
        "AccessLog",
        "Trace",
        "Maintenance",
        "Admin",
        "Some",
    ];
    noise.contains(&kind.trim())
}

fn next_number(counts: &mut [usize]) -> String {
    let Some(count) = counts.last_mut() else {
        return String::new();
    };
    *count += 1;
    (*count - 1).to_string()
}
