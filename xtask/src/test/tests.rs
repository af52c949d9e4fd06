use super::{Tally, Unmet};

fn check(output: &str, expected: &str) {
    let mut tally = Tally::default();
    output.lines().for_each(|line| tally.add(line));
    assert_eq!(tally.to_string(), expected);
}

/// Goal: the counts of all suites are summed, whatever else is printed between them.
#[test]
fn suites_are_summed() {
    check("", "0 passed, 0 failed, 0 skipped");
    check(
        "running 3 tests\n\
         test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s\n\
         an app said: test result: fine\n\
         test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
         30 scenarios passed, 3 failed\n",
        "37 passed, 5 failed, 1 skipped",
    );
}

/// Goal: a name that no test bears is told, so that a typing mistake is not a green run.
#[test]
fn names_without_a_test_are_told() {
    let asked = ["deploy".to_owned(), "rollbakc".to_owned()];
    let mut unmet = Unmet::of(&asked);
    unmet.meet("running 1 test");
    unmet.meet("an app said: test rollbakc");
    unmet.meet("test deploys::a_deploy_drains ... ok");
    unmet.meet("test 0011-rollback ... ok (1.2s)");
    assert_eq!(unmet.0, ["rollbakc"]);
}
