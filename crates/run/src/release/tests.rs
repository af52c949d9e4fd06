use super::*;

/// Goal: an error says what happened, why, what the app printed, what went well before, and what to do next.
#[test]
fn an_error_tells_all() {
    let mut error = DeployError::new(Fault::Unhealthy, "api", "release 2 of `api` failed; release 1 still serves")
        .because(vec!["api-3: GET /health answered 500".to_owned()])
        .lines(vec!["boom".to_owned()])
        .hint("look at the logs");
    error.deployed = vec![Deployed { service: "web".to_owned(), release: 4, before: Some(3), replicas: 2 }];
    let expected = "\
release 2 of `api` failed; release 1 still serves
  api-3: GET /health answered 500
  | boom
  deployed before: release 4 of `web`

hint: look at the logs";
    assert_eq!(error.to_string(), expected);
    let text = serde_json::to_string(&error).unwrap();
    assert_eq!(serde_json::from_str::<DeployError>(&text).unwrap(), error);
}

/// Goal: a full disk is refused before anything is started, with numbers.
#[test]
fn a_full_disk_is_refused() {
    assert_eq!(check_disk(Path::new("/"), 0.0), Ok(()));
    let why = check_disk(Path::new("/"), 101.0).unwrap_err();
    assert!(why.starts_with("only ") && why.contains("101 % are required"), "{why}");
}

/// Goal: a socket path that Linux would refuse is refused here, with a way out.
#[test]
fn a_long_socket_path_is_refused() {
    let spec = crate::desired::tests::spec("api");
    assert_eq!(check_socket(&spec, Path::new("/var/lib/prumo")), Ok(()));
    let why = check_socket(&spec, Path::new(&format!("/{}", "x".repeat(100)))).unwrap_err();
    assert!(why.contains("choose a shorter state folder"), "{why}");
}
