use super::*;

/// A spec for tests of this crate: checked every second, patient for ten.
pub(crate) fn spec(name: &str) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        run: vec!["app".to_owned()],
        folder: PathBuf::from("/"),
        environment: BTreeMap::new(),
        user: None,
        group: None,
        listen: Listen::Port,
        protocol: Protocol::H1,
        replicas: 2,
        health: Health {
            check: Check::Tcp,
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 1,
            unhealthy: 2,
            start_within: Duration::from_secs(10),
        },
        memory: None,
        cpu: None,
        processes: None,
        files: None,
        stop: Stop { signal: StopSignal::Term, within: Duration::from_secs(5) },
        drain: Duration::from_secs(20),
        restart: Restart {
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            crash_loop: Rate { count: 3, per: Duration::from_secs(60) },
        },
        log_keep: 1 << 20,
    }
}

/// Goal: a different number of replicas is the same definition; anything else is another.
#[test]
fn the_number_of_replicas_is_no_definition() {
    let one = spec("api");
    let more = ServiceSpec { replicas: 9, ..one.clone() };
    assert!(one.same_definition(&more));
    assert_eq!(one.digest(), more.digest());
    let other = ServiceSpec { run: vec!["other".to_owned()], ..one.clone() };
    assert!(!one.same_definition(&other));
    assert_ne!(one.digest(), other.digest());
}

/// Goal: neither texts of the environment nor secrets show in debug output (SEC-16).
#[test]
fn nothing_secret_is_printed() {
    let mut one = spec("api");
    one.environment.insert("PASSWORD".to_owned(), Value::Text("hunter2".to_owned()));
    assert!(!format!("{one:?}").contains("hunter2"));
    let secret = Secret::new("hunter2".to_owned());
    assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
}

/// Goal: waits double from the first to the longest and stay there.
#[test]
fn waits_grow_to_a_bound() {
    let restart = spec("api").restart;
    let millis = |ends: u32| restart.wait_after(ends).as_millis();
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 1000].map(millis), [100, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
}

/// A spec as the first prumo wrote it. Add a text beside this one when the form grows; never change it.
const WRITTEN_FIRST: &str = r#"{
    "name":"api","run":["app"],"folder":"/","environment":{
        "PLAIN":{"Text":"word"},"KEPT":{"Secret":{"Named":"key"}},"FILED":{"Secret":{"File":"/key"}},
        "GIVEN":{"Secret":{"Env":"KEY"}},"ASKED":{"Secret":{"Command":["vault","key"]}}},
    "user":"nobody","group":null,"listen":"Socket","replicas":2,
    "health":{"check":{"Http":{"path":"/health","status":[[200,299]],"body":null}},
        "every":{"secs":1,"nanos":0},"timeout":{"secs":1,"nanos":0},"healthy":1,"unhealthy":2,
        "start_within":{"secs":10,"nanos":0}},
    "memory":1024,"cpu":0.5,"processes":10,"files":100,
    "stop":{"signal":"Term","within":{"secs":5,"nanos":0}},"drain":{"secs":20,"nanos":0},
    "restart":{"backoff":{"secs":0,"nanos":100000000},"backoff_max":{"secs":2,"nanos":0},
        "crash_loop":{"count":3,"per":{"secs":60,"nanos":0}}},
    "log_keep":1048576}"#;

/// Goal: the specs in the ledgers of earlier prumos still read, and still mean the same.
#[test]
fn what_was_written_first_still_reads() {
    let read: ServiceSpec = serde_json::from_str(WRITTEN_FIRST).unwrap();
    let sources = [
        ("KEPT", SecretSource::Named("key".to_owned())),
        ("FILED", SecretSource::File("/key".into())),
        ("GIVEN", SecretSource::Env("KEY".to_owned())),
        ("ASKED", SecretSource::Command(vec!["vault".to_owned(), "key".to_owned()])),
    ];
    let secrets = sources.into_iter().map(|(name, source)| (name.to_owned(), Value::Secret(source)));
    let expected = spec("api");
    let expected = ServiceSpec {
        environment: secrets.chain([("PLAIN".to_owned(), Value::Text("word".to_owned()))]).collect(),
        user: Some("nobody".to_owned()),
        listen: Listen::Socket,
        health: Health {
            check: Check::Http { path: "/health".to_owned(), status: vec![(200, 299)], body: None },
            ..expected.health.clone()
        },
        memory: Some(1024),
        cpu: Some(0.5),
        processes: Some(10),
        files: Some(100),
        ..expected
    };
    assert_eq!(read, expected);
}

/// Goal: a spec survives being written down.
#[test]
fn a_spec_is_what_was_written() {
    let one = spec("api");
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<ServiceSpec>(&text).unwrap(), one);
}
