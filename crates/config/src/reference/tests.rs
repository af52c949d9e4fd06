use super::*;
use crate::read;

/// Goal: the example at the top of the reference is a good file, with and without its overlay.
#[test]
fn example_is_good() {
    for overlay in [None, Some("laptop")] {
        if let Err(mistakes) = read(EXAMPLE, "example.toml", overlay, &|_| None) {
            panic!("{mistakes}");
        }
    }
}

/// Goal: the reference names every setting with its default and its reason (DOC-05).
#[test]
fn every_setting_is_documented() {
    let page = reference_markdown();
    for setting in all_tables().into_iter().flat_map(|table| table.settings) {
        assert!(page.contains(&format!("`{}`", setting.key)), "{}", setting.key);
        assert!(page.contains(setting.why), "{}", setting.key);
        // That a table or a list is empty by default goes without saying.
        let default = setting.default.filter(|default| !matches!(*default, "{}" | "[]"));
        assert!(default.is_none_or(|default| page.contains(default)), "{}", setting.key);
    }
}

/// Goal: tables come in the order in which a reader meets them.
#[test]
fn order_of_tables() {
    let names: Vec<&str> = all_tables().iter().map(|table| table.name).collect();
    let expected = [
        "",
        "site",
        "service",
        "service.at",
        "service.environment",
        "service.health",
        "service.stop",
        "service.traffic",
        "service.restart",
        "route",
        "route.when",
        "route.files",
        "route.redirect",
        "route.answer",
        "route.retry",
        "route.mirror",
        "route.headers",
        "certificate",
        "client_certificate",
        "edge",
        "edge.socket",
        "edge.access_log",
        "edge.trace",
        "edge.headers",
        "maintenance",
        "admin",
    ];
    assert_eq!(names, expected);
}
