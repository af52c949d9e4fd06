use super::*;

/// Goal: the variables that prumo knows are filled in, whole names only; everything else stays as typed.
#[test]
fn known_variables_are_filled() {
    let known = [("PORT", "8081"), ("REPLICA", "api-1")];
    let check = |argument: &str, expected: &str| assert_eq!(fill(argument, &known), expected);
    check("--port=$PORT", "--port=8081");
    check("${PORT}0", "80810");
    check("$PORT:$REPLICA", "8081:api-1");
    check("$PORTAL $PORT_2 ${PORT", "$PORTAL $PORT_2 ${PORT");
    check("$HOME $$ $", "$HOME $$ $");
    check("é$PORTé", "é$PORTé");
    check("", "");
}

/// Goal: programs are found as a shell would find them, and the message says where was looked.
#[test]
fn programs_are_found() {
    let environment = Environment::default().with("PATH", "/nowhere:/bin:/usr/bin");
    let find = |program: &str, folder: &str| environment.find_program(program, Path::new(folder));
    assert!(find("sh", "/").unwrap().ends_with("sh"));
    assert!(find("./sh", "/bin").is_ok());
    assert_eq!(find("no-such", "/").unwrap_err(), "there is no program `no-such` in /nowhere:/bin:/usr/bin");
    assert_eq!(
        find("/etc/hostname-that-is-not", "/").unwrap_err().split(':').next(),
        Some("/etc/hostname-that-is-not")
    );
    assert_eq!(find("/etc/passwd", "/").unwrap_err(), "/etc/passwd is not executable");
    assert_eq!(find("/etc/", "/").unwrap_err(), "/etc/ is a folder");
}

/// Goal: debug output of an environment names variables and never their values (SEC-16).
#[test]
fn values_are_not_printed() {
    let environment = Environment::default().with("PASSWORD", "hunter2");
    assert_eq!(format!("{environment:?}"), r#"{"PASSWORD"}"#);
}
