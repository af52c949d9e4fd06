use super::*;

/// Goal: ends are said in words that people know.
#[test]
fn ends_in_words() {
    let check = |exit: Exit, expected: &str| assert_eq!(exit.to_string(), expected);
    check(Exit::Code(3), "exited with code 3");
    check(Exit::Signal(9), "killed by SIGKILL");
    check(Exit::Signal(63), "killed by signal 63");
}

/// Goal: what a command needs is shown without its values (SEC-16).
#[test]
fn an_execution_hides_its_values() {
    let environment = [("PASSWORD".to_owned(), "hunter2".to_owned())].into();
    let execution = Execution { environment, folder: "/".into(), user: None, group: None };
    assert!(!format!("{execution:?}").contains("hunter2"));
}

/// Goal: a command that cannot be found is an error with its name, and this process stays itself.
#[test]
fn exec_says_what_is_missing() {
    let execution = Execution { environment: BTreeMap::new(), folder: "/".into(), user: None, group: None };
    let error = exec(&execution, &["no-such-program".to_owned()]);
    assert!(error.to_string().contains("there is no program `no-such-program`"), "{error}");
}

/// Goal: a machine that has no room for another process is not held against the program.
#[test]
fn no_room_for_a_process_is_a_shortage() {
    let check = |code, expected| {
        let why = NotStarted::because(&io::Error::from_raw_os_error(code), String::new());
        assert_eq!(matches!(why, NotStarted::Shortage(_)), expected, "{code}");
    };
    check(libc::EAGAIN, true);
    check(libc::ENOMEM, true);
    check(libc::ENOEXEC, false);
}
