use super::*;

/// What a lookup found, in a word.
fn found(method: &str, path: &str) -> String {
    match find(method, path) {
        Found::Route(route, parameters) => {
            let values: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", route.path, values.join(" ")).trim_end().to_owned()
        }
        Found::OtherMethods(methods) => format!("405 {}", methods.join(",")),
        Found::Nothing => "404".to_owned(),
    }
}

fn ask(method: &str, target: &str, body: &str) -> Result<Ask, String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Found::Route(route, parameters) = find(method, path) else { return Err("no route".to_owned()) };
    (route.read)(&Request::new(parameters, query, body.as_bytes())).map_err(|refusal| refusal.message)
}

/// Goal: a path finds its route, its parameters decoded, and nothing that only looks like it.
#[test]
fn paths_find_their_routes() {
    let check = |method, path, expected: &str| assert_eq!(found(method, path), expected, "{method} {path}");
    check("GET", "/health", "/health");
    check("GET", "/health/detailed", "/health/detailed");
    check("GET", "/health/", "404");
    check("GET", "//health", "404");
    check("POST", "/health", "405 GET");
    check("GET", "/api/v1/deploys", "405 POST");
    check("POST", "/api/v1/services/api/scale", "/api/v1/services/{service}/scale service=api");
    check("POST", "/api/v1/services/a%2Fb/scale", "/api/v1/services/{service}/scale service=a/b");
    check("POST", "/api/v1/services//scale", "404");
    check("POST", "/api/v1/services/%zz/scale", "404");
    check("POST", "/api/v1/services/api/scale/x", "404");
    check("DELETE", "/api/v1/tokens/ci", "/api/v1/tokens/{name} name=ci");
    check("PATCH", "/api/v1/tokens/ci", "405 DELETE");
}

/// Goal: each request becomes the typed question it means, or a message that says what is wrong with it.
#[test]
fn requests_become_questions() {
    assert_eq!(ask("GET", "/api/v1/status?service=api", ""), Ok(Ask::Status { service: Some("api".into()) }));
    assert_eq!(ask("POST", "/api/v1/deploys", ""), Ok(Ask::Deploy { services: vec![] }));
    assert_eq!(
        ask("POST", "/api/v1/deploys", r#"{"services":["a","b"]}"#),
        Ok(Ask::Deploy { services: vec!["a".into(), "b".into()] })
    );
    assert_eq!(
        ask("POST", "/api/v1/services/api/rollback", r#"{"to":3}"#),
        Ok(Ask::Rollback { service: "api".into(), to: Some(3) })
    );
    assert_eq!(ask("POST", "/api/v1/services/api/rollback", ""), Ok(Ask::Rollback { service: "api".into(), to: None }));
    let logs = |lines, follow| Ok(Ask::Logs { service: "api".into(), lines, follow });
    assert_eq!(ask("GET", "/api/v1/services/api/logs", ""), logs(100, false));
    assert_eq!(ask("GET", "/api/v1/services/api/logs?lines=5&follow=true", ""), logs(5, true));
    assert_eq!(ask("GET", "/api/v1/services/api/logs?lines=99999999", ""), logs(10_000, false));
    assert_eq!(
        ask("GET", "/api/v1/services/api/logs?lines=-1", "").unwrap_err(),
        "`lines` is `-1`, which is not a whole number in range"
    );
    assert_eq!(
        ask("PUT", "/api/v1/secrets/db", r#"{"value":"hunter2","x":1}"#).unwrap_err(),
        "the body is not the JSON this route takes (line 1 column 22)"
    );
    assert!(ask("POST", "/api/v1/services/api/scale", "").is_err(), "a number of replicas is needed");
    assert!(ask("POST", "/api/v1/tokens", r#"{"name":"x","role":"root"}"#).is_err());
}

/// Goal: a bad body is described without quoting it, for it may hold a secret.
#[test]
fn a_bad_body_is_not_quoted() {
    let message = ask("PUT", "/api/v1/secrets/db", r#"{"value": hunter2}"#).unwrap_err();
    assert!(!message.contains("hunter2"), "{message}");
}

/// Goal: encoding and decoding undo each other, and broken encodings are refused.
#[test]
fn encoding_round_trips() {
    for text in ["api", "a b", "a/b?c&d=é", "100%", ""] {
        assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    }
    for broken in ["%", "%4", "%zz", "%ff"] {
        assert_eq!(decode(broken), None, "{broken}");
    }
    assert_eq!(
        read_query("a=1&b&c=%20x+y&d=%zz"),
        [("a".into(), "1".into()), ("b".into(), String::new()), ("c".into(), " x y".into())]
    );
}

/// Goal: no route may exist twice, and whoever changes something needs more than a viewer's token.
#[test]
fn the_table_is_sound() {
    for (index, route) in ROUTES.iter().enumerate() {
        let twins = ROUTES[index + 1..].iter().filter(|other| (other.method, other.path) == (route.method, route.path));
        assert_eq!(twins.count(), 0, "{} {}", route.method, route.path);
        let open_to_viewers = route.access.admits(Some(Role::Viewer));
        assert!(route.method == "GET" || !open_to_viewers, "{} {} changes something", route.method, route.path);
        assert!(route.access.admits(Some(Role::Admin)));
    }
}
