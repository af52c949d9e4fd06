use super::*;

fn read(more: &str, route: &str) -> Config {
    let text = format!("[service.api]\nrun = \"bin/api\"\n{more}\n[[route]]\nto = \"api\"\n{route}\n");
    prumo_config::read(&text, "prumo.toml", None, &|_| None).unwrap()
}

/// Goal: a change of how replicas are spared is shown with both values.
#[test]
fn traffic_changes() {
    let old = read("", "");
    let new = read("traffic = { in_flight_max = 200, eject_after = 3 }", "");
    let shown = changes(&old, &new);
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].sign, shown[0].subject.as_str()), ('~', "service api"));
    assert_eq!(shown[0].details, ["traffic.eject_after: 5 → 3", "traffic.in_flight_max: none → 200"]);
    assert!(changes(&new, &new).is_empty());
}

/// Goal: each choice is said in the words of the file.
#[test]
fn words() {
    let check = |route: &str, expected: [&str; 3]| {
        let config = read("", route);
        let prumo_config::Action::Forward(forward) = &config.routes[0].action else { panic!("it leads to a service") };
        let said = [balance(&forward.balance), retry(&forward.retry), hedge(forward.hedge)];
        assert_eq!(said, expected, "{route}");
    };
    check("", ["auto", "1 × on reset, 502, 503", "none"]);
    check(
        "balance = { hash = \"header:X-User\" }\nhedge = \"p95\"",
        ["hash of header:x-user", "1 × on reset, 502, 503", "after p95"],
    );
    check(
        "balance = { sticky = \"replica\" }\nretry = { times = 0 }\nhedge = \"200ms\"",
        ["sticky by the cookie replica", "never", "after 200ms"],
    );
}
