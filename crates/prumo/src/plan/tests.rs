use std::path::Path;

use super::*;

const BASE: &str = "[service.api]\nrun = \"app\"\n[[route]]\nto = \"api\"\n";

fn read(text: &str) -> Config {
    prumo_config::read(text, "prumo.toml", None, &|_| None).map_err(|mistakes| mistakes.to_string()).unwrap()
}

/// The plan from a site that runs one file to another file; `person` is what somebody did to it meanwhile.
fn plan(old: &str, new: &str, person: impl Fn(&mut Serving)) -> PlanReport {
    let (old, new) = (read(old), read(new));
    let specs = |config: &Config| crate::wire::services_for_run(config, Path::new("/srv"));
    let serving = specs(&old).into_iter().map(|spec| {
        let mut serving = Serving { spec, stopped: false };
        person(&mut serving);
        (serving.spec.name.clone(), serving)
    });
    changes(&serving.collect(), &specs(&new), &old, &new)
}

fn lines(report: &PlanReport) -> Vec<String> {
    let line = |change: &Change| format!("{} {}: {}", change.sign, change.subject, change.details.join("; "));
    report.changes.iter().map(line).collect()
}

fn check(old: &str, new: &str, expected: &[&str]) {
    assert_eq!(lines(&plan(old, new, |_| ())), expected, "{old}\n---\n{new}");
}

/// Goal: a plan names each difference in the words of the file, and nothing when there is none.
#[test]
fn differences_are_named() {
    check(BASE, BASE, &[]);
    check(BASE, &BASE.replace("\"app\"", "\"app -v\""), &["~ service api: run: app → app -v"]);
    check(BASE, &BASE.replace("\"app\"", "\"app\"\nreplicas = 3"), &["~ service api: replicas: 1 → 3"]);
    check(BASE, &format!("{BASE}timeout = \"5s\"\n"), &["~ route /: timeout: 1m → 5s"]);
    check(BASE, &format!("{BASE}[service.web]\nrun = \"web\"\n"), &["+ service web: 1 replica of web"]);
    check(&format!("{BASE}[service.web]\nrun = \"web\"\n"), BASE, &["- service web: its replicas drain and stop"]);
    let edge = "~ edge: http: auto → 9090; takes effect when prumo itself starts again, as by `prumo upgrade`";
    check(BASE, &format!("{BASE}[edge]\nhttp = 9090\n"), &[edge]);
    let hsts = "~ edge: hsts: 365d → off; answers of no route follow when prumo itself starts again";
    check(BASE, &format!("{BASE}[edge]\nhsts = \"off\"\n"), &[hsts]);
}

/// Goal: what a person did to the running site shows too: the plan is against what runs, not against the last file.
#[test]
fn what_people_did_shows() {
    let scaled = plan(BASE, BASE, |serving| serving.spec.replicas = 5);
    assert_eq!(lines(&scaled), ["~ service api: replicas: 5 → 1"]);
    let stopped = plan(BASE, BASE, |serving| serving.stopped = true);
    assert_eq!(lines(&stopped), ["~ service api: replicas: stopped → 1"]);
}

/// Goal: a changed value of the environment shows as changed and is not shown (no secret in an answer).
#[test]
fn environment_values_are_not_shown() {
    let with = |value: &str| BASE.replace("\"app\"", &format!("\"app\"\nenvironment = {{ KEY = \"{value}\" }}"));
    let text = format!("{:?}", plan(&with("hunter2"), &with("swordfish"), |_| ()));
    assert!(text.contains("environment.KEY") && !text.contains("hunter2") && !text.contains("swordfish"), "{text}");
}
