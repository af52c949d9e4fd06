use super::*;

fn check(key: &str, begins: &str) {
    let page = explain(key).unwrap();
    assert!(page.starts_with(begins), "{key}: {page}");
}

fn check_unknown(key: &str, expected: Option<&str>) {
    assert_eq!(explain(key).unwrap_err().did_you_mean.as_deref(), expected, "{key}");
}

/// Goal: settings and tables are found by every name that a user could write.
#[test]
fn found() {
    check("route.timeout", "route.timeout (duration, default \"60s\", from \"1ms\" to \"1d\")\n");
    check("service.memory", "service.memory (size, optional,");
    check("service.api.memory", "service.memory (");
    check("service.memory.memory", "service.memory (");
    check("service.run", "service.run (text or a list of texts, optional)");
    check("service.health.every", "service.health.every (");
    check("service.api.health.every", "service.health.every (");
    check("service.legacy.at.url", "service.at.url (");
    check("service.api.environment.DB.file", "service.environment.file (");
    check("env.staging.edge.http", "edge.http (");
    check("edge", "[edge]\n");
    check("[edge]", "[edge]\n");
    check("service.api", "[service.NAME]\n");
    check("service.stop", "[service.NAME.stop]\n");
    check("", "prumo.toml\n");
}

/// Goal: the whole page of one setting.
#[test]
fn page() {
    let expected = "\
service.stop.within (duration, default \"10s\", from \"0s\" to \"1h\")

How long it may take; then all its processes are killed.

Why: What Docker waits; its requests were finished before, while it drained.

Form: a duration is written like \"250ms\", \"5s\", \"1m30s\", \"2h\" or \"7d\"

Example:
  [service.NAME.stop]
  within = \"30s\"";
    assert_eq!(explain("service.stop.within").unwrap(), expected);
}

/// Goal: an unknown key leads to the one that was meant.
#[test]
fn unknown() {
    check_unknown("route.timout", Some("route.timeout"));
    check_unknown("memory", Some("service.memory"));
    check_unknown("servce.memory", Some("service.memory"));
    check_unknown("routes", Some("route"));
    check_unknown("edge.http.port", Some("edge.http"));
    check_unknown("zzz", None);
}
