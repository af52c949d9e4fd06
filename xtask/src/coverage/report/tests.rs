use super::*;

fn report(files: &[(&str, u64, u64)], packages: &[&str]) -> Report {
    let root = crate::checkout::root();
    let file = |(path, ran, all): &(&str, u64, u64)| {
        let filename = format!("{}/{path}", root.display());
        serde_json::json!({ "filename": filename, "summary": { "lines": { "count": all, "covered": ran } } })
    };
    let files: Vec<Value> = files.iter().map(file).chain([elsewhere()]).collect();
    let exported = serde_json::json!({ "data": [{ "files": files }] }).to_string();
    let packages: Vec<String> = packages.iter().map(|package| (*package).to_owned()).collect();
    Report::read(&exported, &root, &packages).unwrap()
}

fn elsewhere() -> Value {
    serde_json::json!({ "filename": "/registry/x/src/lib.rs", "summary": { "lines": { "count": 9, "covered": 0 } } })
}

/// Goal: lines are summed by crate and by decision, and neither tests nor other people's lines count.
#[test]
fn lines_are_summed() {
    let report = report(
        &[
            ("crates/edge/src/route.rs", 9, 10),
            ("crates/edge/src/route/pattern.rs", 10, 10),
            ("crates/edge/src/route/tests.rs", 0, 99),
            ("crates/edge/src/router.rs", 1, 80),
            ("lib/clock/src/lib.rs", 5, 5),
        ],
        &[],
    );
    let parts: Vec<(String, u64, u64)> =
        report.parts().into_iter().map(|(part, lines)| (part, lines.ran, lines.all)).collect();
    let expected = [("crates/edge", 20, 100), ("crates/edge/src/route", 19, 20), ("lib/clock", 5, 5)];
    assert_eq!(parts, expected.map(|(part, ran, all)| (part.to_owned(), ran, all)));
    assert_eq!(report.shipped(), Lines { ran: 25, all: 105 });
    assert_eq!(report.worst()[0].0, "crates/edge/src/router.rs");
}

/// Goal: each bound that is not met is named, and those of the whole only when the whole was run.
#[test]
fn bounds_are_judged() {
    let check = |files: &[(&str, u64, u64)], packages: &[&str], expected: &[&str]| {
        let said = report(files, packages).judged().err().map(|failure| failure.to_string()).unwrap_or_default();
        assert_eq!(said.lines().count(), expected.len(), "{said}");
        expected.iter().for_each(|part| assert!(said.contains(part), "{part} in {said}"));
    };
    check(&[("lib/clock/src/lib.rs", 90, 100), ("crates/api/src/lib.rs", 80, 100)], &[], &[]);
    check(&[("lib/clock/src/lib.rs", 89, 100)], &[], &["lib/clock is at 89.0 %, and should be at 90 %"]);
    check(&[("crates/run/src/plan.rs", 1, 2)], &["prumo-run"], &["crates/run/src/plan is at 50.0 %"]);
    check(&[("crates/api/src/lib.rs", 1, 2)], &[], &["what is shipped is at 50.0 %, and should be at 85 %"]);
    check(&[("crates/api/src/lib.rs", 1, 2)], &["prumo-api"], &[]);
    // Neither the chores nor the tests are shipped.
    check(&[("xtask/src/lint.rs", 0, 50), ("tests/src/ask.rs", 0, 50)], &[], &[]);
}
